import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { delay } from '@tradewind/process/backoff';
import { installEmulator } from './lambda/emulator.ts';
import { installRuntimeClient } from './lambda/runtime-client.ts';
import { freePort } from './port.ts';
import { endInOrder, endOf, isRunning, spawnProgram, troubleIn } from './program.ts';

export interface LambdaOptions {
  /** Where the function's files are, as its zip has them. */
  readonly folder: string;
  /** `index.handler` */
  readonly handler: string;
  /** Seconds that one invocation may take; 5 when left out. */
  readonly timeoutSeconds?: number;
  readonly onProgress?: (step: string) => void;
}

/** A function under AWS' own emulator and AWS' own runtime client, as a container image of AWS has them. */
export interface Lambda extends AsyncDisposable {
  /** Gives an event to the function. Rejects when the emulator does not answer; a function that failed is in the answer. */
  invoke(event: unknown): Promise<unknown>;
  /** What emulator and function have written. */
  log(): Promise<string>;
}

const DEADLINE_MS = 30_000;
const LOOK_MS = 30;
const STOP_MS = 5_000;

/** Starts a function; builds emulator and runtime client first when the cache has none. */
export async function startLambda(options: LambdaOptions): Promise<Lambda> {
  const { folder, handler, timeoutSeconds = 5, onProgress } = options;
  const emulator = await installEmulator(onProgress);
  const client = await installRuntimeClient(onProgress);
  const scratch = await mkdtemp(join(tmpdir(), 'tradewind-lambda-'));
  const logFile = join(scratch, 'lambda.log');
  const [port, runtimePort] = [await freePort(), await freePort()];
  // Nothing of this process's environment, as on AWS.
  const environment = [
    'PATH=/usr/bin:/bin',
    `LAMBDA_TASK_ROOT=${folder}`,
    'AWS_LAMBDA_FUNCTION_NAME=function',
    `AWS_LAMBDA_FUNCTION_TIMEOUT=${timeoutSeconds}`,
  ];
  const emulate = [
    emulator,
    ...['--runtime-interface-emulator-address', `127.0.0.1:${port}`],
    ...['--runtime-api-address', `127.0.0.1:${runtimePort}`],
  ];
  const args = ['-i', ...environment, ...emulate, process.execPath, client, handler];
  const child = spawnProgram('env', args, { logFile, cwd: folder });
  const ended = endOf(child);
  const url = `http://127.0.0.1:${port}/2015-03-31/functions/function/invocations`;
  return {
    async invoke(event) {
      const body = JSON.stringify(event);
      // It opens its port a moment after it began; whatever it answers then is the function's.
      for (const deadline = Date.now() + DEADLINE_MS; ; await delay(LOOK_MS)) {
        const answer = await fetch(url, { method: 'POST', body }).catch((error: unknown) => {
          if (isRunning(child) && Date.now() < deadline) return undefined;
          throw new Error(`the emulator does not answer:\n${troubleIn(logFile)}`, { cause: error });
        });
        if (answer) return JSON.parse(await answer.text());
      }
    },
    log: () => readFile(logFile, 'utf8'),
    async [Symbol.asyncDispose]() {
      await endInOrder(child, ended, STOP_MS);
      await rm(scratch, { recursive: true, force: true });
    },
  };
}
