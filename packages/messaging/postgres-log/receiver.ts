import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import type { ReceivedRecord } from '../log.ts';
import { type Database, isPassing } from './database.ts';
import { FETCH, type FetchedRow, fetchValues, type Request, recordOf, requests } from './fetch.ts';
import type { Membership } from './membership.ts';

export interface ReceiverOptions {
  readonly database: Database;
  readonly logger: Logger;
  readonly maxRecords: number;
  /** How often it looks without being woken, in milliseconds. */
  readonly pollMs: number;
}

/** Fetches what a member's partitions have, one fetch a receive, nothing ahead. */
export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #membership: Membership;
  #change = Promise.withResolvers<void>();
  #receiving = false;
  #closed = false;
  #polledAt = performance.now();
  #turn = 0;

  constructor(options: ReceiverOptions, membership: Membership) {
    this.#options = options;
    this.#membership = membership;
  }

  /** Says that there may be something to receive now. */
  wake(): void {
    this.#change.resolve();
  }

  close(): void {
    this.#closed = true;
    this.wake();
  }

  async receive(signal: AbortSignal): Promise<ReceivedRecord[]> {
    if (this.#receiving) throw new ConnectError('one receive at a time', Code.FailedPrecondition);
    this.#receiving = true;
    try {
      return await this.#receive(signal);
    } finally {
      this.#receiving = false;
    }
  }

  async #receive(signal: AbortSignal): Promise<ReceivedRecord[]> {
    for (let failures = 0; !signal.aborted; ) {
      if (this.#closed) throw new ConnectError('the consumer is closed', Code.FailedPrecondition);
      this.#poll();
      const asked = this.#due();
      if (asked.length === 0) {
        await this.#changed(signal);
        continue;
      }
      try {
        const records = await this.#fetch(asked, signal);
        if (records.length > 0) return records;
        failures = 0;
      } catch (error) {
        if (!isPassing(error)) throw error;
        if (failures % 20 === 0)
          this.#options.logger.warn({ err: error }, 'receive: waiting for the event log');
        const ms = fullJitter(failures++, { baseMs: 20, capMs: 1_000 });
        await sleep(ms, undefined, { signal }).catch(() => undefined);
      }
    }
    return [];
  }

  /** Looks everywhere from time to time: a wake-up may have been lost. */
  #poll(): void {
    const now = performance.now();
    if (now - this.#polledAt < this.#options.pollMs) return;
    this.#polledAt = now;
    this.#membership.holding.freshen();
  }

  /** What to ask for now: a fair part of the records from each partition that may have some. */
  #due(): Request[] {
    if (!this.#membership.live()) return [];
    const due = [...this.#membership.holding.all()].filter(
      ({ fresh, paused, leavesBy }) => fresh && !paused && leavesBy === undefined,
    );
    return requests(due, this.#options.maxRecords, this.#turn++);
  }

  /** Waits until something may have changed. */
  async #changed(signal: AbortSignal): Promise<void> {
    const change = Promise.withResolvers<void>();
    this.#change = change;
    const wake = () => change.resolve();
    const timer = setTimeout(wake, this.#options.pollMs);
    signal.addEventListener('abort', wake, { once: true });
    await change.promise;
    clearTimeout(timer);
    signal.removeEventListener('abort', wake);
  }

  async #fetch(asked: readonly Request[], signal: AbortSignal): Promise<ReceivedRecord[]> {
    // Before the statement: whatever is appended after its look makes them fresh again.
    for (const { held } of asked) held.fresh = false;
    const query = this.#options.database.query<FetchedRow>(FETCH, fetchValues(asked));
    try {
      const rows = await unlessAborted(query, signal);
      if (rows) return this.#take(asked, rows);
      freshen(asked);
      return [];
    } catch (error) {
      freshen(asked);
      throw error;
    }
  }

  /** Hands out what is still this member's to receive. Nothing may be awaited from here to the caller. */
  #take(asked: readonly Request[], rows: readonly FetchedRow[]): ReceivedRecord[] {
    const live = this.#membership.live();
    const open = asked.map(
      ({ held }) => live && !held.paused && held.leavesBy === undefined && this.#membership.holding.has(held),
    );
    const counts = asked.map(() => ({ records: 0, bytes: 0 }));
    const records: ReceivedRecord[] = [];
    for (const row of rows) {
      const at = row[0] - 1;
      const held = asked[at]?.held;
      const count = counts[at];
      if (!held || !count) continue;
      count.records++;
      count.bytes += row[3]?.length ?? 0;
      if (!open[at]) continue;
      const record = recordOf(held, row);
      held.position = record.offset + 1n;
      records.push(record);
    }
    for (const [at, { held, limit, bytes }] of asked.entries()) {
      const count = counts[at];
      if (!open[at] || (count && (count.records >= limit || count.bytes >= bytes))) held.fresh = true;
    }
    return records;
  }
}

function freshen(asked: readonly Request[]): void {
  for (const { held } of asked) held.fresh = true;
}

/** The result, or undefined as soon as the signal is aborted. */
async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T | undefined> {
  const aborted = Promise.withResolvers<undefined>();
  const onAbort = () => aborted.resolve(undefined);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const first = await Promise.race([work, aborted.promise]);
    if (first === undefined) work.catch(() => undefined);
    return first;
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
