import { once } from 'node:events';
import { createConnection, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { openProxy, type Way } from '../faults/proxy.ts';

/** Answers what it is sent. */
async function openEcho(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.on('error', () => undefined).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      server.close();
    },
  };
}

async function connect({ port }: Way): Promise<Socket> {
  const socket = createConnection({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  return socket;
}

async function say(socket: Socket, text: string): Promise<string> {
  let heard = '';
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const onData = (chunk: Buffer) => {
    heard += chunk;
    if (heard.length >= text.length) resolve(heard);
  };
  socket.on('data', onData).once('error', reject);
  socket.write(text);
  return await promise.finally(() => socket.off('data', onData).off('error', reject));
}

test('it passes what it gets, whole and in order, both ways', async () => {
  await using echo = await openEcho();
  await using proxy = await openProxy({ name: 'echo', target: echo.port });
  const socket = await connect(proxy);
  const text = Array.from({ length: 200_000 }, (_, n) => String(n)).join(' ');
  expect(await say(socket, text)).toBe(text);
  expect(proxy.connections).toBe(1);
  socket.end();
  await once(socket, 'close');
});

test('while it stalls nothing comes; afterwards all of it does', async () => {
  await using echo = await openEcho();
  await using proxy = await openProxy({ name: 'echo', target: echo.port });
  const socket = await connect(proxy);
  expect(await say(socket, 'before')).toBe('before');
  await proxy.set({ kind: 'stall' });
  let heard = '';
  socket.on('data', (chunk: Buffer) => {
    heard += chunk;
  });
  socket.write('held');
  // Another way to the same server is open, so what takes the stalled one as long has had its time.
  await using open = await openProxy({ name: 'echo', target: echo.port });
  const other = await connect(open);
  for (let n = 0; n < 50; n += 1) await say(other, 'ping');
  expect(heard).toBe('');
  await proxy.set({ kind: 'pass' });
  await expect.poll(() => heard).toBe('held');
  socket.destroy();
  other.destroy();
});

test('it delays and throttles', async () => {
  await using echo = await openEcho();
  await using proxy = await openProxy({ name: 'echo', target: echo.port });
  const socket = await connect(proxy);
  await proxy.set({ kind: 'delay', ms: 60, jitterMs: 0 });
  const began = performance.now();
  await say(socket, 'late');
  expect(performance.now() - began).toBeGreaterThanOrEqual(115);
  await proxy.set({ kind: 'throttle', bytesPerSecond: 20_000 });
  const slow = performance.now();
  expect(await say(socket, 'x'.repeat(4_000))).toHaveLength(4_000);
  expect(performance.now() - slow).toBeGreaterThanOrEqual(380);
  socket.destroy();
});

test('a reset ends what is connected and nothing else; refusing keeps others out', async () => {
  await using echo = await openEcho();
  await using proxy = await openProxy({ name: 'echo', target: echo.port });
  const socket = await connect(proxy);
  await say(socket, 'there');
  const cut = once(socket, 'error');
  expect(proxy.reset()).toBe(1);
  expect(await cut).toMatchObject([{ code: 'ECONNRESET' }]);
  const again = await connect(proxy);
  expect(await say(again, 'again')).toBe('again');
  const refused = once(again, 'error');
  await proxy.set({ kind: 'refuse' });
  expect(await refused).toMatchObject([{ code: 'ECONNRESET' }]);
  await expect(connect(proxy)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  await proxy.set({ kind: 'pass' });
  const last = await connect(proxy);
  expect(await say(last, 'back')).toBe('back');
  last.destroy();
});
