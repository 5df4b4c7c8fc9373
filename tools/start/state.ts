import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { identify, isAlive, type ProcessIdentity } from './identity.ts';

/** A process that a starter started. */
export interface RecordedProcess extends ProcessIdentity {
  readonly name: string;
}

/** What `running.json` in the data folder holds. */
export interface State {
  readonly starter: ProcessIdentity;
  /** By what listens there. */
  readonly ports: Readonly<Record<string, number>>;
  readonly processes: readonly RecordedProcess[];
}

/** Somebody else runs on this data folder. */
export class AlreadyRunning extends Error {
  readonly state: State;

  constructor(state: State, dataDir: string) {
    const ports = Object.entries(state.ports).map(([name, port]) => `${name} on ${port}`);
    super(`Tradewind runs already on ${dataDir}: pid ${state.starter.pid}, ${ports.join(', ')}`);
    this.name = 'AlreadyRunning';
    this.state = state;
  }
}

/**
 * The one claim on a data folder, with every process that runs under it. Each change is on disk before the next step, so that a
 * later start knows what an earlier one left behind, whenever that was killed.
 */
export class StateFile implements Disposable {
  readonly #path: string;
  #state: State;

  private constructor(path: string, state: State) {
    this.#path = path;
    this.#state = state;
  }

  /**
   * Claims the folder, or throws AlreadyRunning. What a dead starter left is carried over, and given as orphans, until it is forgotten.
   */
  static claim(
    dataDir: string,
    ports: State['ports'],
  ): { file: StateFile; orphans: readonly RecordedProcess[] } {
    const starter = identify(process.pid) ?? { pid: process.pid, startedAt: 'unknown' };
    const path = join(dataDir, 'running.json');
    mkdirSync(dataDir, { recursive: true });
    for (;;) {
      const before = read(path);
      if (before && isAlive(before.starter)) throw new AlreadyRunning(before, dataDir);
      const orphans = before?.processes ?? [];
      if (takeOver(path, before, { starter, ports, processes: orphans })) {
        return { file: new StateFile(path, { starter, ports, processes: orphans }), orphans };
      }
    }
  }

  /** Notes a process that was just started. */
  record(name: string, pid: number): void {
    const identity = identify(pid);
    if (!identity) return;
    const others = this.#state.processes.filter((process) => process.name !== name);
    this.#write({ ...this.#state, processes: [...others, { name, ...identity }] });
  }

  /** Strikes processes that have ended. */
  forget(ended: readonly ProcessIdentity[]): void {
    const pids = new Set(ended.map(({ pid }) => pid));
    this.#write({ ...this.#state, processes: this.#state.processes.filter(({ pid }) => !pids.has(pid)) });
  }

  #write(state: State): void {
    this.#state = state;
    const next = `${this.#path}.${process.pid}`;
    writeFileSync(next, JSON.stringify(state, undefined, 2));
    renameSync(next, this.#path);
  }

  /** Gives the folder free; what still runs stays on record for the next start. */
  [Symbol.dispose](): void {
    if (this.#state.processes.some(isAlive)) return;
    if (read(this.#path)?.starter.pid === process.pid) rmSync(this.#path, { force: true });
  }
}

function read(path: string): State | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as State;
  } catch {
    return undefined;
  }
}

/** Puts `mine` where `before` was, unless another start did so first. */
function takeOver(path: string, before: State | undefined, mine: State): boolean {
  const next = `${path}.${process.pid}`;
  const old = `${next}.old`;
  writeFileSync(next, JSON.stringify(mine, undefined, 2));
  try {
    if (moved(path, old) && read(old)?.starter.startedAt !== before?.starter.startedAt) {
      // That was not the dead one's any more: give it back.
      linkSync(old, path);
      return false;
    }
    linkSync(next, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(next, { force: true });
    rmSync(old, { force: true });
  }
}

function moved(from: string, to: string): boolean {
  try {
    renameSync(from, to);
    return true;
  } catch {
    return false;
  }
}
