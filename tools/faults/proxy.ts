import { once } from 'node:events';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { delay } from '@tradewind/process/backoff';

/** What a network does to what passes. */
export type Weather =
  | { readonly kind: 'pass' }
  /** Each piece comes later: `ms`, and up to `jitterMs` more. */
  | { readonly kind: 'delay'; readonly ms: number; readonly jitterMs: number }
  | { readonly kind: 'throttle'; readonly bytesPerSecond: number }
  /** Nothing passes, and nobody is told. What was under way comes when it passes again. */
  | { readonly kind: 'stall' }
  /** What is connected is reset, and nobody can connect. */
  | { readonly kind: 'refuse' };

export interface Way extends AsyncDisposable {
  /** For people: `order serve ↔ database`. */
  readonly name: string;
  readonly port: number;
  /** Connections that are open now. */
  readonly connections: number;
  set(weather: Weather): Promise<void>;
  /** Resets what is connected; others may connect at once. @returns how many there were */
  reset(): number;
}

export interface ProxyOptions {
  readonly name: string;
  /** Where it listens, on 127.0.0.1; the system chooses when left out. */
  readonly port?: number;
  /** Where it leads, on 127.0.0.1. */
  readonly target: number;
}

/** A TCP proxy between two parts on this machine. */
export async function openProxy(options: ProxyOptions): Promise<Way> {
  const proxy = new TcpWay(options);
  await proxy.listen(options.port ?? 0);
  return proxy;
}

class TcpWay implements Way {
  readonly name: string;
  readonly #target: number;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #weather: Weather = { kind: 'pass' };
  #turned = Promise.withResolvers<void>();
  port = 0;

  constructor({ name, target }: ProxyOptions) {
    this.name = name;
    this.#target = target;
  }

  get connections(): number {
    return this.#sockets.size / 2;
  }

  async listen(port: number): Promise<void> {
    const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#join(client));
    server.listen(port, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port was given');
    this.port = address.port;
    this.#server = server;
  }

  async set(weather: Weather): Promise<void> {
    this.#weather = weather;
    const { resolve } = this.#turned;
    this.#turned = Promise.withResolvers();
    resolve();
    if (weather.kind === 'refuse') {
      this.#server?.close();
      this.#server = undefined;
      this.reset();
    } else if (!this.#server) await this.listen(this.port);
  }

  reset(): number {
    const { connections } = this;
    for (const socket of this.#sockets) socket.resetAndDestroy();
    return connections;
  }

  #join(client: Socket): void {
    const server = createConnection({
      port: this.#target,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
    });
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      // The other end learns of it as it would from the network.
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (!other.writableEnded) other.destroy();
      });
      void this.#pump(socket, other).catch(() => other.resetAndDestroy());
    }
  }

  async #pump(from: Socket, to: Socket): Promise<void> {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      await this.#pass(chunk.length);
      if (to.destroyed) return;
      if (!to.write(chunk)) await room(to);
    }
    await this.#pass(0);
    to.end();
  }

  /** Resolves when a piece of so many bytes may go on. */
  async #pass(bytes: number): Promise<void> {
    for (;;) {
      const weather = this.#weather;
      const turned = this.#turned.promise;
      if (weather.kind === 'stall') await turned;
      else if (weather.kind === 'delay') return await delay(weather.ms + Math.random() * weather.jitterMs);
      else if (weather.kind === 'throttle') {
        // A better network is felt at once.
        const over = await Promise.race([
          delay((bytes / weather.bytesPerSecond) * 1_000),
          turned.then(() => 'turned'),
        ]);
        if (over === undefined) return;
      } else return;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    await this.set({ kind: 'refuse' });
    if (!server) return;
    server.close();
  }
}

/** Resolves when a socket takes more, or never will. */
async function room(socket: Socket): Promise<void> {
  const over = new AbortController();
  const either = ['drain', 'close'].map((event) =>
    once(socket, event, { signal: over.signal }).catch(() => undefined),
  );
  await Promise.race(either).finally(() => over.abort());
}
