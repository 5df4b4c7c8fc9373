import type { ChildProcess } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { delay } from '@tradewind/process/backoff';
import { checkFree, freePort } from '../port.ts';
import { endOf, sizeOf, spawnProgram, troubleIn } from '../program.ts';
import { configuration, type JaegerPorts } from './configuration.ts';

const DEADLINE_MS = 60_000;
const ANSWER_MS = 2_000;
const LOOK_MS = 30;
/** The last word of a Jaeger that gives up. */
const TROUBLE = /^Error: /;

export interface LifeOptions {
  /** Exists; gets `jaeger.yaml` and `jaeger.log`. */
  readonly folder: string;
  readonly ports: JaegerPorts;
  readonly maxTraces: number;
  /** Told the process as soon as there is one. */
  readonly onSpawn?: ((process: ChildProcess) => void) | undefined;
}

/** One life of a Jaeger. */
export interface Life {
  readonly process: ChildProcess;
  /** How it ended, for people. */
  readonly ended: Promise<string>;
}

/** A port that somebody else has. */
class PortTaken extends Error {}

/** Starts a Jaeger and waits until all its ports take requests. Rejects with what it wrote when it does not come up; nothing is left running then. */
export async function startLife(program: string, options: LifeOptions): Promise<Life> {
  for (let attempt = 1; ; attempt++) {
    for (const port of Object.values<number>({ ...options.ports })) await checkFree(port);
    try {
      return await tryLife(program, options);
    } catch (error) {
      // The health port that nobody named was free when it was chosen; somebody was quicker.
      if (!(error instanceof PortTaken) || attempt === 3) throw error;
    }
  }
}

async function tryLife(program: string, { folder, ports, maxTraces, onSpawn }: LifeOptions): Promise<Life> {
  const healthPort = await freePort();
  const config = join(folder, 'jaeger.yaml');
  await writeFile(config, configuration(ports, healthPort, maxTraces));
  const logFile = join(folder, 'jaeger.log');
  const since = sizeOf(logFile);
  const child = spawnProgram(program, ['--config', config], { logFile, cwd: folder });
  onSpawn?.(child);
  const ended = endOf(child);
  try {
    await untilHealthy(healthPort, ended);
    return { process: child, ended };
  } catch (error) {
    child.kill('SIGKILL');
    await ended;
    const why = troubleIn(logFile, since, TROUBLE);
    const text = `Jaeger did not start on port ${ports.query}: ${(error as Error).message}\n${why}`;
    throw /address already in use/i.test(why) ? new PortTaken(text) : new Error(text);
  }
}

async function untilHealthy(port: number, ended: Promise<string>): Promise<void> {
  let end: string | undefined;
  void ended.then((how) => {
    end = how;
  });
  const deadline = Date.now() + DEADLINE_MS;
  for (let reason = 'not asked yet'; ; await delay(LOOK_MS)) {
    if (end !== undefined) throw new Error(`it ended (${end})`);
    if (Date.now() > deadline) throw new Error(`not healthy within ${DEADLINE_MS / 1000} s: ${reason}`);
    try {
      const answer = await fetch(`http://127.0.0.1:${port}/status`, {
        signal: AbortSignal.timeout(ANSWER_MS),
      });
      reason = await answer.text();
      if (answer.ok) return;
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
}
