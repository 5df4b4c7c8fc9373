import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { cacheFolder } from '../cache.ts';
import { findJava, type Java } from './java.ts';

const run = promisify(execFile);

export const KAFKA_VERSION = '4.3.1';

/** A Kafka that can be started. */
export interface KafkaFiles {
  /** The cache's folder of it; complete whenever it is there. */
  readonly folder: string;
  readonly java: Java;
  /** Of all its jars, always in the same order, for the class archive compares it. */
  readonly classPath: string;
  /** Where the class archive of this Java is, or will be. */
  readonly classArchive: string;
}

/** What Maven is asked for: the broker, its tools, and a logger for both. */
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>tradewind</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.4</version></dependency>
  </dependencies>
</project>
`;

const LOGGING = `status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c{1})%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
`;

/**
 * Gets Kafka's jars from Maven Central into the cache, unless they are there. Safe when several do it at once: the folder appears whole
 * or not at all. Rejects with what to do when Java or Maven is missing, or Maven can't get them.
 */
export async function installKafka(
  onProgress?: (step: string) => void,
  env: NodeJS.ProcessEnv = process.env,
): Promise<KafkaFiles> {
  const java = await findJava(env);
  const cache = cacheFolder(env);
  const folder = join(cache, `kafka-${KAFKA_VERSION}`);
  if (!(await stat(folder).catch(() => undefined))) {
    onProgress?.(`getting Apache Kafka ${KAFKA_VERSION} from Maven Central, 47 MB, once`);
    await download(cache, folder, env);
  }
  const jars = (await readdir(join(folder, 'jars'))).filter((name) => name.endsWith('.jar')).sort();
  return {
    folder,
    java,
    classPath: jars.map((name) => join(folder, 'jars', name)).join(delimiter),
    classArchive: join(folder, `classes-${java.version}.jsa`),
  };
}

async function download(cache: string, folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  await mkdir(cache, { recursive: true });
  const made = await mkdtemp(`${folder}.new-`);
  try {
    await writeFile(join(made, 'pom.xml'), POM);
    await writeFile(join(made, 'log4j2.properties'), LOGGING);
    await maven(made, env);
    await rename(made, folder);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    // Another one was quicker.
    if (await stat(folder).catch(() => undefined)) return;
    throw error;
  }
}

async function maven(folder: string, env: NodeJS.ProcessEnv): Promise<void> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${folder}/jars`];
  try {
    // Checksums that are wrong end it.
    await run('mvn', ['-B', '-q', '-C', '-f', join(folder, 'pom.xml'), ...goal], { env, cwd: folder });
  } catch (error) {
    const { code, stdout = '' } = error as NodeJS.ErrnoException & { stdout?: string };
    const why =
      code === 'ENOENT'
        ? 'needs Maven (mvn), which is not on the PATH: install it (Debian: apt-get install maven; macOS: brew install maven)'
        : `failed: ${stdout.trim().split('\n').slice(0, 5).join('\n') || String(error)}`;
    throw new Error(`getting Apache Kafka ${KAFKA_VERSION} ${why}`, { cause: error });
  }
}
