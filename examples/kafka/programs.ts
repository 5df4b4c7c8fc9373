import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { obtainKafka } from '@tradewind/testing/kafka';

const run = promisify(execFile);
const examples = fileURLToPath(new URL('..', import.meta.url));
/** The first time, programs are built and environments made. */
const TIMEOUT_MS = 300_000;

export type Language = 'go' | 'python';

/** Runs an example in another language; gives what it printed. Rejects with its last words when it fails. */
export async function runExample(language: Language, args: readonly string[]): Promise<string> {
  return await output(`${examples}${language}/kafka.sh`, args);
}

/** Puts a record for each line of a file by Java's own producer. */
export async function runJavaKeys(servers: string, topic: string, file: string): Promise<string> {
  const { java, classPath } = await obtainKafka();
  return await output(java.program, ['-cp', classPath, `${examples}java/Keys.java`, servers, topic, file]);
}

async function output(program: string, args: readonly string[]): Promise<string> {
  try {
    const { stdout } = await run(program, args, { timeout: TIMEOUT_MS, maxBuffer: 16 * 1024 * 1024 });
    return stdout;
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    const words = `${stdout}${stderr}`.trim().split('\n').slice(-20).join('\n');
    throw new Error(`${program} ${args.join(' ')} failed:\n${words}`, { cause: error });
  }
}
