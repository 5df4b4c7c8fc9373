import { get } from 'node:http';
import { delay } from '@tradewind/process/backoff';
import { reasonOf } from '@tradewind/process/wait-for';
import type { Supervisor } from './supervisor.ts';

const POLL_MS = 50;
const SAY_EVERY_MS = 5_000;
/** A child that ended this often before it was ready once will not get there. */
const HOPELESS = 5;
const TIMEOUT_MS = 120_000;

export interface ReadyOptions {
  readonly url: string;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

/**
 * Resolves when a child answers 200 on its readiness address. Rejects when it can't start: it says so by exit code 2 (its configuration
 * is wrong), ends again and again, or is not ready within two minutes.
 */
export async function untilReady(child: Supervisor, { url, signal, say }: ReadyOptions): Promise<void> {
  const startedAt = Date.now();
  const endsBefore = child.ends;
  for (let saidAt = startedAt; ; await delay(POLL_MS, signal)) {
    const asked = child.pid;
    const reason = asked === undefined ? 'it does not run' : await probe(url);
    // One that was just killed may have answered with its last breath.
    if (reason === undefined && child.pid === asked) return;
    const ends = child.ends - endsBefore;
    if (ends > 0 && (child.lastEnd === 'exit code 2' || ends >= HOPELESS))
      throw new Error(`${child.name} can't start (${child.lastEnd})`);
    if (Date.now() - startedAt > TIMEOUT_MS)
      throw new Error(`${child.name} is not ready after ${TIMEOUT_MS / 1000} s: ${reason}`);
    if (Date.now() - saidAt > SAY_EVERY_MS) {
      saidAt = Date.now();
      say(`waiting for ${child.name}: ${reason}`);
    }
  }
}

/** Why a child is not ready, in its own words, or undefined when it is. */
async function probe(url: string): Promise<string | undefined> {
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  // A connection of its own, which does not delay the child's shutdown.
  const request = get(url, { agent: false, timeout: 2_000 }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
    });
    response.on('end', () =>
      resolve(response.statusCode === 200 ? undefined : `${response.statusCode} ${body.slice(0, 300)}`),
    );
    response.on('error', (error) => resolve(reasonOf(error)));
  });
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', (error) => resolve(reasonOf(error)));
  return await promise;
}
