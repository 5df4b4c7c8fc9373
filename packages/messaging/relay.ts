import { sessionUrl } from '@tradewind/database/session';
import { delay, fullJitter } from '@tradewind/process/backoff';
import { epochMs } from '@tradewind/telemetry/clock';
import type { Logger } from '@tradewind/telemetry/logger';
import { Client } from 'pg';
import { sent } from './fact-spans.ts';
import type { EventLog, Producer } from './log.ts';
import { factIn, type OutboxRow, recordOf } from './outbox-row.ts';
import { isRefusal, StuckFacts } from './stuck-facts.ts';

/** Moves facts from a database's outbox to the log. Every process of a service runs one; at any time one of them owns the outbox. */
export interface Relay extends AsyncDisposable {
  /** Says that a transaction with facts has committed, in this process. Cheap; calls that come together are one. */
  wake(): void;
  /** What keeps it from sending, for people; undefined when nothing does. */
  readonly trouble: string | undefined;
  /** Whether this process owns the outbox now. */
  readonly owner: boolean;
}

export interface RelayOptions {
  /** The service's database. The relay keeps one connection of its own there. */
  readonly databaseUrl: string;
  readonly log: Pick<EventLog, 'producer' | 'system'>;
  readonly logger: Logger;
  /** Rows a turn at most; 2,000 when left out. */
  readonly batch?: number;
  /** Milliseconds between looks when nobody wakes it; 1,000 when left out. */
  readonly pollMs?: number;
}

/** Its connection's name in pg_stat_activity. */
export const RELAY_CONNECTION = 'relay';

/** Held by the outbox's owner for as long as its connection lives. */
const OWNER_LOCK = 7_420_002;
/** How soon another process takes over when the owner's connection ends. */
const OWNER_POLL_MS = 250;
const CHANNEL = 'tradewind_outbox';
/** How long a statement may go without an answer. */
const PATIENCE_MS = 15_000;
/** How long the end of a connection may take. */
const END_MS = 2_000;

// Without what is sent and not deleted yet. No "position > last": a smaller position may commit later. NOT IN a subquery is hashed; <> ALL of
// an array would be searched for each row.
const READ = `
  SELECT position, id, aggregatetype, aggregateid, type, payload, source, content_type, traceparent, tracestate, headers, created_at
  FROM (
    SELECT page.*, sum(page.size) OVER (ORDER BY position) - page.size AS before
    FROM (
      SELECT outbox.*, coalesce(octet_length(payload), 0) AS size
      FROM outbox WHERE position NOT IN (SELECT unnest($1::bigint[])) ORDER BY position LIMIT $2
    ) page
  ) row WHERE before < $3 ORDER BY position`;
const DELETE = 'DELETE FROM outbox WHERE position = ANY($1::bigint[])';

/** What one turn reads at most, so that large payloads can't fill the memory; a larger row comes alone. */
const TURN_BYTES = 16 * 1024 * 1024;

async function remove(client: Client, positions: readonly string[]): Promise<void> {
  if (positions.length > 0) await client.query({ name: 'delete', text: DELETE, values: [positions] });
}

/** Why the log refused an append for what it is; undefined when it took it. Rejects with any other failure. */
async function refusalOf(append: () => Promise<unknown>): Promise<{ readonly error: Error } | undefined> {
  try {
    await append();
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { error };
  }
}

/** Starts a relay. It never gives up: whatever is away is waited for, with backoff, and said in the log. */
export function startRelay(options: RelayOptions): Relay {
  const relay = new OutboxRelay(options);
  void relay.run();
  return relay;
}

class OutboxRelay implements Relay {
  readonly #options: RelayOptions;
  readonly #stop = new AbortController();
  readonly #finished = Promise.withResolvers<void>();
  #wanted = false;
  #waiting: (() => void) | undefined;
  #notifying = false;
  #client: Client | undefined;
  trouble: string | undefined = 'starting';
  owner = false;

  constructor(options: RelayOptions) {
    this.#options = options;
  }

  wake(): void {
    if (this.owner) this.#nudge();
    else this.#tellOwner();
  }

  #nudge(): void {
    this.#wanted = true;
    this.#waiting?.();
  }

  /** The owner is another process: one notification on the way at a time, others are merged into the next. */
  #tellOwner(): void {
    this.#wanted = true;
    const client = this.#client;
    if (!client || this.#notifying) return;
    this.#notifying = true;
    this.#wanted = false;
    void client
      .query(`NOTIFY ${CHANNEL}`)
      // Its loss is no harm: the owner polls, and the connection's end is handled where it is read.
      .catch(() => undefined)
      .then(() => {
        this.#notifying = false;
        if (this.#wanted && !this.owner) this.#tellOwner();
      });
  }

  async run(): Promise<void> {
    const { logger } = this.#options;
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#session(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        this.trouble = `${error instanceof Error ? error.message : String(error)}`;
        if (failures === 0 || failures % 10 === 0)
          logger.warn({ err: error, failures }, 'relay: waiting to go on');
        await delay(fullJitter(failures++, { baseMs: 50, capMs: 2_000 }), this.#stop.signal).catch(
          () => undefined,
        );
      }
    }
    this.#finished.resolve();
  }

  /** One connection's life: wait for the lock, then move rows until something fails or the end. */
  async #session(onProgress: () => void): Promise<void> {
    const client = new Client({
      connectionString: sessionUrl(this.#options.databaseUrl),
      application_name: RELAY_CONNECTION,
      connectionTimeoutMillis: 5_000,
      query_timeout: PATIENCE_MS,
      keepAlive: true,
    });
    let lost: Error | undefined;
    const fail = (error?: Error) => {
      lost ??= error ?? new Error('the relay lost its database connection');
      this.#waiting?.();
    };
    client.on('error', fail);
    client.on('end', () => fail());
    client.on('notification', () => {
      if (this.owner) this.#nudge();
    });
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      this.#client = client;
      while (!this.#stop.signal.aborted && !lost && !(await this.#tryOwn(client))) {
        this.trouble = undefined;
        onProgress();
        if (this.#wanted) this.#tellOwner();
        await this.#pause(OWNER_POLL_MS);
      }
      if (lost) throw lost;
      if (this.#stop.signal.aborted) return;
      this.owner = true;
      await using producer = await this.#options.log.producer();
      await this.#pump(client, producer, () => lost, onProgress);
    } finally {
      this.owner = false;
      this.#client = undefined;
      client.removeAllListeners('end');
      // A server that does not answer is not waited for.
      const late = setTimeout(() => client.connection.stream.destroy(), END_MS);
      await client.end().catch(() => undefined);
      clearTimeout(late);
    }
  }

  async #tryOwn(client: Client): Promise<boolean> {
    const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [
      OWNER_LOCK,
    ]);
    return rows[0]?.mine ?? false;
  }

  async #pump(
    client: Client,
    producer: Producer,
    lost: () => Error | undefined,
    onProgress: () => void,
  ): Promise<void> {
    const { batch = 2_000, pollMs = 1_000 } = this.#options;
    const stuck = new StuckFacts();
    let appended: string[] = [];
    while (true) {
      this.#wanted = false;
      const { rows } = await client.query<OutboxRow>({
        name: 'read',
        text: READ,
        values: [[...appended, ...stuck.positions()], batch, TURN_BYTES],
      });
      const free = this.#stop.signal.aborted ? [] : stuck.sift(rows);
      // What the turn before has sent is deleted while this one sends, so the two commits wait for the disk together. A failure between an
      // append and its delete repeats the rows; the inbox absorbs that.
      const [now] = await Promise.all([this.#send(producer, free, stuck), remove(client, appended)]);
      appended = now;
      this.trouble = stuck.trouble;
      onProgress();
      if (this.#stop.signal.aborted && appended.length === 0) return;
      if (rows.length === 0 && !this.#wanted) await this.#pause(pollMs);
      const error = lost();
      if (error) throw error;
    }
  }

  /** Appends rows, all at once if that is possible. Answers the positions of those that are on the log. */
  async #send(producer: Producer, rows: readonly OutboxRow[], stuck: StuckFacts): Promise<string[]> {
    if (rows.length === 0) return [];
    const began = epochMs();
    const { log, logger } = this.#options;
    const refused = await refusalOf(() => producer.append(rows.map(recordOf)));
    if (!refused) {
      sent(log.system, rows, factIn, began);
      return rows.map(({ position }) => position);
    }
    // One of them will never be taken as it is. The others must not wait for it, but those of its key.
    const gone: string[] = [];
    for (const row of rows) {
      if (stuck.sift([row]).length === 0) continue;
      const refusal = await refusalOf(() => producer.append([recordOf(row)]));
      sent(log.system, [row], factIn, began, refusal?.error);
      if (!refusal) {
        gone.push(row.position);
        continue;
      }
      stuck.add(row, refusal.error);
      logger.error(
        { err: refusal.error, event: row.id, topic: row.aggregatetype, key: row.aggregateid },
        'the log refuses a fact; it stays in the outbox, and its key waits',
      );
    }
    return gone;
  }

  /** Until somebody wakes it, or the time is over. */
  async #pause(ms: number): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#waiting = resolve;
    await promise;
    clearTimeout(timer);
    this.#waiting = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#waiting?.();
    await this.#finished.promise;
  }
}
