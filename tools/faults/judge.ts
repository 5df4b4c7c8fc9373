import type { PartitionLag } from '@tradewind/messaging/log';
import { delay } from '@tradewind/process/backoff';
import { type AuditReport, audit } from '../load/audit.ts';
import { formatAudit } from '../load/report.ts';
import type { Sight } from './database.ts';
import type { ForeignRatings } from './foreign.ts';
import { judgeLedger, readLedger } from './ledger.ts';
import { judgeLetters, type Letters } from './letters.ts';
import type { ExpectedLetter, Rogue } from './rogue.ts';
import type { Sabotaged } from './sabotage.ts';
import type { Told } from './told.ts';
import { groups, topicsOf } from './topics.ts';
import type { Traffic } from './traffic.ts';
import type { World } from './world.ts';

export interface Case {
  readonly world: World;
  readonly traffic: Traffic;
  readonly letters: Letters;
  readonly told: Told;
  readonly foreign: ForeignRatings;
  readonly rogue: Rogue;
  readonly expected: readonly ExpectedLetter[];
  readonly databases: Readonly<Record<Sabotaged, Sight>>;
  /** Pieces that were put in before the first order, by product. */
  readonly putIn: ReadonlyMap<number, number>;
  readonly signal: AbortSignal;
}

/** How long work may be under way after the last order was answered. */
const REST_MS = 150_000;
const POLL_MS = 100;

/**
 * Waits until nothing is under way any more, and compares what is there with what must be: every accepted order once, settled, in the
 * books of both services; every accepted rating once, and counted once; each fact applied once; dead letters just those that were made; nothing unsent, nothing held, nothing unread.
 * @returns what is wrong, for people
 */
export async function judge(given: Case): Promise<string[]> {
  const { world, traffic, letters, told, rogue, foreign, expected, databases, signal } = given;
  await traffic.pause();
  await world.ready();
  const restless = await untilRest(given);
  const audited = await audit({
    ...world.addresses,
    expected: [traffic.expected()],
    expectedRatings: traffic.ratings,
    foreign: await foreign.read(world.log),
    stallMs: 30_000,
    patienceMs: 60_000,
    signal,
  });
  const putIn = new Map(given.putIn);
  for (const [product, pieces] of traffic.restocked) putIn.set(product, (putIn.get(product) ?? 0) + pieces);
  await told.read(world.log);
  return [
    ...traffic.troubles,
    ...world.unasked,
    ...restless,
    ...(audited.ok ? [] : [formatAudit(audited)]),
    ...uncounted(audited, world),
    ...judgeLedger(await readLedger(databases), traffic.canceled, putIn),
    ...(await told.lost(databases)),
    ...told.twice(rogue.touched),
    ...judgeLetters(expected, await letters.read(world.log)),
  ];
}

/** Where there is a Redis, its counts must have been compared, too. */
function uncounted({ ratings }: AuditReport, { redis }: World): string[] {
  const compared = ratings && 'stores' in ratings && ratings.stores.includes('Redis');
  return redis && !compared ? ['the counts of Redis could not be compared'] : [];
}

/** Until outboxes are empty, nothing is held, and all groups have read all; at last what is still under way. */
async function untilRest({ world, databases, expected, letters, signal }: Case): Promise<string[]> {
  for (const deadline = Date.now() + REST_MS; ; await delay(POLL_MS, signal)) {
    const busy = [...(await unsent(databases)), ...(await unread(world))];
    // An event that is on its way to its end leaves no other trace where it is held in memory.
    if (busy.length === 0) busy.push(...judgeLetters(expected, await letters.read(world.log)));
    if (busy.length === 0) return [];
    if (Date.now() > deadline) return busy.map((what) => `not at rest after ${REST_MS / 1_000} s: ${what}`);
  }
}

async function unsent(databases: Case['databases']): Promise<string[]> {
  const found: string[] = [];
  for (const [service, database] of Object.entries(databases)) {
    for (const table of ['outbox', 'held_event', 'held_line']) {
      const [there] = await database.query<{ there: boolean }>(
        'SELECT to_regclass($1) IS NOT NULL AS there',
        [table],
      );
      if (!there?.there) continue;
      const [row] = await database.query<{ count: string }>(`SELECT count(*) FROM ${table}`);
      if (Number(row?.count)) found.push(`${row?.count} rows in ${service}'s ${table}`);
    }
  }
  return found;
}

async function unread({ log }: World): Promise<string[]> {
  const found: string[] = [];
  for (const group of groups) {
    const lags: PartitionLag[] = await log.lag(group, topicsOf(group));
    for (const { topic, partition, lag } of lags)
      if (lag > 0n) found.push(`${group} has ${lag} records of ${topic}/${partition} to read`);
  }
  return found;
}
