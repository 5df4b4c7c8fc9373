import { createConnection } from 'node:net';

export interface AskOptions {
  readonly port: number;
  readonly password?: string | undefined;
  /** 1 s when left out. */
  readonly timeoutMs?: number;
}

/**
 * Gives a Redis on 127.0.0.1 one command on a connection of its own, and resolves with the answer when that is one line, as those of PING, FLUSHALL,
 * CONFIG SET and INCR are. Rejects with the server's words when it refuses, or when nobody answers in time.
 */
export async function askRedis(
  { port, password, timeoutMs = 1_000 }: AskOptions,
  ...command: readonly string[]
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const commands = [...(password === undefined ? [] : [['AUTH', password]]), command];
  const socket = createConnection({ host: '127.0.0.1', port, timeout: timeoutMs }, () => {
    socket.write(commands.map(encoded).join(''));
  });
  let text = '';
  socket
    .setEncoding('utf8')
    .on('data', (chunk: string) => {
      text += chunk;
      const answers = text.split('\r\n').slice(0, -1);
      const refusal = answers.find((line) => line.startsWith('-'));
      if (refusal !== undefined) reject(new Error(refusal.slice(1)));
      if (answers.length === commands.length) resolve(answers.at(-1)?.slice(1) ?? '');
    })
    .once('timeout', () => reject(new Error(`no answer within ${timeoutMs} ms`)))
    .once('error', reject)
    .once('close', () => reject(new Error('the connection was closed')));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

/** A command as RESP has it: an array of strings. */
function encoded(command: readonly string[]): string {
  const strings = command.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return `*${command.length}\r\n${strings.join('')}`;
}
