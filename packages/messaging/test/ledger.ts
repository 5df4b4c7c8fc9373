import { create, toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  type OrderCreated,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { type Database, type EntityManager, openDatabase, type Schema } from '@tradewind/database/database';
import { migrateUp } from '@tradewind/database/migrate';
import { run, statement } from '@tradewind/database/statement';
import { topicSpecs } from '@tradewind/messaging/contract';
import { type ListenOptions, listen } from '@tradewind/messaging/listen';
import type { EventLog, LogRecord, ReceivedRecord } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { startRelay } from '@tradewind/messaging/relay';
import { type EventHandler, on } from '@tradewind/messaging/subscription';
import { messagingSteps } from '@tradewind/messaging/tables';
import { createLogger } from '@tradewind/telemetry/logger';
import { createDatabase } from '@tradewind/testing/postgres';
import { v7 } from 'uuid';

/** A small service for the tests: it hears order.created, writes each order once into a ledger, and tells order.confirmed. */
export const GROUP = 'ledger';
export const hears = [OrderCreatedSchema, OrderCanceledSchema];
export const tells = [OrderConfirmedSchema];
export const logger = createLogger({
  service: 'test',
  level: (process.env.TEST_LOG_LEVEL as 'info') ?? 'silent',
});

const insertEntries = statement(
  'INSERT INTO entry (order_id, customer, n) SELECT o, c, n FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS e (o, c, n)',
);

export class Entries {
  readonly rows: { orderId: string; customerId: string }[] = [];
  async save(em: EntityManager): Promise<void> {
    if (this.rows.length === 0) return;
    await run(em, insertEntries, [
      this.rows.map((row) => row.orderId),
      this.rows.map((row) => row.customerId),
    ]);
  }
}

export const schema: Schema = {
  entities: [],
  steps: [
    ...messagingSteps,
    {
      name: '0001-entry',
      up: [
        'CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY, order_id text, customer text, n bigint)',
      ],
      down: ['DROP TABLE entry'],
    },
  ],
};

/** What the handler does besides its work, set by a test: throw, for one. */
export type Hook = (event: OrderCreated) => void;

export function handler(
  hook: Hook = () => undefined,
  onRecord: (record: ReceivedRecord) => void = () => undefined,
): EventHandler<typeof OrderCreatedSchema, Entries> {
  return {
    load: async () => new Entries(),
    apply(event, entries, publish, { record }) {
      onRecord(record);
      entries.rows.push({ orderId: event.orderId, customerId: event.customerId });
      publish(OrderConfirmedSchema, { orderId: event.orderId, revision: 2n });
      hook(event);
    },
  };
}

export interface Ledger extends AsyncDisposable {
  readonly database: Database;
  readonly databaseUrl: string;
  readonly log: EventLog;
  readonly logUrl: string;
  /** Starts a member with a relay beside it. */
  start(hook?: Hook, options?: Partial<ListenOptions>, onRecord?: (record: ReceivedRecord) => void): Member;
  /** Every order of the ledger, in the order in which they were handled. */
  entries(): Promise<{ orderId: string; customerId: string }[]>;
  append(...records: LogRecord[]): Promise<void>;
  /** Every record of a topic. */
  records(topic: string): Promise<ReceivedRecord[]>;
}

export interface Member extends AsyncDisposable {
  stop(): Promise<void>;
}

export async function openLedger(): Promise<Ledger> {
  await using scope = new AsyncDisposableStack();
  const { url: databaseUrl } = scope.use(await createDatabase('ledger'));
  const { url: logUrl } = scope.use(await createDatabase('log'));
  const database = scope.use(
    await openDatabase({
      url: databaseUrl,
      name: 'test',
      schema,
    }),
  );
  await migrateUp(database);
  const log = scope.use(await openLog({ url: logUrl, logger }));
  await log.createTopics(topicSpecs(GROUP, tells, hears));
  const producer = scope.use(await log.producer());
  const kept = scope.move();
  return {
    database,
    databaseUrl,
    log,
    logUrl,
    start(hook, options, onRecord) {
      const stop = new AbortController();
      const relay = startRelay({ databaseUrl, log, logger });
      const ended = listen({
        group: GROUP,
        log,
        database,
        subscriptions: [on(OrderCreatedSchema, handler(hook, onRecord))],
        logger,
        signal: stop.signal,
        retry: { attempts: 3, baseMs: 1, capMs: 5 },
        onCommit: ({ told }) => told > 0 && relay.wake(),
        ...options,
      });
      ended.catch(() => undefined);
      const end = async () => {
        stop.abort();
        await ended;
        await relay[Symbol.asyncDispose]();
      };
      return { stop: end, [Symbol.asyncDispose]: end };
    },
    async entries() {
      const { rows } = await database.pool.query('SELECT order_id, customer FROM entry ORDER BY id');
      return rows.map((row) => ({ orderId: row.order_id, customerId: row.customer }));
    },
    async append(...records) {
      await producer.append(records);
    },
    async records(topic) {
      const partitions = await log.bounds(topic);
      const all = await Promise.all(
        partitions.map(({ partition, start }) => log.read({ topic, partition, offset: start }, 10_000)),
      );
      return all.flat();
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** An order.created as the order service's relay writes it. */
export function orderCreated(customerId: string, options: { orderId?: string; id?: string } = {}): LogRecord {
  const orderId = options.orderId ?? v7();
  const line = { productId: 1, quantity: 1, totalPrice: 100n };
  const message = { orderId, customerId, lines: [line], totalPrice: 100n, currency: 'USD', revision: 1n };
  return {
    topic: 'order.created',
    key: orderId,
    value: Buffer.from(
      toJsonString(OrderCreatedSchema, create(OrderCreatedSchema, message), { useProtoFieldName: true }),
    ),
    headers: {
      ce_specversion: '1.0',
      ce_id: options.id ?? v7(),
      ce_source: 'order',
      ce_type: 'tradewind.order.v1.OrderCreated',
      'content-type': 'application/json',
    },
  };
}

export const rejected = (message: string) => new ConnectError(message, Code.FailedPrecondition);
