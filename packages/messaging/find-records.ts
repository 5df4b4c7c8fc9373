import { bisect } from './bisect.ts';
import { type Bounds, boundsIfThere, readBetween } from './dead-letters.ts';
import type { EventLog, Position, ReceivedRecord } from './log.ts';
import { partitionOf } from './partition.ts';

type Readable = Pick<EventLog, 'read' | 'bounds'> & {
  /** Records that may still be read; without a bound when left out. */
  readonly left?: number;
};

/** Where records of a key are on a topic; undefined when there is no such topic. */
export async function partitionOfKey(log: Readable, topic: string, key: string): Promise<Bounds | undefined> {
  const bounds = await boundsIfThere(log, topic);
  const partition = partitionOf(key, bounds.length || 1);
  return bounds.find((one) => one.partition === partition);
}

/** The records of a key from a place up to an offset, page by page. */
export async function* pagesOfKey(
  log: Readable,
  from: Position,
  end: bigint,
  key: string,
): AsyncGenerator<{ readonly records: ReceivedRecord[]; readonly last: ReceivedRecord | undefined }> {
  for await (const page of readBetween(log, from, end))
    yield { records: page.filter((record) => record.key === key), last: page.at(-1) };
}

export interface Search {
  readonly topic: string;
  readonly key: string;
  /** When, or from which offset on, records of the key may have been appended; the first one is where looking begins. */
  readonly from: readonly (Date | bigint)[];
  /** Whoever has found one need not look at what was appended later. */
  readonly until?: Date | undefined;
  /** Nobody expects a record, so none is looked for behind `until`. */
  readonly unlikely?: boolean;
  /** Records that are looked at, at most; 10,000 when left out. */
  readonly most?: number;
}

/** What a search found, in the order of the offsets. */
export interface Found {
  readonly records: readonly ReceivedRecord[];
  /** Of the key; undefined when there is no such topic. */
  readonly bounds: Bounds | undefined;
  /**
   * Everything from the first place on was looked at: what was not found is not there. Never where nothing was found from a place on that the
   * log's clock alone told, for that may be behind.
   */
  readonly complete: boolean;
  /** Records from the first place on may have been removed already. */
  readonly cut: boolean;
}

const MOST = 10_000;
/** A bisection ends where reading is as cheap. */
const NEAR = 250n;
/** Two clocks, and two appends at the same time. */
const SLACK_MS = 10_000;

/** Looks for records of a key near the times when they are to be expected, without reading the whole topic. */
export async function findRecords(log: Readable, search: Search): Promise<Found> {
  const { topic, key, from, most = MOST } = search;
  const bounds = await partitionOfKey(log, topic, key);
  if (!bounds) return { records: [], bounds, complete: true, cut: false };
  const looks = await Promise.all(from.map((place) => offsetOf(log, bounds, place)));
  const places = looks.map(({ offset }) => offset);
  const first = places[0] ?? bounds.start;
  const starts = [...new Set(places)].sort((a, b) => (a < b ? -1 : 1)).filter((place) => place >= first);
  const records: ReceivedRecord[] = [];
  const budget = Math.ceil(most / Math.max(1, starts.length));
  let next = first;
  let complete = true;
  const sure = looks[0]?.sure ?? true;
  for (const start of starts) {
    if (start > next) complete = false;
    const at = start > next ? start : next;
    const stopped = await readOn(log, { ...bounds, offset: at }, { search, budget, records });
    next = stopped.next;
    if (start === starts.at(-1) && !stopped.enough && next < bounds.end) complete = false;
  }
  if (!sure && records.length === 0) complete = false;
  return { records, bounds, complete, cut: bounds.start > 0n && first === bounds.start };
}

/** Reads on from a place until there is nothing more, enough, or too much. */
async function readOn(
  log: Readable,
  from: Position & Bounds,
  { search, budget, records }: { search: Search; budget: number; records: ReceivedRecord[] },
): Promise<{ next: bigint; enough: boolean }> {
  const { key, until, unlikely } = search;
  let next = from.offset;
  const limit = from.offset + BigInt(budget);
  const end = limit < from.end ? limit : from.end;
  const spent = () => log.left !== undefined && log.left <= 0;
  if (spent()) return { next, enough: false };
  for await (const page of pagesOfKey(log, from, end, key)) {
    records.push(...page.records);
    if (!page.last) break;
    next = page.last.offset + 1n;
    if (until && page.last.appendedAt > until && (unlikely || records.length > 0))
      return { next, enough: true };
    if (spent()) return { next, enough: false };
  }
  // The end may lie behind offsets that were compacted away or are marks of the log's own.
  return { next: next < end ? end : next, enough: false };
}

/** Where a place is, and whether it is sure that nothing of its time lies before it. */
async function offsetOf(
  log: Readable,
  bounds: Bounds,
  place: Date | bigint,
): Promise<{ offset: bigint; sure: boolean }> {
  if (typeof place === 'bigint') {
    const within = place > bounds.start ? place : bounds.start;
    return { offset: within < bounds.end ? within : bounds.end, sure: true };
  }
  const time = place.getTime() - SLACK_MS;
  let sure = true;
  const offset = await bisect(bounds, NEAR, async (from) => {
    const [record] = await log.read({ ...bounds, offset: from }, 1);
    if (!record) return undefined;
    // Two clocks have to agree that it is too early: the log's, and that of whoever told it, which the times in question are by.
    const told = Date.parse(record.headers.ce_time ?? '');
    const early = record.appendedAt.getTime() < time && !(told >= time);
    if (early && Number.isNaN(told)) sure = false;
    return { at: record.offset, early };
  });
  return { offset, sure };
}
