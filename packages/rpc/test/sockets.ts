import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export type RawClient = AsyncDisposable & {
  socket: Socket;
  write(bytes: string | Buffer): Promise<void>;
  /** All that came so far. */
  received(): string;
  /** Resolves with all that came, once the server has ended the connection. */
  ended: Promise<string>;
};

/** A connection that speaks no protocol by itself. */
export async function rawConnection({ port }: { port: number }): Promise<RawClient> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  await once(socket, 'connect');
  const chunks: Buffer[] = [];
  const received = () => Buffer.concat(chunks).toString('latin1');
  socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
  socket.on('error', () => {});
  const ended = once(socket, 'close').then(received);
  const write = (bytes: string | Buffer) =>
    new Promise<void>((resolve) => {
      socket.write(bytes, () => resolve());
    });
  return { socket, write, received, ended, [Symbol.asyncDispose]: async () => void socket.destroy() };
}

/** One turn of the other side's loop, so that bytes written apart also arrive apart. */
export const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));
