import { randomUUID } from 'node:crypto';
import { delay } from '@tradewind/process/backoff';
import type { Addresses } from '../load/books.ts';
import type { ExpectedRatings, GivenRating } from '../load/expected-ratings.ts';
import { type Caller, callers, TALK } from './callers.ts';

export interface Tally {
  calls: number;
  /** Attempts that were repeated, by clients that leave that to their callers. */
  retries: number;
  longestMs: number;
  /** What calls said that were not answered. */
  readonly failed: string[];
}

export interface TrafficOptions extends Addresses {
  readonly ratingsUrl: string;
  /** Of each kind. */
  readonly clients: number;
  readonly deadlineMs: number;
}

/** Between two calls of one client at most; half of it on average. */
const PAUSE_MS = 40;

/** Clients of every kind, each calling without end. */
export class Traffic {
  readonly tallies: Readonly<Record<string, Tally>>;
  /** Ids of the orders that were accepted. */
  readonly accepted: string[] = [];
  readonly #given: GivenRating[] = [];
  readonly #stop = new AbortController();
  readonly #clients: Promise<void>[] = [];

  constructor(options: TrafficOptions) {
    const { clients, deadlineMs } = options;
    this.tallies = Object.fromEntries(
      Object.keys(callers).map((kind) => [kind, { calls: 0, retries: 0, longestMs: 0, failed: [] }]),
    );
    for (const [kind, create] of Object.entries(callers)) {
      const tally = this.tallies[kind] as Tally;
      const onRetry = () => {
        tally.retries += 1;
      };
      for (let index = 0; index < clients; index += 1)
        this.#clients.push(this.#client(create({ ...options, deadlineMs, onRetry }), tally));
    }
  }

  /** The ratings that were accepted. A call that failed is a finding in itself. Nobody else rates. */
  get ratings(): ExpectedRatings {
    return { given: this.#given, perhaps: [], mine: () => true };
  }

  /** Resolves when each kind of client has had so many more calls answered. Rejects when one fails to for a minute. */
  async more(calls: number, signal: AbortSignal): Promise<void> {
    const before = Object.values(this.tallies).map((tally) => ({ tally, calls: tally.calls }));
    const late = AbortSignal.timeout(60_000);
    while (before.some(({ tally, calls: then }) => tally.calls < then + calls)) {
      if (late.aborted) throw new Error(`no ${calls} calls of each kind were answered within a minute`);
      await delay(20, signal);
    }
  }

  /** Ends when the calls under way are answered. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#clients);
  }

  async #client(caller: Caller, tally: Tally): Promise<void> {
    await using _ = caller;
    let orderId = '';
    const timed = async (name: string, call: () => Promise<void>) => {
      const since = performance.now();
      try {
        await call();
      } catch (error) {
        tally.failed.push(`${new Date().toISOString()} ${name}: ${String(error)}`);
      }
      tally.calls += 1;
      tally.longestMs = Math.max(tally.longestMs, performance.now() - since);
      await delay(Math.random() * PAUSE_MS);
    };
    while (!this.#stop.signal.aborted) {
      await timed('create', async () => {
        orderId = await caller.create(randomUUID());
        this.accepted.push(orderId);
      });
      await timed('rate', async () => {
        const value = 1 + Math.floor(Math.random() * 5);
        const id = await caller.rate(randomUUID(), value);
        this.#given.push({ id, subject: TALK, customerId: '', value, comment: '', revision: 1 });
      });
      for (const [service, read] of Object.entries(caller.reads))
        if (orderId !== '') await timed(`read ${service}`, async () => void (await read(orderId)));
    }
  }
}
