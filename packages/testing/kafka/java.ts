import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const OLDEST = 17;

/** A Java that can run Kafka. */
export interface Java {
  /** The program, as it can be spawned. */
  readonly program: string;
  /** As it names itself, such as `17.0.15`. */
  readonly version: string;
}

/** Finds the Java of JAVA_HOME, or of the PATH. Rejects with what to do when there is none, or one that is too old. */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<Java> {
  const program = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin', 'java') : 'java';
  const from = env.JAVA_HOME ? `in JAVA_HOME (${env.JAVA_HOME})` : 'on the PATH';
  const remedy = `install one (Debian: apt-get install openjdk-17-jre-headless; macOS: brew install openjdk@17) or set JAVA_HOME`;
  let said: string;
  try {
    said = (await run(program, ['-version'], { env })).stderr;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    const why = code === 'ENOENT' ? `none is ${from}` : `the one ${from} does not run`;
    throw new Error(`Apache Kafka needs Java ${OLDEST} or newer, and ${why}: ${remedy}`, { cause: error });
  }
  const version = /version "([^"]+)"/.exec(said)?.[1] ?? '0';
  if (Number.parseInt(version, 10) < OLDEST)
    throw new Error(
      `Apache Kafka needs Java ${OLDEST} or newer, and the one ${from} is ${version}: ${remedy}`,
    );
  return { program, version };
}
