import { fullJitter } from '@tradewind/process/backoff';
import { reasonOf } from '@tradewind/process/wait-for';
import type { Logger } from '@tradewind/telemetry/logger';
import { Redis } from 'iovalkey';
import { Outage } from './outage.ts';
import type { Script } from './scripts.ts';

export interface LinkOptions {
  /** `redis://` or `rediss://`. */
  readonly url: string;
  /** What it is for, in the log. */
  readonly purpose: string;
  /** How long a command may take. */
  readonly timeoutMs: number;
  readonly logger: Logger;
}

/** One connection to one life of a Redis server. What was acknowledged in another life may be gone, or old again. */
export interface Life {
  /** The server's own name for its life. */
  readonly run: string;
  /** Since when the connection is there, as performance.now() tells it. */
  readonly since: number;
}

/** Redis did not do it, or nobody knows whether it did. Has the words alone: the client's own errors carry all that was sent. */
export class RedisFailure extends Error {
  constructor(error: unknown) {
    super(reasonOf(error));
  }
}

const RECONNECT = { baseMs: 50, capMs: 1_000 };
const CONNECT_MS = 2_000;
/** A connection on which nothing comes for so long though something should is given up. */
const SILENCE_MS = 5_000;

/** A connection to Redis that comes back by itself. Nothing waits in it while it is away, and nothing is sent twice. */
export class Link implements AsyncDisposable {
  readonly #redis: Redis;
  readonly #outage: Outage;
  readonly #listeners = new Set<() => void>();
  readonly #timeoutMs: number;
  #life: Life | undefined;
  #asking: NodeJS.Timeout | undefined;
  #ended = false;

  constructor({ url, purpose, timeoutMs, logger }: LinkOptions) {
    this.#timeoutMs = timeoutMs;
    this.#outage = new Outage(logger, `Redis, for ${purpose}`);
    this.#redis = new Redis(url, {
      connectionName: `tradewind ratings ${purpose}`,
      enableOfflineQueue: false,
      autoResendUnfulfilledCommands: false,
      // With this, what is under way fails as soon as the connection is lost, instead of never.
      maxRetriesPerRequest: 0,
      commandTimeout: timeoutMs,
      connectTimeout: CONNECT_MS,
      socketTimeout: Math.max(SILENCE_MS, 2 * timeoutMs),
      keepAlive: 10_000,
      retryStrategy: (times) => 20 + fullJitter(times - 1, RECONNECT),
    });
    this.#redis.on('error', (error: unknown) => this.#outage.goesOn(reasonOf(error)));
    this.#redis.on('ready', () => void this.#learn());
    this.#redis.on('close', () => this.#lost());
  }

  /** The one that it is connected to; undefined while it is not. */
  get life(): Life | undefined {
    return this.#life;
  }

  /** Why it can't be used, for people; undefined when it can. */
  get trouble(): string | undefined {
    return this.#life ? undefined : (this.#outage.reason ?? 'not connected yet');
  }

  /** Calls back each time that it can be used again. */
  onReady(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /**
   * Runs a script, once at most, and only in that life. Rejects with RedisFailure.
   * @param keys the arguments that are keys
   * @param args those that are not
   */
  async run(
    life: Life,
    { sha, text }: Script,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<unknown> {
    try {
      return await this.#in(life, () => this.#redis.evalsha(sha, keys.length, ...keys, ...args));
    } catch (error) {
      if (!reasonOf(error).startsWith('NOSCRIPT')) throw error;
      return await this.#in(life, () => this.#redis.eval(text, keys.length, ...keys, ...args));
    }
  }

  /** A step through all keys that match: the next cursor, `0` at the end, and keys, some maybe twice. */
  async scan(life: Life, cursor: string, pattern: string, count: number): Promise<[string, string[]]> {
    return await this.#in(life, () => this.#redis.scan(cursor, 'MATCH', pattern, 'COUNT', count));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#lost();
    this.#redis.disconnect();
    // One that does not answer would keep its half of the connection, and with it this process.
    this.#redis.stream?.destroy();
  }

  async #in<T>(life: Life, command: () => Promise<T>): Promise<T> {
    if (this.#life !== life) throw new RedisFailure('the connection was lost');
    return await command().catch((error: unknown) => {
      throw new RedisFailure(error);
    });
  }

  async #learn(): Promise<void> {
    const since = performance.now();
    const { stream } = this.#redis;
    try {
      const run = /^run_id:(\w+)/m.exec(await this.#redis.info('server'))?.[1];
      if (this.#ended || this.#redis.stream !== stream) return;
      if (run === undefined) throw new Error('the server does not name its life (run_id)');
      this.#life = { run, since };
      this.#outage.over();
      for (const listener of this.#listeners) listener();
    } catch (error) {
      if (this.#ended || this.#redis.stream !== stream) return;
      this.#outage.goesOn(reasonOf(error));
      this.#asking = setTimeout(() => void this.#learn(), Math.max(1_000, this.#timeoutMs));
    }
  }

  #lost(): void {
    clearTimeout(this.#asking);
    this.#life = undefined;
  }
}
