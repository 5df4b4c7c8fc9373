import { existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cacheFolder } from '../cache.ts';
import { madeOnce } from '../made-once.ts';
import { checkGo, runGo } from './command.ts';

/** A program that others wrote, built from its Go module. */
export interface GoProgram {
  /** As people call it. */
  readonly title: string;
  /** The file, without what Windows adds. */
  readonly name: string;
  /** As people and the cache know it. */
  readonly version: string;
  /** With its version: `github.com/jaegertracing/jaeger@v1.76.0`. */
  readonly module: string;
  /** What this release is, also where nobody's checksum database is asked. */
  readonly checksum: string;
  /** Of the program, in the module: `./cmd/jaeger`. */
  readonly path: string;
  /** For people: how many packages it is compiled from, and how long that takes. */
  readonly packages: string;
  readonly time: string;
}

export interface InstallOptions {
  readonly env?: NodeJS.ProcessEnv;
  readonly signal?: AbortSignal | undefined;
}

interface Build extends Required<Pick<InstallOptions, 'env'>> {
  readonly signal: AbortSignal | undefined;
  readonly onProgress: ((step: string) => void) | undefined;
}

const SAY_MS = 30_000;

/**
 * Builds a program from its Go module into the cache, unless it is there, and returns its path. Several at once: one builds, the others wait; the
 * folder appears whole or not at all. Rejects with what to do when Go is missing or too old, with what Go said when the build fails, and with
 * the signal's reason.
 */
export async function installGoProgram(
  program: GoProgram,
  onProgress?: (step: string) => void,
  { env = process.env, signal }: InstallOptions = {},
): Promise<string> {
  const { title, name, version } = program;
  const folder = join(cacheFolder(env), `${name}-${version}`);
  const holds = process.platform === 'win32' ? `${name}.exe` : name;
  if (existsSync(join(folder, holds))) return join(folder, holds);
  await checkGo(`building ${title} ${version}`, env);
  return await madeOnce({
    folder,
    holds,
    make: (made) => build(program, made, holds, { env, signal, onProgress }),
    onWait: () => onProgress?.(`waiting for another process that builds ${title} ${version}`),
    signal,
  });
}

async function build(program: GoProgram, made: string, holds: string, options: Build): Promise<void> {
  const { title, version, time } = program;
  const [source, temporary] = [join(made, 'source'), join(made, 'temporary')];
  await mkdir(temporary);
  options.onProgress?.(`building ${title} ${version} from its Go module once, ${time}`);
  await copyModule(await download(program, made, options), source);
  // Go leaves its own temporary folder behind when it is ended, and that becomes half a gigabyte.
  const env = { ...options.env, GOTMPDIR: temporary };
  await compile(program, source, join(made, holds), { ...options, env });
  for (const done of [source, temporary]) await rm(done, { recursive: true });
}

/** Returns the module's folder in Go's own cache. */
async function download(
  { module, checksum }: GoProgram,
  cwd: string,
  { env, signal }: Build,
): Promise<string> {
  const answer = await runGo(['mod', 'download', '-json', module], { cwd, env, signal });
  const { Dir, Sum } = JSON.parse(answer) as { Dir?: string; Sum?: string };
  if (Sum !== checksum) throw new Error(`the checksum of ${module} is ${Sum}, and must be ${checksum}`);
  if (!Dir) throw new Error(`go mod download names no folder for ${module}`);
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

async function compile(
  { title, path, packages }: GoProgram,
  cwd: string,
  to: string,
  { env, signal, onProgress }: Build,
): Promise<void> {
  let compiled = 0;
  const say = setInterval(
    () => onProgress?.(`building ${title}: ${compiled} of ${packages} packages compiled`),
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
    await runGo(['build', ...flags, path], { cwd, env, signal, takes });
  } finally {
    clearInterval(say);
  }
}
