import { type ChildProcess, spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';
import { withSettings } from '@tradewind/process/variables';
import { services } from './services.ts';
import { endOf } from './supervisor.ts';

export interface RebuildOptions {
  readonly databaseUrl: string;
  readonly eventLogUrl: string;
  readonly env: NodeJS.ProcessEnv;
  /** Told of the process, for whoever wants to kill it. */
  readonly onSpawn?: (process: ChildProcess) => void;
}

/** What the command came to. */
export interface Rebuilt {
  /** `exit code 0`, or how else it ended. */
  readonly end: string;
  /** What it wrote. */
  readonly words: string;
  /** Subjects that were counted otherwise than the log has them; undefined when it did not get so far. */
  readonly different: number | undefined;
}

/** Runs the ratings service's `rebuild`, which makes the counts again from the log. */
export async function runRebuild({
  databaseUrl,
  eventLogUrl,
  env,
  onSpawn,
}: RebuildOptions): Promise<Rebuilt> {
  const main = services.find(({ name }) => name === 'ratings')?.main ?? '';
  const own = withSettings(env, { DATABASE_URL: databaseUrl, EVENT_LOG_URL: eventLogUrl });
  // A process group of its own: Ctrl-C reaches this process alone.
  const child = spawn(process.execPath, [main, 'rebuild'], { env: own, stdio: 'pipe', detached: true });
  onSpawn?.(child);
  const [end, out, err] = await Promise.all([endOf(child), text(child.stdout), text(child.stderr)]);
  const [, different] = /, (\d+) of them were not as the log has them/.exec(out) ?? [];
  return { end, words: `${out}${err}`, different: different === undefined ? undefined : Number(different) };
}

/** What is wrong with it, for people; none when it found everything as it was. */
export function judgeRebuild({ end, words, different }: Rebuilt, when: string): string[] {
  if (end !== 'exit code 0' || different === undefined)
    return [`the rebuild ${when} failed (${end}):\n${words}`];
  if (different > 0) return [`the rebuild ${when} found ${different} subjects that were counted otherwise`];
  return [];
}
