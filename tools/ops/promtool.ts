import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '@tradewind/testing/cache';

const run = promisify(execFile);

/** Of the Go module; the Prometheus in docker-compose.yml is a release before it. */
export const PROMETHEUS_VERSION = '0.307.3';
const MODULE = `github.com/prometheus/prometheus@v${PROMETHEUS_VERSION}`;
/** What this release is, also where nobody's checksum database is asked. */
const CHECKSUM = 'h1:zGIN3EpiKacbMatcUL2i6wC26eRWXdoXfNPjoBc2l34=';

/**
 * Builds promtool from Prometheus' Go module into the cache (`TRADEWIND_CACHE`, else `~/.cache/tradewind`), unless it is there, and returns
 * its path. The folder appears whole or not at all. Rejects with what to do when Go is missing.
 */
export async function installPromtool(onProgress: (step: string) => void): Promise<string> {
  const folder = join(cacheFolder(), `promtool-${PROMETHEUS_VERSION}`);
  const program = join(folder, 'promtool');
  if (existsSync(program)) return program;
  onProgress(`building promtool ${PROMETHEUS_VERSION} from its Go module once, a minute or several`);
  await mkdir(dirname(folder), { recursive: true });
  const made = await mkdtemp(`${folder}.new-`);
  try {
    const source = join(made, 'source');
    await copyModule(await download(made), source);
    // Its plugins look for targets in clouds, and are three quarters of the build; the smallest set is a file of its own.
    await rm(join(source, 'plugins', 'plugins.go'));
    const flags = ['-trimpath', '-buildvcs=false', '-mod=readonly', '-ldflags', '-s -w'];
    await go(['build', ...flags, '-o', join(made, 'promtool'), './cmd/promtool'], source);
    await rm(source, { recursive: true });
    await rename(made, folder);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    // Another one was quicker.
    if (!existsSync(program)) throw error;
  }
  return program;
}

async function download(cwd: string): Promise<string> {
  const { Dir, Sum } = JSON.parse(await go(['mod', 'download', '-json', MODULE], cwd)) as {
    Dir: string;
    Sum: string;
  };
  if (Sum !== CHECKSUM) throw new Error(`the checksum of ${MODULE} is ${Sum}, and must be ${CHECKSUM}`);
  return Dir;
}

/** Gives way to whatever else runs on this machine. */
async function go(args: readonly string[], cwd: string): Promise<string> {
  try {
    const env = { ...process.env, GOWORK: 'off', GOFLAGS: '' };
    return (await run('nice', ['-n', '15', 'go', ...args], { cwd, env, maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch (error) {
    const { code, stderr = '' } = error as { code?: string | number; stderr?: string };
    const missing = code === 'ENOENT' || code === 127;
    const why = missing
      ? 'needs Go, which is not on the PATH: https://go.dev/dl'
      : stderr.trim().slice(-2_000);
    throw new Error(`building promtool ${PROMETHEUS_VERSION}: ${why || String(error)}`, { cause: error });
  }
}

/** Folders are made anew: those of Go's cache are read-only. */
async function copyModule(from: string, to: string): Promise<void> {
  await mkdir(to);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyModule(source, target);
    else await copyFile(source, target);
  }
}
