import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

const DEADLINE_MS = 90_000;
const ANSWER_MS = 2_000;

/**
 * Resolves when a broker answers on its plain port and has joined its cluster, so that topics can be made. Rejects when it ends before,
 * and after 90 s.
 */
export async function untilAnswering(port: number, ended: Promise<string>): Promise<void> {
  let end: string | undefined;
  void ended.then((how) => {
    end = how;
  });
  const deadline = Date.now() + DEADLINE_MS;
  for (let reason = 'not asked yet'; ; await sleep(30)) {
    if (end !== undefined) throw new Error(`it ended (${end})`);
    if (Date.now() > deadline) throw new Error(`no answer within ${DEADLINE_MS / 1000} s: ${reason}`);
    try {
      const { brokers, controller } = await clusterOf(port);
      if (brokers > 0 && controller >= 0) return;
      reason = 'it is no member of its cluster yet';
    } catch (error) {
      reason = error instanceof Error ? error.message : String(error);
    }
  }
}

/** Metadata, version 1, about no topic: a client library would bring a hundred times of what these two numbers need. */
async function clusterOf(port: number): Promise<{ brokers: number; controller: number }> {
  const answer = await exchange(port, [0, 3, 0, 1, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0]);
  const brokers = answer.readInt32BE(4);
  let at = 8;
  const skipText = () => {
    at += 2 + Math.max(0, answer.readInt16BE(at));
  };
  for (let broker = 0; broker < brokers; broker++) {
    at += 4;
    skipText();
    at += 4;
    skipText();
  }
  return { brokers, controller: answer.readInt32BE(at) };
}

/** Sends one request and returns its answer, without its length. */
async function exchange(port: number, request: readonly number[]): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect({ port, host: '127.0.0.1', timeout: ANSWER_MS });
  let answer = Buffer.alloc(0);
  socket
    .on('connect', () => socket.write(Buffer.from([0, 0, 0, request.length, ...request])))
    .on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      if (answer.length >= 4 && answer.length >= 4 + answer.readInt32BE(0)) resolve(answer.subarray(4));
    })
    .on('timeout', () => reject(new Error('no answer')))
    .on('error', reject)
    .on('close', () => reject(new Error('it closed the connection')));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
