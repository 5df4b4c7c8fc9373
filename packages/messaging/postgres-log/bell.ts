import { setTimeout as sleep } from 'node:timers/promises';
import { fullJitter } from '@tradewind/process/backoff';
import type { Logger } from '@tradewind/telemetry/logger';
import { Client } from 'pg';

/** Who wants to know what happened in the log. */
export interface Listener {
  /** Records were appended to these partitions (as `partitionKey` names them); undefined: perhaps to any. */
  records(partitions: ReadonlySet<string> | undefined): void;
  /** The members of this group should look at their leases; undefined: of any. */
  group(name: string | undefined): void;
}

const CHANNEL = 'event_log';
/** PostgreSQL takes payloads up to 8,000 bytes. */
const PAYLOAD_MAX = 7_900;
const PING_MS = 10_000;
const PATIENCE_MS = 5_000;
const END_MS = 2_000;

/**
 * Wakes those who wait, in this process by a call, in others by NOTIFY on a connection of its own: NOTIFY takes a lock as wide as
 * the database when it commits, so it stays out of the transactions that append. One notification is on its way at a time;
 * what happens meanwhile is merged into the next. A lost one costs latency only, for consumers also poll.
 */
export class Bell implements AsyncDisposable {
  readonly #url: string;
  readonly #logger: Logger;
  readonly #listeners = new Set<Listener>();
  readonly #stop = new AbortController();
  readonly #finished: Promise<void>;
  #partitions = new Set<string>();
  #groups = new Set<string>();
  #wake = Promise.withResolvers<void>();
  #sent = Promise.withResolvers<void>();
  #connected = false;
  #pid = 0;

  constructor(url: string, logger: Logger) {
    this.#url = url;
    this.#logger = logger;
    this.#finished = this.#run();
  }

  listen(listener: Listener): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => this.#listeners.delete(listener) };
  }

  /** Says that a commit has added records to these partitions. */
  ringRecords(partitions: ReadonlySet<string>): void {
    for (const listener of this.#listeners) listener.records(partitions);
    for (const partition of partitions) this.#partitions.add(partition);
    this.#wake.resolve();
  }

  /** Tells the group's members to look at their leases. Resolves when it is on its way, or can't be sent. */
  async ringGroup(group: string): Promise<void> {
    for (const listener of this.#listeners) listener.group(group);
    this.#groups.add(group);
    this.#wake.resolve();
    if (this.#connected) await this.#sent.promise;
  }

  /** One connection after the other, until the end. */
  async #run(): Promise<void> {
    for (let failures = 0; !this.#stop.signal.aborted; ) {
      try {
        await this.#session(() => {
          failures = 0;
        });
      } catch (error) {
        if (this.#stop.signal.aborted) return;
        if (failures++ % 20 === 0)
          this.#logger.warn({ err: error }, 'event log: no wake-ups until the connection is back, polling');
        const ms = fullJitter(failures, { baseMs: 50, capMs: 2_000 });
        await sleep(ms, undefined, { signal: this.#stop.signal }).catch(() => undefined);
      }
    }
  }

  async #session(onConnected: () => void): Promise<void> {
    const client = new Client({
      connectionString: this.#url,
      application_name: 'event-log-bell',
      connectionTimeoutMillis: PATIENCE_MS,
      query_timeout: PATIENCE_MS,
      keepAlive: true,
    });
    let lost: Error | undefined;
    const fail = (error: Error) => {
      lost ??= error;
      this.#wake.resolve();
    };
    client.on('error', fail);
    client.on('end', () => fail(new Error('the connection ended')));
    client.on('notification', ({ processId, payload = '' }) => {
      if (processId !== this.#pid) this.#hear(payload);
    });
    // A server that does not answer is not waited for at the end.
    let late: NodeJS.Timeout | undefined;
    const hurry = () => {
      late ??= setTimeout(() => client.connection.stream.destroy(), END_MS);
    };
    this.#stop.signal.addEventListener('abort', hurry);
    try {
      await client.connect();
      await client.query(`LISTEN ${CHANNEL}`);
      const { rows } = await client.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
      this.#pid = rows[0]?.pid ?? 0;
      this.#connected = true;
      onConnected();
      // Whatever was said while nobody listened.
      for (const listener of this.#listeners) {
        listener.records(undefined);
        listener.group(undefined);
      }
      await this.#pump(client, () => lost);
    } finally {
      this.#connected = false;
      this.#sent.resolve();
      hurry();
      await client.end().catch(() => undefined);
      clearTimeout(late);
      this.#stop.signal.removeEventListener('abort', hurry);
    }
  }

  async #pump(client: Client, lost: () => Error | undefined): Promise<void> {
    while (!this.#stop.signal.aborted || this.#groups.size > 0) {
      this.#wake = Promise.withResolvers();
      const error = lost();
      if (error) throw error;
      if (this.#partitions.size === 0 && this.#groups.size === 0) {
        if (this.#stop.signal.aborted) return;
        const timer = setTimeout(this.#wake.resolve, PING_MS);
        await this.#wake.promise;
        clearTimeout(timer);
      }
      await this.#send(client);
    }
  }

  /** Sends what has come together. With nothing to send it still asks the server, and so notices one that is gone. */
  async #send(client: Client): Promise<void> {
    const records = `r ${[...this.#partitions].join(' ')}`;
    const payloads = [...this.#groups].map((group) => `g ${group}`);
    if (this.#partitions.size > 0) payloads.push(records.length > PAYLOAD_MAX ? 'r *' : records);
    const sent = this.#sent;
    this.#sent = Promise.withResolvers();
    this.#partitions = new Set();
    this.#groups = new Set();
    try {
      await client.query({
        name: 'ring',
        text: 'SELECT pg_notify($1, payload) FROM unnest($2::text[]) AS payload',
        values: [CHANNEL, payloads],
      });
    } finally {
      sent.resolve();
    }
  }

  #hear(payload: string): void {
    const what = payload.slice(2);
    if (payload.startsWith('g ')) {
      for (const listener of this.#listeners) listener.group(what);
    } else if (payload.startsWith('r ')) {
      const partitions = what === '*' ? undefined : new Set(what.split(' '));
      for (const listener of this.#listeners) listener.records(partitions);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#wake.resolve();
    await this.#finished;
  }
}
