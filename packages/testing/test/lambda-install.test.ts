import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { installRuntimeClient } from '../lambda/runtime-client.ts';

const INTEGRITY =
  'sha512-FE5Vskx7mYNnqAnWWJXUOsLp2VGgdsJsCoRLFTa8L4Yk0QVtArqR8q58yPA++QC1a73ZWJXBQ2AH31nIAv7NOQ==';
let folder = '';
let cache = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lambda-install-'));
  cache = join(folder, 'cache');
  for (const tool of ['cmake', 'make', 'c++', 'python3', 'xz']) await program(tool, 'exit 0');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function program(name: string, script: string) {
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, name), 0o755);
}

/** Stands for npm: installs a package whose scripts do that. */
async function npm({ integrity = INTEGRITY, postinstall = 'echo native > rapid-client.node' } = {}) {
  const lock = JSON.stringify({ packages: { 'node_modules/aws-lambda-ric': { integrity } } });
  await program(
    'npm',
    `echo "$@" >> "${folder}/asked"
    mkdir -p node_modules/aws-lambda-ric/scripts; touch package-lock.json
    echo '${lock}' > node_modules/.package-lock.json
    cd node_modules/aws-lambda-ric; echo client > index.mjs; echo '{}' > package.json; echo much > README.md
    for name in preinstall postinstall; do echo '#!/bin/sh' > scripts/$name.sh; chmod +x scripts/$name.sh; done
    echo '${postinstall}' >> scripts/postinstall.sh`,
  );
}

const install = (onProgress?: (step: string) => void) =>
  installRuntimeClient(onProgress, { env: { PATH: `${folder}:/usr/bin:/bin`, TRADEWIND_CACHE: cache } });

// Elsewhere there is nothing to build.
describe.runIf(process.platform === 'linux')("AWS' runtime client", () => {
  test('a machine that lacks what compiles is told what, and how to get it', async () => {
    await program('cmake', 'exit 1');
    await expect(install()).rejects.toThrow(/there is no cmake that runs: apt-get install cmake make g\+\+/);
  });

  test('it is made from the package of that integrity, keeps what is needed, and then is there without npm', async () => {
    await npm();
    const steps: string[] = [];
    const main = await install((step) => steps.push(step));
    expect(steps).toEqual(['building aws-lambda-ric 4.0.2 once, two minutes']);
    expect(await readFile(join(folder, 'asked'), 'utf8')).toMatch(
      /^install --ignore-scripts .*aws-lambda-ric@4\.0\.2$/m,
    );
    expect((await readdir(dirname(main))).sort()).toEqual(['index.mjs', 'package.json', 'rapid-client.node']);
    expect(await readdir(cache)).toHaveLength(1);
    await rm(join(folder, 'npm'));
    expect(await install()).toBe(main);
  });

  test('one of another integrity is not run', async () => {
    await npm({ integrity: 'sha512-other' });
    await expect(install()).rejects.toThrow(
      /integrity of aws-lambda-ric@4\.0\.2 is sha512-other, and must be/,
    );
    expect(await readdir(cache)).toEqual([]);
  });

  test('a build that fails says why and leaves nothing', async () => {
    await npm({ postinstall: 'echo no such header >&2; exit 1' });
    await expect(install()).rejects.toThrow(/postinstall\.sh failed:\nno such header/);
    expect(await readdir(cache)).toEqual([]);
  });
});
