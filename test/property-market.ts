import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { StockService } from '@tradewind/contracts/stock/v1/stock';
import { openDatabase } from '@tradewind/database/database';
import { deadLetterTopic, redriveTopic, topicOf, topicSpecs } from '@tradewind/messaging/contract';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { listen } from '@tradewind/messaging/listen';
import type { EventLog, LogRecord, Position } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import type { Subscription } from '@tradewind/messaging/subscription';
import { uniqueId } from '@tradewind/messaging/unique-id';
import { delay } from '@tradewind/process/backoff';
import { createClient } from '@tradewind/rpc/client';
import { createLogger } from '@tradewind/telemetry/logger';
import { createDatabase } from '@tradewind/testing/postgres';
import { startService, type TestService } from '@tradewind/testing/service';
import { service as orderService } from '../services/order/service.ts';
import { service as stockService } from '../services/stock/service.ts';

const logger = createLogger({ service: 'property', level: 'silent' });
const PATIENCE_MS = 20_000;
const LISTENER = 'listener';

/** A service's listener, which can be crashed and comes back. */
interface Listener extends AsyncDisposable {
  crash(): Promise<void>;
}

/** Listens as a service does, on a log of the test's own, with connections of its own. */
async function startListener(
  { name, schema, subscriptions }: typeof orderService | typeof stockService,
  { databaseUrl, database: outside }: TestService,
  log: EventLog,
): Promise<Listener> {
  const start = async () => {
    const database = await openDatabase({ url: databaseUrl, schema, name: LISTENER });
    const stop = new AbortController();
    // The relay of the service is in another process, so to say: it is told as from there.
    const wake = () => void outside.pool.query('NOTIFY tradewind_outbox').catch(() => undefined);
    const ended = listen({
      group: name,
      log,
      database,
      subscriptions: subscriptions as readonly Subscription[],
      logger,
      signal: stop.signal,
      retry: { attempts: 2, baseMs: 1 },
      onCommit: wake,
    }).catch((error: unknown) => {
      if (!stop.signal.aborted) throw error;
    });
    return async () => {
      stop.abort();
      await ended;
      await database[Symbol.asyncDispose]();
    };
  };
  let end = await start();
  return {
    async crash() {
      // Whatever transaction is under way is lost with its connection.
      await outside.pool.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1',
        [LISTENER],
      );
      await end();
      end = await start();
    },
    [Symbol.asyncDispose]: () => end(),
  };
}

/**
 * Order and stock with a network between them that a test moves by hand: what their relays append to one log reaches the other log, which they
 * listen to, when the test delivers it, in the order that it says, as often as it says.
 */
export async function openMarket() {
  await using scope = new AsyncDisposableStack();
  // The sweeper tells late orders again when a test says so, and not by itself.
  const order = scope.use(await startService(orderService, { listen: false }));
  const stock = scope.use(await startService(stockService, { listen: false, logUrl: order.logUrl }));
  const inner = scope.use(await createDatabase('log'));
  const heard = scope.use(await openLog({ url: inner.url, logger }));
  for (const { name, tells, subscriptions } of [orderService, stockService])
    await heard.createTopics(
      topicSpecs(
        name,
        tells,
        subscriptions.map(({ schema }) => schema),
      ),
    );
  const listeners = [
    scope.use(await startListener(orderService, order, heard)),
    scope.use(await startListener(stockService, stock, heard)),
  ];
  const orders = scope.use(createClient(OrderService, { baseUrl: order.url })).call;
  const stocks = scope.use(createClient(StockService, { baseUrl: stock.url })).call;
  const producer = scope.use(await heard.producer());
  // Poison: what stock can't write down for an order that is in this table.
  await stock.database.pool.query(`
    CREATE TABLE poison (order_id uuid PRIMARY KEY);
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF EXISTS (SELECT FROM poison WHERE order_id = NEW.order_id) THEN RAISE EXCEPTION 'poison'; END IF;
      RETURN NEW;
    END $$;
    CREATE TRIGGER poison BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse()`);

  const told = [OrderCreatedSchema, OrderConfirmedSchema, OrderCanceledSchema, ...stockService.tells].map(
    (schema) => topicOf(schema).name,
  );
  const letterTopics = [orderService, stockService].flatMap(({ subscriptions }) =>
    subscriptions.map(({ topic }) => deadLetterTopic(topic)),
  );
  const reader = (topics: readonly string[]) => newRecords(order.log, topics);
  const [facts, letters] = [reader(told), reader(letterTopics)];
  const pending: LogRecord[] = [];
  const sent: LogRecord[] = [];
  const dead: LogRecord[] = [];
  const deliver = async (records: readonly LogRecord[]) => {
    if (records.length > 0) await producer.append(records);
  };
  const collect = async () => {
    pending.push(...(await facts()));
    dead.push(...(await letters()));
  };
  const quiet = async () => {
    const waiting = [order, stock].map(async ({ database }) =>
      Number((await database.pool.query(WAITING)).rows[0].count),
    );
    const lags = [orderService, stockService].map(async ({ name, subscriptions }) => {
      const topics = [...subscriptions.map(({ topic }) => topic), redriveTopic(name)];
      return (await heard.lag(name, topics)).reduce((sum, { lag }) => sum + Number(lag), 0);
    });
    return (await Promise.all([...waiting, ...lags])).every((count) => count === 0);
  };
  const kept = scope.move();
  return {
    order,
    stock,
    orders,
    stocks,
    told,
    /** Delivers some of what is on its way: each pick is the place of a record among those that wait, from 0 up to 1. */
    async deliver(picks: readonly number[]): Promise<void> {
      await collect();
      const chosen = picks.flatMap((pick) => pending.splice(Math.floor(pick * pending.length), 1));
      sent.push(...chosen);
      await deliver(chosen);
    },
    /** Delivers once more what was delivered before: as it was, or as a new event that says the same. */
    async repeat(pick: number, anew: boolean): Promise<void> {
      const record = sent[Math.floor(pick * sent.length)];
      if (!record) return;
      const headers = { ...record.headers, ce_id: uniqueId() };
      await deliver([anew ? { ...record, headers } : record]);
    },
    /** Delivers everything once more that was delivered before, the newest first, as new events that say the same. */
    replay: () =>
      deliver(
        sent.toReversed().map((record) => ({ ...record, headers: { ...record.headers, ce_id: uniqueId() } })),
      ),
    async poison(orderId: string): Promise<void> {
      await stock.database.pool.query('INSERT INTO poison VALUES ($1) ON CONFLICT DO NOTHING', [orderId]);
    },
    /** Whatever was poison can be handled now. */
    heal: () => stock.database.pool.query('DELETE FROM poison'),
    /** Brings back every dead letter that was seen, those too that were brought back before. */
    async redrive(): Promise<void> {
      await collect();
      await deliver(dead.map((letter) => redriveOf(letter)));
    },
    crash: (which: number) => listeners[which % listeners.length]?.crash(),
    /** Everything arrives and takes effect; dead letters come back, twice. */
    async settle(): Promise<void> {
      const patience = AbortSignal.timeout(PATIENCE_MS);
      for (let redriven = -1, calm = 0; calm < 2; ) {
        await collect();
        const moving = pending.splice(0);
        await deliver(moving);
        const still = moving.length === 0 && (await quiet());
        if (still && dead.length !== redriven) {
          redriven = dead.length;
          await deliver([...dead, ...dead].map((letter) => redriveOf(letter)));
          calm = 0;
        } else calm = still ? calm + 1 : 0;
        if (!still) await delay(5, patience);
      }
    },
    /** Forgets what was before, so that the next run begins with nothing on its way. */
    forget(): void {
      for (const list of [pending, sent, dead]) list.length = 0;
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export type Market = Awaited<ReturnType<typeof openMarket>>;

/** What a database has that is on its way: facts, and events that wait for a retry. */
const WAITING = 'SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM held_event) AS count';

/** Reads on behind what was read before, over all partitions of topics. */
function newRecords(log: EventLog, topics: readonly string[]): () => Promise<LogRecord[]> {
  const next = new Map<string, bigint>();
  return async () => {
    const bounds = (await Promise.all(topics.map((topic) => log.bounds(topic)))).flat();
    const read = bounds.map(async ({ topic, partition, start, end }) => {
      const offset = next.get(`${topic}/${partition}`) ?? start;
      if (offset >= end) return [];
      const from: Position = { topic, partition, offset };
      const records = await log.read(from, 10_000);
      const last = records.at(-1);
      if (last) next.set(`${topic}/${partition}`, last.offset + 1n);
      return records;
    });
    return (await Promise.all(read)).flat();
  };
}
