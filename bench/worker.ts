import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A process of its own that answers one question at a time. */
export interface Worker extends AsyncDisposable {
  readonly pid: number;
  /** Rejects with what the worker failed of, or when it has ended. */
  ask<Question, Answer>(question: Question): Promise<Answer>;
}

type Reply = { readonly answer: unknown } | { readonly error: string };

/** Starts a module of this folder as a process, which ends with the signal. Resolves once it can be asked. */
export async function startWorker(
  signal: AbortSignal,
  file: string,
  ...args: readonly string[]
): Promise<Worker> {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), args);
  const end = () => child.kill('SIGKILL');
  signal.addEventListener('abort', end, { once: true });
  child.once('exit', () => signal.removeEventListener('abort', end));
  await next(child, file);
  return {
    pid: child.pid ?? 0,
    async ask<Question, Answer>(question: Question) {
      const reply = next(child, file);
      child.send({ question });
      return (await reply) as Answer;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      child.once('exit', () => resolve());
      child.kill('SIGKILL');
      await promise;
    },
  };
}

async function next(child: ChildProcess, file: string): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onMessage = (reply: Reply) => {
    if ('error' in reply) reject(new Error(`${file}: ${reply.error}`));
    else resolve(reply.answer);
  };
  const onExit = () => reject(new Error(`${file} has ended`));
  child.once('message', onMessage).once('exit', onExit);
  try {
    return await promise;
  } finally {
    child.off('message', onMessage).off('exit', onExit);
  }
}

/** The worker's own side: answers its parent's questions until the parent ends it. */
export function answerParent<Question>(answer: (question: Question) => Promise<unknown>): void {
  const send = (reply: Reply) => process.send?.(reply);
  process.on('message', ({ question }: { question: Question }) => {
    answer(question).then(
      (answer) => send({ answer }),
      (error: unknown) =>
        send({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  // Without its parent it has nobody to work for.
  process.on('disconnect', () => process.exit(1));
  send({ answer: 'ready' });
}

/** Milliseconds of the machine's monotonic clock, which all its processes share. */
export function monotonic(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
