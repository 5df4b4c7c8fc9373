import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { contextOf, decodeEvent } from '@tradewind/messaging/event';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';
import { add, type Foreign, unit } from '../load/judge-ratings.ts';
import { type Histogram, NONE } from '../load/ratings-books.ts';
import { subjectOf } from '../load/subjects.ts';
import { ROGUE } from './rogue.ts';

const { name: TOPIC } = topicOf(RatedSchema);
const PAGE = 2_000;

/**
 * Ratings on the log that the ratings service did not tell of, each as often as its identity differs: they count, and nobody has given them.
 * Each look reads what came since.
 */
export class ForeignRatings {
  readonly #next = new Map<number, bigint>();
  readonly #seen = new Set<string>();
  readonly #counts = new Map<string, Histogram>();

  async read(log: EventLog): Promise<Foreign> {
    for (const { partition, start, end } of await log.bounds(TOPIC)) {
      for (let offset = this.#next.get(partition) ?? start; offset < end; ) {
        const records = await log.read({ topic: TOPIC, partition, offset }, PAGE);
        const last = records.at(-1);
        if (!last) break;
        for (const record of records) this.#count(record, log.id);
        offset = last.offset + 1n;
        this.#next.set(partition, offset);
      }
    }
    return this.#counts;
  }

  #count(record: ReceivedRecord, logId: string): void {
    const { headers, key } = record;
    // What can't be read, and what nobody can count, is a dead letter.
    if (headers.ce_source === 'ratings' && headers[ROGUE] === undefined) return;
    if (key?.startsWith('dead')) return;
    const event = ratedIn(record);
    if (!event || event.previousValue !== undefined) return;
    const { source, id } = contextOf(record, logId);
    if (this.#seen.has(`${source}\n${id}`)) return;
    this.#seen.add(`${source}\n${id}`);
    const subject = subjectOf(event.about);
    this.#counts.set(subject, add(this.#counts.get(subject) ?? NONE, unit(event.value)));
  }
}

function ratedIn(record: ReceivedRecord) {
  try {
    return decodeEvent(RatedSchema, record);
  } catch {
    return undefined;
  }
}
