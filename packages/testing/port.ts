import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';

/**
 * Below the ports that Linux (32768 on) and macOS (49152 on) give to outgoing connections: while the port's process is away, a client that tries
 * again and again could get the very port as its own, and connect to itself.
 */
const FROM = 10_240;
const TO = 32_000;
const given = new Set<number>();

/** A port of 127.0.0.1 that is free now, and another one each time. Nobody keeps it free: bind it soon. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FROM, TO);
    if (given.has(port)) continue;
    given.add(port);
    if (await isFree(port)) return port;
  }
}

/** Rejects when a port of 127.0.0.1 is taken: quicker than to ask the program that is to have it. */
export async function checkFree(port: number): Promise<void> {
  await bindOnce(port).catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE' ? new Error(`port ${port} is taken by another program`) : error;
  });
}

async function isFree(port: number): Promise<boolean> {
  return await bindOnce(port).then(
    () => true,
    () => false,
  );
}

async function bindOnce(port: number): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const server = createServer().once('error', reject);
  server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve()));
  await promise;
}
