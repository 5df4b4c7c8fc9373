import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { delay } from '@tradewind/process/backoff';
import { checkFree } from '../port.ts';
import { endOf, sizeOf, spawnProgram, troubleIn } from '../program.ts';
import { askRedis } from './ask.ts';

const DEADLINE_MS = 60_000;
const LOOK_MS = 10;
/** Its last words are those that count, whatever they are: it has no mark for an error. */
const TROUBLE = /(?!)/;

export interface LifeOptions {
  /** Exists; gets `redis.log` and what the settings persist. */
  readonly folder: string;
  readonly port: number;
  /** As in redis.conf. */
  readonly settings: Readonly<Record<string, string>>;
  /** Told the process as soon as there is one. */
  readonly onSpawn?: ((process: ChildProcess) => void) | undefined;
}

/** One life of a Redis. */
export interface Life {
  readonly process: ChildProcess;
  /** How it ended, for people. */
  readonly ended: Promise<string>;
}

/** Starts a Redis and waits until it answers. Rejects with what it wrote when it does not come up; nothing is left running then. */
export async function startLife(program: string, options: LifeOptions): Promise<Life> {
  const { folder, port, settings, onSpawn } = options;
  await checkFree(port);
  const all: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir: folder,
    // An empty list of save points: nothing is written unless the settings say so.
    save: '',
    appendonly: 'no',
    ...settings,
  };
  const logFile = join(folder, 'redis.log');
  const since = sizeOf(logFile);
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const child = spawnProgram(program, args, { logFile, cwd: folder });
  onSpawn?.(child);
  const ended = endOf(child);
  try {
    await untilAnswering(port, settings.requirepass, ended);
    return { process: child, ended };
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    throw new Error(
      `Redis did not start on port ${port}: ${(error as Error).message}\n${troubleIn(logFile, since, TROUBLE)}`,
    );
  }
}

/** Also through the time in which it loads what it had persisted. */
async function untilAnswering(
  port: number,
  password: string | undefined,
  ended: Promise<string>,
): Promise<void> {
  let end: string | undefined;
  void ended.then((how) => {
    end = how;
  });
  const deadline = Date.now() + DEADLINE_MS;
  for (let reason = 'not asked yet'; ; await delay(LOOK_MS)) {
    if (end !== undefined) throw new Error(`it ended (${end})`);
    if (Date.now() > deadline) throw new Error(`no answer within ${DEADLINE_MS / 1000} s: ${reason}`);
    try {
      await askRedis({ port, password }, 'PING');
      return;
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
}
