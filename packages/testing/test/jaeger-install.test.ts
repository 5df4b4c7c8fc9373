import { chmod, mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { getPriority, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installJaeger, JAEGER_VERSION } from '../jaeger/install.ts';

const NAME = `jaeger-${JAEGER_VERSION}`;
const CHECKSUM = 'h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=';
let folder = '';
let cache = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'jaeger-install-'));
  cache = join(folder, 'cache');
  // As Go's own cache has it.
  await mkdir(join(folder, 'module', 'cmd'), { recursive: true });
  await writeFile(join(folder, 'module', 'cmd', 'main.go'), 'package main', { mode: 0o444 });
  await chmod(join(folder, 'module', 'cmd'), 0o555);
});
afterEach(async () => {
  await chmod(join(folder, 'module', 'cmd'), 0o755);
  await rm(folder, { recursive: true, force: true });
});

const env = () => ({ PATH: `${folder}:/usr/bin:/bin`, TRADEWIND_CACHE: cache });
const install = (onProgress?: (step: string) => void) => installJaeger(onProgress, { env: env() });
const program = () => join(cache, NAME, 'jaeger');

/** Stands for Go, first on the PATH: `build` is what it does where it has the source before it and the place for the program in $out. */
async function go({ version = '1.26.8', checksum = CHECKSUM, build = 'echo built > "$out"' } = {}) {
  const module = JSON.stringify({ Dir: join(folder, 'module'), Sum: checksum });
  const script = `#!/bin/sh
case $1 in
  version) echo "go version go${version} linux/amd64" ;;
  mod) echo '${module}' ;;
  build)
    echo "$@" >> "${folder}/builds"
    for word; do [ "$previous" = -o ] && out=$word; previous=$word; done
    ${build} ;;
esac
`;
  await writeFile(join(folder, 'go'), script);
  await chmod(join(folder, 'go'), 0o755);
}
const builds = async () => (await readFile(join(folder, 'builds'), 'utf8')).trim().split('\n');

test('a machine without Go, or with an old one, is told what is missing and how to get it', async () => {
  await expect(installJaeger(undefined, { env: { ...env(), PATH: folder } })).rejects.toThrow(
    `building Jaeger ${JAEGER_VERSION} needs Go 1.21 or newer, and none is on the PATH: install one (https://go.dev`,
  );
  await go({ version: '1.19.8' });
  await expect(install()).rejects.toThrow('and the one on the PATH is 1.19.8: install one');
  await go({ version: '1.21rc2' });
  expect(await install()).toBe(program());
});

test('it is built from a copy of the module, gives way to others, and then is there without Go', async () => {
  await go({ build: 'cat cmd/main.go > "$out"; nice >> "$out"; touch cmd/generated.go' });
  const steps: string[] = [];
  expect(await install((step) => steps.push(step))).toBe(program());
  expect(steps).toEqual([`building Jaeger ${JAEGER_VERSION} from its Go module once, several minutes`]);
  const priority = Math.min(19, getPriority() + 15);
  expect(await readFile(program(), 'utf8')).toBe(`package main${priority}\n`);
  expect(await builds()).toEqual([expect.stringMatching(/^build .*-trimpath .* \.\/cmd\/jaeger$/)]);
  expect(await readdir(cache)).toEqual([NAME]);
  expect(await readdir(join(cache, NAME))).toEqual(['jaeger']);
  await rm(join(folder, 'go'));
  expect(await install()).toBe(program());
});

test('a build that fails says why without what was compiled, leaves nothing, and is tried again', async () => {
  await go({
    build: 'printf "internal/abi\\ngolang.org/x/net\\n./main.go:1: no such thing\\n" >&2; exit 1',
  });
  await expect(install()).rejects.toThrow(
    /^go build failed \(exit code 1\):\n\.\/main\.go:1: no such thing$/,
  );
  expect(await readdir(cache)).toEqual([]);
  await go();
  expect(await install()).toBe(program());
});

test('a module with another checksum is not built', async () => {
  await go({ checksum: 'h1:other' });
  await expect(install()).rejects.toThrow(`is h1:other, and must be ${CHECKSUM}`);
  expect(await readdir(cache)).toEqual([]);
});

test('several at once: one builds, the others wait for it and have it', async () => {
  const steps: string[] = [];
  const both = async () => {
    await go({ build: `while [ ! -e "${folder}/go-on" ]; do sleep 0.01; done; echo built > "$out"` });
    const first = install();
    await expect.poll(() => builds().catch(() => [])).toHaveLength(1);
    const second = install((step) => steps.push(step));
    await expect.poll(() => steps).toHaveLength(1);
    await writeFile(join(folder, 'go-on'), '');
    return await Promise.all([first, second]);
  };
  expect(await both()).toEqual([program(), program()]);
  expect(steps).toEqual([`waiting for another process that builds Jaeger ${JAEGER_VERSION}`]);
  expect(await builds()).toHaveLength(1);
  expect(await readdir(cache)).toEqual([NAME]);
});

test('what a killed build left behind neither stops the next one nor stays', async () => {
  await go();
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  await mkdir(join(cache, `${NAME}.new-killed`), { recursive: true });
  await utimes(join(cache, `${NAME}.new-killed`), yesterday, yesterday);
  await mkdir(join(cache, `${NAME}.new-alive`));
  await writeFile(join(cache, `${NAME}.lock`), 'killed');
  await utimes(join(cache, `${NAME}.lock`), yesterday, yesterday);
  expect(await install()).toBe(program());
  expect((await readdir(cache)).sort()).toEqual([NAME, `${NAME}.new-alive`]);
});

test('a signal ends the build, and nothing of it is left', async () => {
  await go({
    build: `trap 'echo asked > "${folder}/asked"; exit 1' INT; while true; do sleep 0.01; done`,
  });
  const giveUp = new AbortController();
  const building = installJaeger(undefined, { env: env(), signal: giveUp.signal });
  await expect.poll(() => builds().catch(() => [])).toHaveLength(1);
  giveUp.abort(new Error('enough'));
  await expect(building).rejects.toThrow('enough');
  expect(await readFile(join(folder, 'asked'), 'utf8')).toBe('asked\n');
  expect(await readdir(cache)).toEqual([]);
});
