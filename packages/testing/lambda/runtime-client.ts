import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../cache.ts';
import type { InstallOptions } from '../go/program.ts';
import { madeOnce } from '../made-once.ts';

const run = promisify(execFile);

const NAME = 'aws-lambda-ric';
const VERSION = '4.0.2';
/** What this release is; looked at before any of it runs. */
const INTEGRITY =
  'sha512-FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==';
/** Of the package: the program, what it is told by, and what is built for it. */
const KEPT = ['index.mjs', 'package.json', 'rapid-client.node'];

/**
 * Makes AWS' runtime interface client for Node in the cache, unless it is there, and returns its main module: what calls a function's handler on
 * AWS. Its native part is compiled, which needs cmake, make, a C++ compiler and Python. Rejects with what is missing.
 */
export async function installRuntimeClient(
  onProgress?: (step: string) => void,
  { env = process.env }: Pick<InstallOptions, 'env'> = {},
): Promise<string> {
  const folder = join(cacheFolder(env), `${NAME}-${VERSION}-${process.platform}-${process.arch}`);
  const main = join(folder, 'index.mjs');
  if (existsSync(main)) return main;
  await checkTools(env);
  return await madeOnce({
    folder,
    holds: 'index.mjs',
    make: (made) => make(made, env, onProgress),
    onWait: () => onProgress?.(`waiting for another process that makes ${NAME} ${VERSION}`),
  });
}

async function checkTools(env: NodeJS.ProcessEnv): Promise<void> {
  const why = `${NAME}, AWS' own runtime for Node,`;
  if (process.platform !== 'linux') throw new Error(`${why} can be built on Linux alone`);
  for (const tool of ['cmake', 'make', 'c++', 'python3', 'xz'])
    await run(tool, ['--version'], { env }).catch((cause: unknown) => {
      const remedy = 'apt-get install cmake make g++ python3 xz-utils';
      throw new Error(`${why} is compiled once, and there is no ${tool} that runs: ${remedy}`, { cause });
    });
}

async function make(
  made: string,
  env: NodeJS.ProcessEnv,
  onProgress: ((step: string) => void) | undefined,
): Promise<void> {
  onProgress?.(`building ${NAME} ${VERSION} once, two minutes`);
  await writeFile(join(made, 'package.json'), '{ "private": true }');
  await step(made, env, 'npm', [
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    `${NAME}@${VERSION}`,
  ]);
  const lock = await readFile(join(made, 'node_modules', '.package-lock.json'), 'utf8');
  const { packages } = JSON.parse(lock) as { packages: Record<string, { integrity?: string }> };
  const { integrity } = packages[`node_modules/${NAME}`] ?? {};
  if (integrity !== INTEGRITY)
    throw new Error(`the integrity of ${NAME}@${VERSION} is ${integrity}, and must be ${INTEGRITY}`);
  const client = join(made, 'node_modules', NAME);
  for (const script of ['preinstall', 'postinstall']) await step(client, env, `./scripts/${script}.sh`, []);
  for (const file of KEPT) await copyFile(join(client, file), join(made, file));
  for (const done of ['node_modules', 'package-lock.json'])
    await rm(join(made, done), { recursive: true, force: true });
}

/** Gives way to whatever else runs on this machine. */
async function step(
  cwd: string,
  { PATH, ...env }: NodeJS.ProcessEnv,
  program: string,
  args: readonly string[],
): Promise<void> {
  const node = dirname(process.execPath);
  // The headers that came with this Node; without them they would be fetched.
  const headers = dirname(node);
  const own: NodeJS.ProcessEnv = {
    ...env,
    PATH: `${node}:${PATH}`,
    ...(existsSync(join(headers, 'include', 'node', 'node_api.h')) && { npm_config_nodedir: headers }),
  };
  try {
    await run('nice', ['-n', '15', program, ...args], { cwd, env: own, maxBuffer: 64 * 1024 * 1024 });
  } catch (error) {
    const { stderr = '', stdout = '' } = error as { stderr?: string; stdout?: string };
    const why = (stderr.trim() || stdout.trim() || String(error)).slice(-2_000);
    throw new Error(`building ${NAME} ${VERSION}: ${program} failed:\n${why}`, { cause: error });
  }
}
