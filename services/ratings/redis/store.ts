import { countsKey, MARKER, PREFIX, REFILL, revisionKey } from './keys.ts';
import type { Life, Link } from './link.ts';
import { BEGIN, FINISH, READ, REMOVE, WRITE } from './scripts.ts';
import type { Counts, Tally, TallyRow } from './tallies.ts';

/** What is read or written together: one epoch, in one life of the server. */
export interface Place {
  readonly epoch: string;
  readonly life: Life;
}

/** A refill that is under way. */
export interface Refill extends Place {
  /** Its mark in Redis. */
  readonly mark: string;
}

/** Why nothing was written: the store is neither complete nor being filled; or the refill is not under way any more. */
export type Refused = 'incomplete' | 'lost';

/** What Redis has of a subject: nothing, something that can't be, or a tally. */
export type Found = Tally | 'absent' | 'damaged';

/** A refill that gives no sign of life for so long is over. */
const REST_MS = '10000';
const SCAN_KEYS = 1_000;

export const markerOf = ({ epoch, life }: Place): string => `${epoch}:${life.run}`;

/** What we keep in Redis. Each function is one script, which runs as a whole, and rejects when Redis does not do it. */
export class Store {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  /** What there is of each subject, in their order; undefined when the store is not complete. */
  async read(place: Place, subjects: readonly string[]): Promise<Found[] | undefined> {
    const keys = [MARKER, ...subjects.flatMap((subject) => [revisionKey(subject), countsKey(subject)])];
    const [marker, ...values] = (await this.#link.run(place.life, READ, keys, [])) as unknown[];
    if (marker !== markerOf(place)) return undefined;
    return subjects.map((_, n) => found(place.epoch, values[2 * n], values[2 * n + 1]));
  }

  /**
   * Writes what is newer than what is there.
   * @param mend whether to write again what is there in that revision
   */
  async write(
    place: Place | Refill,
    rows: readonly TallyRow[],
    { mend = false } = {},
  ): Promise<number | Refused> {
    const refill = 'mark' in place ? place.mark : '';
    return (await this.#link.run(
      place.life,
      WRITE,
      [MARKER, REFILL, ...rows.flatMap(({ subject }) => [revisionKey(subject), countsKey(subject)])],
      [markerOf(place), refill, REST_MS, mend ? '1' : '0', place.epoch, ...rows.flatMap(written)],
    )) as number | Refused;
  }

  /** Begins a refill, unless the store is complete, or another process fills it. */
  async begin(place: Place, token: string): Promise<Refill | 'complete' | 'busy'> {
    const marker = markerOf(place);
    const mark = `${marker}:${token}`;
    const answer = await this.#link.run(place.life, BEGIN, [MARKER, REFILL], [marker, mark, REST_MS]);
    return answer === 'begun' ? { ...place, mark } : (answer as 'complete' | 'busy');
  }

  /** A step through all keys of ours. */
  async scan({ life }: Place, cursor: string): Promise<[string, string[]]> {
    return await this.#link.scan(life, cursor, `${PREFIX}*`, SCAN_KEYS);
  }

  /** The revisions of subjects as they are written; empty where there is none. */
  async revisions({ life }: Place, subjects: readonly string[]): Promise<string[]> {
    const keys = [MARKER, ...subjects.flatMap((subject) => [revisionKey(subject), countsKey(subject)])];
    const [, ...values] = (await this.#link.run(life, READ, keys, [])) as unknown[];
    return subjects.map((_, n) => text(values[2 * n]));
  }

  /** Removes what there is of subjects, unless it has changed since their revisions were asked for. */
  async remove(
    refill: Refill,
    subjects: readonly string[],
    seen: readonly string[],
  ): Promise<number | Refused> {
    const keys = [REFILL, ...subjects.flatMap((subject) => [revisionKey(subject), countsKey(subject)])];
    return (await this.#link.run(refill.life, REMOVE, keys, [refill.mark, REST_MS, ...seen])) as
      | number
      | Refused;
  }

  /** The store is complete. */
  async finish(refill: Refill): Promise<'complete' | Refused> {
    const args = [markerOf(refill), refill.mark];
    return (await this.#link.run(refill.life, FINISH, [MARKER, REFILL], args)) as 'complete' | Refused;
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function written({ revision, changed, ...row }: TallyRow): string[] {
  const counts = [row.count_1, row.count_2, row.count_3, row.count_4, row.count_5];
  return [revision, String(counts.reduce((sum, count) => sum + BigInt(count), 0n)), changed, ...counts];
}

/** An entry counts only if its parts are of one writing: either may have been evicted, or changed by somebody else. */
function found(epoch: string, revisionText: unknown, values: unknown): Found {
  if (revisionText === null && Array.isArray(values) && values.every((value) => value === null))
    return 'absent';
  const [, written, revision, sum, changed] = /^(\w+):(\d+):(\d+):(\d+)$/.exec(text(revisionText)) ?? [];
  if (written !== epoch || !Array.isArray(values)) return 'damaged';
  const counts = values.map((value) =>
    value === null ? 0 : /^\d+$/.test(text(value)) ? Number(value) : Number.NaN,
  );
  const total = counts.reduce((all, count) => all + count, 0);
  if (total !== Number(sum) || !Number.isSafeInteger(total)) return 'damaged';
  return {
    counts: counts as unknown as Counts,
    revision: Number(revision),
    changedAt: new Date(Number(changed)),
  };
}
