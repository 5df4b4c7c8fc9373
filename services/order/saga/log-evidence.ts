import { deadLetterTopic, redriveTopic } from '@tradewind/messaging/contract';
import {
  boundsIfThere,
  type DeadLetter,
  deadLetterIn,
  newestOfEach,
} from '@tradewind/messaging/dead-letters';
import { type Found, findRecords } from '@tradewind/messaging/find-records';
import type { PartitionLag, ReceivedRecord } from '@tradewind/messaging/log';
import { partitionOf } from '@tradewind/messaging/partition';
import type { SparingLog } from '@tradewind/messaging/sparing-log';
import { canceled, confirmed, created, exceeded, type Leg, legs, type Party, reserved } from './legs.ts';
import type { OrderFacts } from './order-facts.ts';

/** What the event log shows of an order. */
export interface LogEvidence {
  readonly logId: string;
  /** By topic. */
  readonly found: ReadonlyMap<string, Found>;
  /** By topic: the next offset that the group which has to hear it will read, in the order's partition. */
  readonly committed: ReadonlyMap<string, bigint>;
  /** The newest of each event. */
  readonly letters: readonly DeadLetter[];
  /** Topics that were not looked through to the end, with what was looked at. */
  readonly gaps: readonly { readonly topic: string; readonly why: string }[];
  /** Letters that were sent back, by group. */
  readonly redrives: ReadonlyMap<Party, Redrives>;
}

export interface Redrives {
  readonly records: readonly ReceivedRecord[];
  readonly committed: bigint;
}

/** What an outcome may take to be on the log, when nothing is late. */
const GRACE_MS = 10_000;
/** Records of one topic that are looked at, at most: where an event is to be expected, where none is, and where it would be a dead letter. */
const MOST = 5_000;
const MOST_UNLIKELY = 500;
const MOST_LETTERS = 1_000;
const hears: Readonly<Record<Party, readonly string[]>> = {
  stock: [created.topic, canceled.topic],
  order: [reserved.topic, exceeded.topic],
};

/** Looks for everything of an order near the times at which it can have been told. */
export async function lookOnLog(
  log: SparingLog,
  order: OrderFacts,
  sweepAfterMs: number,
): Promise<LogEvidence> {
  const committed = await progress(log, order.id);
  const search = async (leg: Leg, behindMs: number): Promise<[string, Found]> => {
    const own = committed.get(leg.topic);
    const told = times(order, sweepAfterMs).map((time) => after(time, -behindMs));
    const from = [...told, ...(order.status === 'PENDING' && own ? [own] : [])];
    const until = order.status === 'PENDING' ? undefined : after(order.updatedAt, GRACE_MS);
    const unlikely = !isLikely(leg, order);
    const most = unlikely ? MOST_UNLIKELY : MOST;
    return [
      leg.topic,
      await findRecords(log, { topic: leg.topic, key: order.id, from, until, unlikely, most }),
    ];
  };
  const first = await search(created, 0);
  const behindMs = behind(first[1], order);
  const since = after(order.startedAt, -behindMs);
  const [others, letters] = await Promise.all([
    Promise.all(legs.filter((leg) => leg !== created).map((leg) => search(leg, behindMs))),
    Promise.all(legs.filter(({ heardBy }) => heardBy).map((leg) => lettersOf(log, leg, order.id, since))),
  ]);
  const found = [first, ...others];
  const newest = newestOfEach(letters.flatMap(({ letters }) => letters));
  return {
    logId: log.id,
    found: new Map(found),
    committed,
    letters: newest,
    gaps: [
      ...found.flatMap(([topic, its]) => gapOf(topic, its, order)),
      ...letters.flatMap(({ topic, complete }) => (complete ? [] : [{ topic, why: NOT_ALL }])),
    ],
    redrives: new Map(
      await Promise.all(
        [...new Set(newest.map(({ group }) => group))]
          .filter((group): group is Party => group in hears)
          .map(async (group) => [group, await redrivesOf(log, group, order.id, since)] as const),
      ),
    ),
  };
}

const after = (time: Date, ms: number) => new Date(time.getTime() + ms);
const NOT_ALL = 'not all records that may be of this order could be looked at';

/** How far the log's clock is behind the database's, if the order's own record shows it: what follows comes after that one by the log's clock. */
function behind({ records: [first] }: Found, { startedAt }: OrderFacts): number {
  return first ? Math.max(0, startedAt.getTime() - first.appendedAt.getTime()) : 0;
}

/** When events of the order may have been told: when it began, when it was told again, when it changed last. */
function times({ startedAt, updatedAt, status, now }: OrderFacts, sweepAfterMs: number): Date[] {
  if (status !== 'PENDING') return [startedAt, updatedAt];
  const found = [startedAt];
  for (let ms = Math.max(1_000, sweepAfterMs); found.length < 8; ms *= 4) {
    const swept = after(startedAt, ms);
    if (swept > now) break;
    found.push(swept);
  }
  return found;
}

/** Whether an order in this state must have told or heard such an event. */
function isLikely({ topic }: Leg, { status, revision }: OrderFacts): boolean {
  if (topic === created.topic) return true;
  if (status === 'PENDING') return topic === reserved.topic || topic === exceeded.topic;
  if (topic === canceled.topic) return status === 'CANCELED';
  const confirmedOnce = status === 'CONFIRMED' || revision > 2;
  return confirmedOnce && (topic === reserved.topic || topic === confirmed.topic);
}

function gapOf(topic: string, { complete, records, bounds }: Found, order: OrderFacts) {
  const leg = legs.find((one) => one.topic === topic);
  if (complete || records.length > 0 || !leg || !isLikely(leg, order)) return [];
  return [{ topic, why: `${NOT_ALL} in ${topic}/${bounds?.partition}, and it was not among the others` }];
}

async function progress(log: SparingLog, key: string): Promise<Map<string, bigint>> {
  const lags = await Promise.all(Object.entries(hears).map(([group, topics]) => log.lag(group, topics)));
  return new Map(
    [...Map.groupBy(lags.flat(), ({ topic }) => topic)].map(([topic, partitions]) => [
      topic,
      committedIn(partitions, key),
    ]),
  );
}

function committedIn(partitions: readonly PartitionLag[], key: string): bigint {
  const own = partitionOf(key, partitions.length);
  return partitions.find(({ partition }) => partition === own)?.committed ?? 0n;
}

async function lettersOf(
  log: SparingLog,
  { topic, heardBy }: Leg,
  key: string,
  since: Date,
): Promise<{ topic: string; letters: DeadLetter[]; complete: boolean }> {
  const dead = deadLetterTopic(topic);
  const { records, complete } = await findRecords(log, {
    topic: dead,
    key,
    from: [since],
    most: MOST_LETTERS,
  });
  const letters = records.flatMap((record) => deadLetterIn(record) ?? []);
  return { topic: dead, letters: letters.filter(({ group }) => group === heardBy), complete };
}

async function redrivesOf(log: SparingLog, group: Party, key: string, since: Date): Promise<Redrives> {
  const topic = redriveTopic(group);
  if ((await boundsIfThere(log, topic)).length === 0) return { records: [], committed: 0n };
  const [{ records }, lags] = await Promise.all([
    findRecords(log, { topic, key, from: [since], most: MOST_LETTERS }),
    log.lag(group, [topic]),
  ]);
  return { records, committed: committedIn(lags, key) };
}
