import { chmod, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { installKafka, KAFKA_VERSION } from '../kafka/install.ts';
import { findJava } from '../kafka/java.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'kafka-install-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A program of that name, first on the PATH. */
async function program(name: string, script: string): Promise<void> {
  await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(folder, name), 0o755);
}
const java = (version: string) => program('java', `echo 'openjdk version "${version}"' >&2`);
const env = () => ({ PATH: `${folder}:/usr/bin:/bin`, TRADEWIND_CACHE: join(folder, 'cache') });
/** Stands for Maven: puts a jar where it is told to, after `first`. */
const maven = (first = '') =>
  program(
    'mvn',
    `${first}
for word; do case $word in -DoutputDirectory=*) out=\${word#*=} ;; esac; done
mkdir -p "$out" && echo jar > "$out/kafka.jar" && echo run >> "${folder}/runs"`,
  );

test('a machine without Java is told what is missing and how to get it', async () => {
  await expect(findJava({ PATH: folder })).rejects.toThrow(
    /needs Java 17 or newer, and none is on the PATH: install one .*openjdk-17/,
  );
  await expect(findJava({ PATH: folder, JAVA_HOME: '/nowhere' })).rejects.toThrow(
    'none is in JAVA_HOME (/nowhere)',
  );
});

test('an older Java is named with its version, a newer one is taken', async () => {
  await java('11.0.2');
  await expect(findJava(env())).rejects.toThrow('the one on the PATH is 11.0.2');
  await java('1.8.0_392');
  await expect(findJava(env())).rejects.toThrow('is 1.8.0_392');
  await java('21');
  expect(await findJava(env())).toEqual({ program: 'java', version: '21' });
});

test('a machine without Maven is told so, and nothing is left in the cache', async () => {
  await java('17.0.1');
  await expect(installKafka(undefined, { ...env(), PATH: folder })).rejects.toThrow(
    /needs Maven \(mvn\), which is not on the PATH/,
  );
  expect(await readdir(join(folder, 'cache'))).toEqual([]);
});

test('a download that fails says why, leaves nothing, and is tried again the next time', async () => {
  await java('17.0.1');
  await program('mvn', 'echo "[ERROR] the network is down"; exit 1');
  await expect(installKafka(undefined, env())).rejects.toThrow('[ERROR] the network is down');
  expect(await readdir(join(folder, 'cache'))).toEqual([]);
  await maven();
  const { classPath, classArchive } = await installKafka(undefined, env());
  expect(classPath).toBe(join(folder, 'cache', `kafka-${KAFKA_VERSION}`, 'jars', 'kafka.jar'));
  expect(classArchive).toMatch(/classes-17\.0\.1\.jsa$/);
});

test('several that get it at once end with one whole folder, and the next one downloads nothing', async () => {
  await java('17.0.1');
  const runs = join(folder, 'runs');
  // Each waits for the other's start, so that both are under way at once.
  await maven(`echo x >> ${runs}.began; while [ $(wc -l < ${runs}.began) -lt 2 ]; do sleep 0.01; done`);
  const both = await Promise.all([installKafka(undefined, env()), installKafka(undefined, env())]);
  expect(both[0]).toEqual(both[1]);
  expect(await readdir(join(folder, 'cache'))).toEqual([`kafka-${KAFKA_VERSION}`]);
  await program('mvn', 'exit 1');
  expect(await installKafka(undefined, env())).toEqual(both[0]);
});
