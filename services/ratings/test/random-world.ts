import {
  ProductCreatedSchema,
  ProductDeletedSchema,
  ProductUpdatedSchema,
} from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { openDatabase } from '@tradewind/database/database';
import { redriveTopic, topicOf } from '@tradewind/messaging/contract';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { listen } from '@tradewind/messaging/listen';
import type { LogRecord } from '@tradewind/messaging/log';
import type { Subscription } from '@tradewind/messaging/subscription';
import { delay } from '@tradewind/process/backoff';
import { createLogger } from '@tradewind/telemetry/logger';
import { append, deadLettersOf, recordOf, recordsOf } from '@tradewind/testing/events';
import { v7 } from 'uuid';
import { type Rebuilt, rebuild } from '../rebuild.ts';
import { service } from '../service.ts';
import { startRatings, type TestRatings } from './ratings-service.ts';

const logger = createLogger({ service: 'property', level: 'silent' });
const PATIENCE_MS = 20_000;
const LISTENER = 'listener';
const topic = topicOf(RatedSchema).name;
const topics = [...new Set(service.subscriptions.map((each) => each.topic)), redriveTopic('ratings')];

/** Counts as the service does, in connections of its own. @returns what ends it in order */
async function startListener({ databaseUrl, log }: TestRatings): Promise<() => Promise<void>> {
  const database = await openDatabase({ url: databaseUrl, schema: service.schema, name: LISTENER });
  const stop = new AbortController();
  const ended = listen({
    group: 'ratings',
    log,
    database,
    subscriptions: service.subscriptions as readonly Subscription[],
    logger,
    signal: stop.signal,
    retry: { attempts: 2, baseMs: 1 },
    onCommit: () => undefined,
  }).catch((error: unknown) => {
    if (!stop.signal.aborted) throw error;
  });
  return async () => {
    stop.abort();
    await ended;
    await database[Symbol.asyncDispose]();
  };
}

/** The ratings service, its calls, and a listener of its group that a test crashes; the log in between is moved by hand as well. */
export async function openRandomWorld() {
  await using scope = new AsyncDisposableStack();
  const ratings = scope.use(await startRatings({ listen: false }));
  const { log, database } = ratings;
  let end = await startListener(ratings);
  scope.defer(() => end());
  const products = new Map<number, bigint>();
  const told = (productId: number) => {
    const revision = (products.get(productId) ?? 0n) + 1n;
    products.set(productId, revision);
    return revision;
  };
  const seen = new Set<string>();
  const fresh = async () => (await recordsOf(log, topic)).filter((record) => !seen.has(placeOf(record)));
  const waiting = async () => {
    const { rows } = await database.pool.query(
      'SELECT (SELECT count(*)::int FROM outbox) + (SELECT count(*)::int FROM held_event) AS n',
    );
    const lags = await log.lag('ratings', topics);
    return lags.reduce((sum, { lag }) => sum + Number(lag), Number(rows[0]?.n));
  };
  const kept = scope.move();
  return {
    ratings,
    /** A product is created, renamed, deleted; what was told before is told again, late. */
    async product(productId: number, what: 'created' | 'updated' | 'deleted'): Promise<void> {
      const schemas = {
        created: ProductCreatedSchema,
        updated: ProductUpdatedSchema,
        deleted: ProductDeletedSchema,
      };
      const revision = told(productId);
      const name = `Name ${revision}`;
      const record =
        what === 'deleted'
          ? recordOf(schemas.deleted, { productId, revision })
          : recordOf(schemas[what], { productId, name, revision });
      const old = recordOf(ProductUpdatedSchema, { productId, name: 'Old', revision: 1n });
      await append(log, record, ...(revision > 1n ? [old, record] : []));
    },
    /** Somebody else tells of a rating, in as few words as possible. */
    foreign: (talkId: string, value: number) =>
      append(log, { topic, key: talkId, value: Buffer.from(JSON.stringify({ talkId, value })), headers: {} }),
    /** What nobody can read. */
    async garbage(key: string): Promise<void> {
      const headers = { ce_id: v7(), ce_source: 'somebody' };
      await append(log, { topic, key, value: Buffer.from('five stars!'), headers });
    },
    /** Brings every dead letter of a key back, corrected, twice. @returns how many there were */
    async redrive(talkId: string, value: number): Promise<number> {
      const letters = (await deadLettersOf(log, RatedSchema)).filter(({ key }) => key === talkId);
      const correction = { key: talkId, value: Buffer.from(JSON.stringify({ talkId, value })) };
      await append(
        log,
        ...letters.flatMap((letter) => [redriveOf(letter, correction), redriveOf(letter, correction)]),
      );
      return letters.length;
    },
    /** Delivers some of this run's records once more, as they were; each pick is a place among them, from 0 up to 1. */
    async redeliver(picks: readonly number[]): Promise<void> {
      // One without an id of its own is another one each time.
      const named = (await fresh()).filter(({ headers }) => headers.ce_id !== undefined);
      const again = picks.flatMap((pick): LogRecord[] => {
        const record = named[Math.floor(pick * named.length)];
        return record ? [{ topic, key: record.key, value: record.value, headers: record.headers }] : [];
      });
      if (again.length > 0) await append(log, ...again);
    },
    /** Whatever transaction is under way is lost with its connection. */
    async crash(): Promise<void> {
      await database.pool.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1',
        [LISTENER],
      );
      await end();
      end = await startListener(ratings);
    },
    /** The group begins again with the first record. */
    async rewind(): Promise<void> {
      await end();
      await log.rewind('ratings', topics);
      end = await startListener(ratings);
    },
    rebuild: (): Promise<Rebuilt> =>
      rebuild({ database, log, logger, signal: AbortSignal.timeout(PATIENCE_MS), print: () => undefined }),
    /** Dead letters of a key. */
    deadOf: async (talkId: string) =>
      (await deadLettersOf(log, RatedSchema)).filter(({ key }) => key === talkId).length,
    /** Everything that was told is counted. */
    async settle(): Promise<void> {
      const patience = AbortSignal.timeout(PATIENCE_MS);
      for (let calm = 0; calm < 2; calm = (await waiting()) === 0 ? calm + 1 : 0) await delay(5, patience);
    },
    /** The next run is not to deliver this one's records. */
    async forget(): Promise<void> {
      for (const record of await fresh()) seen.add(placeOf(record));
    },
    [Symbol.asyncDispose]: () => kept.disposeAsync(),
  };
}

export type RandomWorld = Awaited<ReturnType<typeof openRandomWorld>>;

const placeOf = ({ partition, offset }: { partition: number; offset: bigint }) => `${partition}/${offset}`;
