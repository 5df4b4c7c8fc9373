import { join, relative, resolve } from 'node:path';
import { stopSignal } from '@tradewind/process/signals';
import { endOrphans } from './orphans.ts';
import { checkPorts, type WantedPort } from './ports.ts';
import { StateFile } from './state.ts';

interface Started extends AsyncDisposable {
  /** How it ended, for people. */
  readonly exited: Promise<string>;
}

/** What a start tells of its process as soon as there is one. */
type OnSpawn = (child: { readonly pid?: number | undefined; kill(signal: NodeJS.Signals): boolean }) => void;

/** One program that others wrote, run by a command of its own. */
export interface Single<T extends Started> {
  /** As people call it. */
  readonly title: string;
  readonly dataDir: string;
  /** In there. */
  readonly logFile: string;
  /** The first one is where it is found. */
  readonly ports: readonly [WantedPort, ...WantedPort[]];
  readonly start: (dataDir: string, onSpawn: OnSpawn) => Promise<T>;
  readonly onReady: ((started: T) => void) | undefined;
}

/**
 * Runs it until `signal` aborts, then ends it in order. What an earlier start that was killed left behind is ended first. Rejects with
 * AlreadyRunning, a taken port, what is missing on this machine, or how it ended when nobody asked it to.
 */
export async function runSingle<T extends Started>(
  { title, logFile, ports, start, onReady, ...folder }: Single<T>,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const dataDir = resolve(folder.dataDir);
  const name = title.toLowerCase();
  const { file, orphans } = StateFile.claim(dataDir, { [name]: ports[0].port });
  using _claim = file;
  await endOrphans(orphans, file, say);
  await checkPorts(ports);
  signal.throwIfAborted();
  await using scope = new AsyncDisposableStack();
  let starting: (() => void) | undefined;
  signal.addEventListener('abort', () => starting?.(), { once: true });
  const started = scope.use(
    await start(dataDir, (child) => {
      if (child.pid !== undefined) file.record(name, child.pid);
      // Who loses patience while it starts need not wait until it is there.
      starting = () => child.kill('SIGTERM');
    }).catch((error: unknown) => {
      signal.throwIfAborted();
      throw error;
    }),
  );
  starting = undefined;
  signal.throwIfAborted();
  onReady?.(started);
  await Promise.race([aborted(signal), started.exited]);
  if (signal.aborted) return say(`ending ${title}`);
  const log = relative(process.cwd(), join(dataDir, logFile));
  throw new Error(`${title} ended (${await started.exited}); ${log} says why`);
}

async function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve: done } = Promise.withResolvers<void>();
  signal.addEventListener('abort', () => done(), { once: true });
  if (signal.aborted) done();
  await promise;
}

/** A line with the time since the command began. */
export function sayWithTime(startedAt: number): (line: string) => void {
  // A terminal that was closed must not end this before what it runs.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
  return (line) => {
    process.stdout.write(`${((Date.now() - startedAt) / 1000).toFixed(1).padStart(7)} s  ${line}\n`);
  };
}

/** Ctrl-C and its kin; `deadlineMs` is longer than the program's own patience, after which it is ended by force. */
export function stopOf(
  title: string,
  say: (line: string) => void,
  deadlineMs: number,
): AbortSignal & Disposable {
  return stopSignal({
    logger: { info: say, error: (_: unknown, line?: string) => say(String(line)) },
    deadlineMs,
    signals: ['SIGINT', 'SIGTERM', ...(process.stdout.isTTY ? (['SIGHUP'] as const) : [])],
    running: () => [`${title}, which is ended by force`],
    exit: (code) => process.exit(code),
  });
}
