import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { delay } from '@tradewind/process/backoff';
import { cacheFolder } from '../cache.ts';
import { checkGo, runGo } from './go.ts';
import { takeLock } from './lock.ts';

/** Of the Go module; the Jaeger that it holds calls itself 2.13.0. */
export const JAEGER_VERSION = '1.76.0';

const MODULE = `github.com/jaegertracing/jaeger@v${JAEGER_VERSION}`;
/** What this release is, also where nobody's checksum database is asked. */
const CHECKSUM = 'h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=';
const PACKAGES = 'about 2,300';
const PROGRAM = process.platform === 'win32' ? 'jaeger.exe' : 'jaeger';
const SAY_MS = 30_000;
const LOOK_MS = 200;
/** What a build that was killed left behind is nobody's after a day. */
const LEFTOVER_MS = 24 * 3_600_000;

export interface InstallOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Builds Jaeger from its Go module into the cache, unless it is there, and returns the program's path. Several at once: one builds, the
 * others wait; the folder appears whole or not at all. Rejects with what to do when Go is missing or too old, with what Go said when the
 * build fails, and with the signal's reason.
 */
export async function installJaeger(
  onProgress?: (step: string) => void,
  { env = process.env, signal }: InstallOptions = {},
): Promise<string> {
  const folder = join(cacheFolder(env), `jaeger-${JAEGER_VERSION}`);
  const program = join(folder, PROGRAM);
  if (existsSync(program)) return program;
  await checkGo(`building Jaeger ${JAEGER_VERSION}`, env);
  await mkdir(dirname(folder), { recursive: true });
  for (let waits = false; ; waits = true) {
    using lock = takeLock(`${folder}.lock`);
    if (existsSync(program)) return program;
    if (lock) {
      await removeLeftovers(folder);
      await build(folder, { env, signal, onProgress });
      return program;
    }
    if (!waits) onProgress?.(`waiting for another process that builds Jaeger ${JAEGER_VERSION}`);
    await delay(LOOK_MS, signal);
  }
}

interface Build {
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((step: string) => void) | undefined;
}

async function build(folder: string, options: Build): Promise<void> {
  const made = await mkdtemp(`${folder}.new-`);
  const [source, temporary] = [join(made, 'source'), join(made, 'temporary')];
  try {
    await mkdir(temporary);
    options.onProgress?.(`building Jaeger ${JAEGER_VERSION} from its Go module once, several minutes`);
    await copyModule(await download(made, options), source);
    // Go leaves its own temporary folder behind when it is ended, and that becomes half a gigabyte.
    const env = { ...options.env, GOTMPDIR: temporary };
    await compile(source, join(made, PROGRAM), { ...options, env });
    for (const done of [source, temporary]) await rm(done, { recursive: true });
    await rename(made, folder);
  } catch (error) {
    // A compiler may outlive its Go for a moment, and still write.
    await rm(made, { recursive: true, force: true, maxRetries: 5 });
    // Another one was quicker.
    if (existsSync(join(folder, PROGRAM))) return;
    throw error;
  }
}

/** Returns the module's folder in Go's own cache. */
async function download(cwd: string, { env, signal }: Build): Promise<string> {
  const answer = await runGo(['mod', 'download', '-json', MODULE], { cwd, env, signal });
  const { Dir, Sum } = JSON.parse(answer) as { Dir?: string; Sum?: string };
  if (Sum !== CHECKSUM) throw new Error(`the checksum of ${MODULE} is ${Sum}, and must be ${CHECKSUM}`);
  if (!Dir) throw new Error(`go mod download names no folder for ${MODULE}`);
  return Dir;
}

/** Folders are made anew: those of Go's cache are read-only, and a copy that is could be removed by root alone. */
async function copyModule(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyModule(source, target);
    else await copyFile(source, target);
  }
}

async function compile(cwd: string, to: string, { env, signal, onProgress }: Build): Promise<void> {
  let compiled = 0;
  const say = setInterval(
    () => onProgress?.(`building Jaeger: ${compiled} of ${PACKAGES} packages compiled`),
    SAY_MS,
  );
  // With -v each package that was compiled is a line of its own, without a space.
  const takes = (line: string) => {
    if (!/^[^\s:]+$/.test(line)) return false;
    compiled++;
    return true;
  };
  const flags = ['-v', '-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags', '-s -w', '-o', to];
  try {
    await runGo(['build', ...flags, './cmd/jaeger'], { cwd, env, signal, takes });
  } finally {
    clearInterval(say);
  }
}

async function removeLeftovers(folder: string): Promise<void> {
  const parent = dirname(folder);
  for (const name of await readdir(parent)) {
    if (!name.startsWith(`${basename(folder)}.new-`)) continue;
    const { mtimeMs } = await stat(join(parent, name));
    if (Date.now() - mtimeMs > LEFTOVER_MS) await rm(join(parent, name), { recursive: true, force: true });
  }
}
