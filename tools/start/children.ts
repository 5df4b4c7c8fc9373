import type { ServiceProcess } from './launch.ts';
import { showErrors, tailOf } from './logs.ts';
import { logPath, type StartOptions } from './options.ts';
import { POSTGRES } from './orphans.ts';
import { untilReady } from './readiness.ts';
import type { StateFile } from './state.ts';
import { type ChildPlan, Supervisor } from './supervisor.ts';

/** From the wish to stop to the end of it all, with a little left for the exit itself. */
const STOP_MS = 9_300;
const SERVICE_STOP_MS = 6_000;

/** All children by name: started one by one, ended together. */
export class Children {
  readonly #all = new Map<string, { supervisor: Supervisor; readyUrl: string | undefined }>();
  readonly #tails = new DisposableStack();
  readonly #options: StartOptions;
  /** Progress and troubles, for people. */
  readonly say: (line: string) => void;
  /** Notes a process, for the case that it outlives its starter. */
  readonly record: (name: string, pid: number) => void;

  constructor(options: StartOptions, file: Pick<StateFile, 'record'>, say: (line: string) => void) {
    this.#options = options;
    this.say = say;
    this.record = (name, pid) => file.record(name, pid);
  }

  named(name: string): Supervisor {
    const child = this.#all.get(name);
    if (!child) throw new Error(`there is no process "${name}", only ${[...this.#all.keys()].join(', ')}`);
    return child.supervisor;
  }

  pids(): Record<string, number> {
    return Object.fromEntries(
      [...this.#all].flatMap(([name, { supervisor }]) =>
        supervisor.pid === undefined ? [] : [[name, supervisor.pid]],
      ),
    );
  }

  async start(plan: ChildPlan, signal: AbortSignal, readyUrl?: string): Promise<void> {
    signal.throwIfAborted();
    const supervisor = new Supervisor(plan, { say: this.say, onSpawn: this.record });
    this.#all.set(plan.name, { supervisor, readyUrl });
    if (plan.name !== POSTGRES) {
      this.#tails.use(
        showErrors(logPath(this.#options, plan.name), (line) => this.say(`${plan.name}: ${line}`)),
      );
    }
    await supervisor.start(signal);
    signal.throwIfAborted();
  }

  /** Starts a second process of a name, and ends the first one once the second is ready. */
  async replace({ plan, readyUrl }: ServiceProcess): Promise<void> {
    const before = this.named(plan.name);
    const supervisor = new Supervisor(plan, { say: this.say, onSpawn: this.record });
    try {
      await supervisor.start();
      await untilReady(supervisor, { url: readyUrl, signal: new AbortController().signal, say: this.say });
    } catch (error) {
      await supervisor.stop(SERVICE_STOP_MS);
      throw error;
    }
    this.#all.set(plan.name, { supervisor, readyUrl });
    await before.stop(SERVICE_STOP_MS);
  }

  async hold(name: string): Promise<void> {
    await this.named(name).stop(SERVICE_STOP_MS);
  }

  /** Resolves when each that is not held is ready, or `only` the one. */
  async ready(signal = new AbortController().signal, only?: string): Promise<void> {
    const all = [...this.#all.values()];
    const asked = all.filter(({ supervisor }) =>
      only === undefined ? !supervisor.held : supervisor.name === only,
    );
    await Promise.all(
      asked.map(async ({ supervisor, readyUrl }) => {
        if (readyUrl === undefined) return;
        try {
          await untilReady(supervisor, { url: readyUrl, signal, say: this.say });
        } catch (error) {
          if (signal.aborted) throw error;
          const tail = tailOf(logPath(this.#options, supervisor.name));
          throw new Error(`${error instanceof Error ? error.message : String(error)}\n${tail}`, {
            cause: error,
          });
        }
      }),
    );
  }

  /** Ends all at once, the hard way. */
  force(): void {
    for (const { supervisor } of this.#all.values()) supervisor.force();
  }

  /** Services first, side by side; then PostgreSQL, which they still need while they end. */
  async stop(): Promise<void> {
    const deadline = Date.now() + STOP_MS;
    const { [POSTGRES]: postgres, ...services } = Object.fromEntries(this.#all);
    await Promise.all(Object.values(services).map(({ supervisor }) => supervisor.stop(SERVICE_STOP_MS)));
    this.#tails.dispose();
    await postgres?.supervisor.stop(Math.max(0, deadline - Date.now()));
  }
}
