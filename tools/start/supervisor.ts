import type { ChildProcess } from 'node:child_process';
import { delay, fullJitter } from '@tradewind/process/backoff';
import { reasonOf } from '@tradewind/process/wait-for';

/** How one child is started, and restarted. */
export interface ChildPlan {
  readonly name: string;
  /** Starts it once. `onSpawn` is told its process as soon as there is one, which may be long before this resolves. */
  readonly launch: (onSpawn: (process: ChildProcess) => void) => Promise<Launched>;
  /** How it is asked to end, and how it is made to. */
  readonly signals: readonly [ask: NodeJS.Signals, force: NodeJS.Signals];
}

export interface Launched {
  readonly process: ChildProcess;
  /** Resolves with how it ended, for people. */
  readonly exited: Promise<string>;
}

export interface SupervisorOptions {
  readonly say: (line: string) => void;
  readonly onSpawn: (name: string, pid: number) => void;
  /** After running this long a child counts as well again; 30 s when left out. */
  readonly calmMs?: number;
}

/** Upper bounds of the waits between an end and the next start. */
const BACKOFF = { baseMs: 500, capMs: 10_000 };

/** Keeps one child running until it is stopped. */
export class Supervisor {
  readonly name: string;
  readonly #plan: ChildPlan;
  readonly #options: SupervisorOptions;
  #process: ChildProcess | undefined;
  #stopping = new AbortController();
  #loop: Promise<void> = Promise.resolve();
  #lastEnd: string | undefined;
  #ends = 0;

  constructor(plan: ChildPlan, options: SupervisorOptions) {
    this.name = plan.name;
    this.#plan = plan;
    this.#options = options;
  }

  /** The running child's process id; undefined while there is none. */
  get pid(): number | undefined {
    return this.#running()?.pid;
  }

  /** Whether it was stopped and is to stay so. */
  get held(): boolean {
    return this.#stopping.signal.aborted;
  }

  /** How the child ended last, if it ever did unasked. */
  get lastEnd(): string | undefined {
    return this.#lastEnd;
  }

  /** How often the child ended unasked. */
  get ends(): number {
    return this.#ends;
  }

  /** Starts the child and keeps it running. Rejects when it can't even be started the first time, or `signal` is aborted before. */
  async start(signal?: AbortSignal): Promise<void> {
    this.#stopping = new AbortController();
    const giveUp = () => this.kill(this.#plan.signals[0]);
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      const first = await this.#launch();
      this.#loop = this.#keep(first, this.#stopping.signal);
    } finally {
      signal?.removeEventListener('abort', giveUp);
    }
  }

  /** Sends the child a signal; when it ends of it, it is started again. False when there is no child now. */
  kill(signal: NodeJS.Signals): boolean {
    return this.#running()?.kill(signal) ?? false;
  }

  /** Ends the child and leaves it ended; makes it end after `patienceMs`. */
  async stop(patienceMs: number): Promise<void> {
    this.#stopping.abort(new Error('stopped'));
    const [ask, force] = this.#plan.signals;
    this.kill(ask);
    const timer = setTimeout(() => {
      this.#options.say(`${this.name} did not end within ${patienceMs} ms; ending it by force`);
      this.kill(force);
    }, patienceMs);
    await this.#loop;
    clearTimeout(timer);
  }

  /** Makes the child end at once, and leaves it ended. */
  force(): void {
    this.#stopping.abort(new Error('stopped'));
    this.kill(this.#plan.signals[1]);
  }

  #running(): ChildProcess | undefined {
    return this.#process?.exitCode === null && this.#process.signalCode === null ? this.#process : undefined;
  }

  #launch(): Promise<Launched> {
    return this.#plan.launch((process) => {
      this.#process = process;
      if (process.pid !== undefined) this.#options.onSpawn(this.name, process.pid);
    });
  }

  async #keep(first: Launched, signal: AbortSignal): Promise<void> {
    const { say, calmMs = 30_000 } = this.#options;
    let current: Launched | undefined = first;
    for (let failures = 0; ; failures++) {
      const startedAt = Date.now();
      this.#lastEnd = current ? await current.exited : this.#lastEnd;
      if (signal.aborted) return;
      this.#ends++;
      if (Date.now() - startedAt > calmMs) failures = 0;
      const waitMs = fullJitter(failures, BACKOFF);
      say(`${this.name} ended (${this.#lastEnd}); starting it again in ${(waitMs / 1000).toFixed(1)} s`);
      if (
        !(await delay(waitMs, signal).then(
          () => true,
          () => false,
        ))
      )
        return;
      try {
        current = await this.#launch();
      } catch (error) {
        current = undefined;
        this.#lastEnd = reasonOf(error);
      }
      // A stop that came while it was being started found nothing to end, or ended it already.
      if (signal.aborted) this.kill(this.#plan.signals[0]);
    }
  }
}

/** Resolves with how a process ended, for people. */
export function endOf(process: ChildProcess): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  process.once('error', (error) => resolve(error.message));
  process.once('exit', (code, signal) => resolve(signal ? `killed by ${signal}` : `exit code ${code}`));
  return promise;
}
