import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import { createLogger } from '@tradewind/telemetry/logger';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { freePort } from '@tradewind/testing/port';
import { createDatabase } from '@tradewind/testing/postgres';
import { Client } from 'pg';
import { expect } from 'vitest';
import { type Running, startTradewind } from '../../tools/start/tradewind.ts';

export type LogKind = 'postgres' | 'kafka';
const NAMES = ['product', 'order', 'stock', 'ratings'] as const;

/** An order as REST shows it, with its trace. */
export interface Placed {
  readonly id: string;
  readonly traceId: string;
}

export interface Market extends AsyncDisposable {
  readonly running: Running;
  readonly urls: Readonly<Record<(typeof NAMES)[number], string>>;
  readonly log: EventLog;
  /** What the command-line tools need to find it. */
  readonly env: Readonly<Record<string, string>>;
  place(productId?: number, quantity?: number): Promise<Placed>;
  /** Waits until an order is no longer PENDING; answers what it is then. */
  settled(id: string): Promise<string>;
  /** Lets the next so many attempts at a reservation fail, in stock's database. */
  failReservations(times: number): Promise<void>;
  /** Everything that its processes have logged. */
  logs(): Promise<string>;
}

/** All services as processes of their own, with the catalogue, on databases of the test's server and a log of their own. */
export async function startMarket(kind: LogKind, env: Readonly<Record<string, string>>): Promise<Market> {
  await using scope = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), 'tradewind-traces-'));
  scope.defer(() => rm(dataDir, { recursive: true, force: true }));
  const database = async (name: string) => scope.use(await createDatabase(name)).url;
  const databaseUrls = Object.fromEntries(
    await Promise.all(NAMES.map(async (name) => [name, await database(name)] as const)),
  );
  const broker: Broker | undefined = kind === 'kafka' ? scope.use(await startBroker()) : undefined;
  const eventLogUrl = broker?.url ?? (await database('log'));
  const ports = Object.fromEntries(
    await Promise.all(NAMES.map(async (name) => [name, await freePort()] as const)),
  );
  const running = scope.use(
    await startTradewind({
      dataDir,
      ports,
      databaseUrls,
      eventLogUrl,
      env: {
        PATH: process.env.PATH,
        HOME: process.env.HOME,
        RETRY_BASE: '20ms',
        OTEL_BSP_SCHEDULE_DELAY: '50',
        ...env,
      },
    }),
  );
  const log = scope.use(
    await openLog({ url: eventLogUrl, logger: createLogger({ service: 'test', level: 'silent' }) }),
  );
  const stock = new Client({ connectionString: databaseUrls.stock });
  await stock.connect();
  scope.defer(() => stock.end());
  const urls = running.addresses.serviceUrls as Market['urls'];
  const kept = scope.move();
  return {
    running,
    urls,
    log,
    env: {
      EVENT_LOG_URL: eventLogUrl,
      ...Object.fromEntries(
        NAMES.map((name) => [`${name.toUpperCase()}_DATABASE_URL`, databaseUrls[name] ?? '']),
      ),
      ...Object.fromEntries(NAMES.map((name) => [`${name.toUpperCase()}_PORT`, String(ports[name])])),
    },
    async place(product_id = 1, quantity = 1) {
      const answer = await fetch(`${urls.order}/api/v1/orders`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ lines: [{ product_id, quantity, unit_price: 100 }] }),
      });
      expect(answer.status).toBe(201);
      const { id } = (await answer.json()) as { id: string };
      return { id, traceId: traceIdOf(answer.headers) };
    },
    async settled(id) {
      const status = async () => {
        const answer = await fetch(`${urls.order}/api/v1/orders/${id}`);
        return ((await answer.json()) as { status: string }).status;
      };
      await expect.poll(status).not.toBe('PENDING');
      return await status();
    },
    async failReservations(times) {
      // A sequence does not roll back: it counts the attempts that failed, too.
      await stock.query(`
        DROP TRIGGER IF EXISTS fails ON reservation; DROP SEQUENCE IF EXISTS attempts; CREATE SEQUENCE attempts;
        CREATE OR REPLACE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF nextval('attempts') <= ${times} THEN RAISE EXCEPTION 'the shelf of alice@example.com is broken'; END IF;
          RETURN NEW; END $$;
        CREATE TRIGGER fails BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION fails()`);
    },
    async logs() {
      const folder = join(dataDir, 'logs');
      const files = await readdir(folder);
      return (await Promise.all(files.map((name) => readFile(join(folder, name), 'utf8')))).join('');
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

/** The trace that an answer names. */
export function traceIdOf(headers: Headers): string {
  const header = headers.get('traceresponse') ?? '';
  expect(header).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);
  return header.slice(3, 35);
}
