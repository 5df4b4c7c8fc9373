// The load, in a process of its own: POST /api/v1/orders on keep-alive connections of undici's Pool. Arguments: the order service's URL, the
// order database's.
import { Client } from 'pg';
import { Pool } from 'undici';
import { answerParent, monotonic } from './worker.ts';

/** As many orders as the clients can place: each client places the next one when it has its answer. */
export interface FloodQuestion {
  readonly kind: 'flood';
  readonly orders: number;
  readonly clients: number;
  readonly products: readonly number[];
  readonly customer: string;
  /** Whether each order carries an Idempotency-Key of its own. */
  readonly keys: boolean;
}

/** Milliseconds of the monotonic clock; latencies in milliseconds. */
export interface FloodAnswer {
  readonly startedAt: number;
  readonly answeredAt: number;
  /** From request to 201, unsorted. */
  readonly latencies: readonly number[];
}

/** Orders at a fixed rate, however slow the answers are. */
export interface PaceQuestion extends Omit<FloodQuestion, 'kind'> {
  readonly kind: 'pace';
  /** Orders a second. */
  readonly rate: number;
}

/** From the moment at which each order was due, not sent: what a queue in here delays counts. */
export interface PaceAnswer {
  readonly accepted: readonly number[];
  readonly settled: readonly number[];
}

const [orderUrl = '', databaseUrl = ''] = process.argv.slice(2);
let pool: Pool | undefined;

/** Places one order; resolves with its id. */
function place(
  pool: Pool,
  n: number,
  { products, customer, keys }: Omit<FloodQuestion, 'kind'>,
): Promise<string> {
  const body = `{"customer_id":"${customer}/c-${n % 2_000}","product_id":${products[n % products.length]},"total_quantity":1,"total_price":1000}`;
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (keys) headers['idempotency-key'] = `${customer}:${n}`;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let status = 0;
  let text = '';
  // `dispatch` costs a third of what `request` does, and the services share the machine with this.
  pool.dispatch(
    { method: 'POST', path: '/api/v1/orders', headers, body },
    {
      onRequestStart() {},
      onResponseStart(_controller, code) {
        status = code;
      },
      onResponseData(_controller, chunk) {
        text += chunk.toString('latin1');
      },
      onResponseEnd() {
        const id = /"id":"([^"]+)"/.exec(text)?.[1];
        if (status === 201 && id !== undefined) resolve(id);
        else reject(new Error(`an order was answered with ${status}: ${text.slice(0, 300)}`));
      },
      onResponseError: (_controller, error) => reject(error),
    },
  );
  return promise;
}

function poolOf(clients: number): Pool {
  pool ??= new Pool(orderUrl, { connections: clients, pipelining: 1, allowH2: false });
  return pool;
}

async function flood(question: FloodQuestion): Promise<FloodAnswer> {
  const { orders, clients } = question;
  const pool = poolOf(clients);
  const latencies: number[] = [];
  let next = 0;
  const startedAt = monotonic();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      for (let n = next++; n < orders; n = next++) {
        const sentAt = performance.now();
        await place(pool, n, question);
        latencies.push(performance.now() - sentAt);
      }
    }),
  );
  return { startedAt, answeredAt: monotonic(), latencies };
}

async function pace(question: PaceQuestion): Promise<PaceAnswer> {
  const { orders, rate, clients } = question;
  const pool = poolOf(clients);
  const watch = new SettlementWatch();
  await watch.open();
  const accepted: number[] = [];
  const placed: Promise<void>[] = [];
  const startedAt = performance.now();
  while (placed.length < orders) {
    const due = Math.min(orders, Math.floor(((performance.now() - startedAt) * rate) / 1000) + 1);
    for (let n = placed.length; n < due; n++) {
      const dueAt = startedAt + (n * 1000) / rate;
      placed.push(
        place(pool, n, question).then((id) => {
          accepted.push(performance.now() - dueAt);
          watch.expect(id, dueAt);
        }),
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(placed);
  return { accepted, settled: await watch.finish() };
}

const LOOK_MS = 2;

/** Looks at the orders that are on their way every two milliseconds, by their primary key: that is how exact the times are. */
class SettlementWatch {
  readonly #client = new Client({ connectionString: databaseUrl, application_name: 'bench' });
  readonly #due = new Map<string, number>();
  readonly #settled: number[] = [];
  #finishing = false;
  #looking = Promise.resolve();

  async open(): Promise<void> {
    await this.#client.connect();
    this.#looking = this.#look();
  }

  expect(id: string, dueAt: number): void {
    this.#due.set(id, dueAt);
  }

  async #look(): Promise<void> {
    const text = `SELECT id FROM orders WHERE id = ANY($1::uuid[]) AND status <> 'PENDING'`;
    while (!this.#finishing || this.#due.size > 0) {
      if (this.#due.size > 0) {
        const { rows } = await this.#client.query<{ id: string }>({
          name: 'look',
          text,
          values: [[...this.#due.keys()]],
        });
        const now = performance.now();
        for (const { id } of rows) {
          this.#settled.push(now - (this.#due.get(id) ?? now));
          this.#due.delete(id);
        }
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  }

  /** From due to settled, once the last one is. */
  async finish(): Promise<readonly number[]> {
    this.#finishing = true;
    await this.#looking;
    await this.#client.end();
    return this.#settled;
  }
}

answerParent(
  (question: FloodQuestion | PaceQuestion): Promise<FloodAnswer | PaceAnswer> =>
    question.kind === 'flood' ? flood(question) : pace(question),
);
