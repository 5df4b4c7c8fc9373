import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';
import type { Sight } from './database.ts';
import { ROGUE } from './rogue.ts';
import { groups, hearersOf } from './topics.ts';

const created = topicOf(OrderCreatedSchema).name;
const canceled = topicOf(OrderCanceledSchema).name;
const ofOrder = [topicOf(OrderConfirmedSchema).name, canceled];
const ofStock = [StockReservedSchema, StockExceededAmountSchema].map((schema) => topicOf(schema).name);
const rated = topicOf(RatedSchema).name;
const PAGE = 2_000;
const NAMED = 10;

type TopicRecord = Pick<ReceivedRecord, 'topic' | 'key' | 'headers'> & { readonly value?: Uint8Array | null };

/**
 * Every fact that was told about every order and every rating, by the ids of its events. A record may be on the log twice, but under one id: a second id
 * means that what it tells of was done twice. Each look reads what came since.
 */
export class Told {
  readonly #next = new Map<string, bigint>();
  /** By topic, then by order, or by rating and revision. */
  readonly #ids = new Map<string, Map<string, string[]>>();
  /** Events whose handling was not seen yet, by the group that has to handle them: ids, each with its source. */
  readonly #unseen = new Map(groups.map((group) => [group, new Map<string, string>()]));

  async read(log: EventLog): Promise<void> {
    for (const topic of [created, ...ofOrder, ...ofStock, rated]) {
      for (const { partition, start, end } of await log.bounds(topic)) {
        const place = `${topic}/${partition}`;
        for (let offset = this.#next.get(place) ?? start; offset < end; ) {
          const records = await log.read({ topic, partition, offset }, PAGE);
          const last = records.at(-1);
          if (!last) break;
          for (const record of records) this.add(record);
          offset = last.offset + 1n;
          this.#next.set(place, offset);
        }
      }
    }
  }

  add({ topic, key, headers, value }: TopicRecord): void {
    const { ce_id: id, ce_source: source } = headers;
    if (key === null || id === undefined || source === undefined) return;
    for (const group of hearersOf(topic)) this.#unseen.get(group)?.set(id, source);
    if (headers[ROGUE] !== undefined) return;
    const fact = topic === rated ? ratingIn(value) : key;
    if (fact === undefined) return;
    const facts = this.#ids.get(topic) ?? new Map<string, string[]>();
    this.#ids.set(topic, facts);
    const ids = facts.get(fact);
    if (!ids) facts.set(fact, [id]);
    else if (!ids.includes(id)) ids.push(id);
  }

  /** Looks for each event in the inbox of the group that had to handle it. @returns those that it never handled, for people */
  async lost(databases: Readonly<Record<string, Sight>>): Promise<string[]> {
    const found: string[] = [];
    for (const [group, unseen] of this.#unseen) {
      const database = databases[group];
      if (!database) throw new Error(`nobody looks into the database of ${group}`);
      const rows = await database.query<{ id: string }>(
        `SELECT id FROM unnest($2::text[], $3::text[]) AS told (source, id)
         WHERE NOT EXISTS (SELECT FROM inbox WHERE consumer_group = $1 AND inbox.source = told.source AND inbox.id = told.id)`,
        [group, [...unseen.values()], [...unseen.keys()]],
      );
      unseen.clear();
      found.push(...rows.map(({ id }) => `the event ${id} is on the log, and ${group} never handled it`));
    }
    return shortened(found);
  }

  /**
   * @param foreign orders of which somebody else told something under an id of its own
   * @returns what was told twice, for people
   */
  twice(foreign: ReadonlySet<string>): string[] {
    const found: string[] = [];
    const look = (topic: string, asked: (order: string) => boolean) => {
      for (const [fact, ids] of this.#ids.get(topic) ?? [])
        if (ids.length > 1 && !foreign.has(fact) && asked(fact))
          found.push(`${topic} of ${fact} was told ${ids.length} times: ${ids.join(', ')}`);
    };
    for (const topic of [...ofOrder, rated]) look(topic, () => true);
    // An order that is late is told again under a new id, and then stock repeats its answer.
    for (const topic of ofStock) look(topic, (order) => this.#ids.get(created)?.get(order)?.length === 1);
    return shortened(found);
  }
}

/** The rating that an event tells of, in which revision; undefined for one that names none. */
function ratingIn(value: Uint8Array | null | undefined): string | undefined {
  try {
    const { ratingId, revision } = JSON.parse(Buffer.from(value ?? '').toString()) as Record<string, unknown>;
    return ratingId === undefined ? undefined : `rating ${ratingId}, revision ${revision}`;
  } catch {
    return undefined;
  }
}

function shortened(found: readonly string[]): string[] {
  if (found.length <= NAMED) return [...found];
  return [...found.slice(0, NAMED), `and ${found.length - NAMED} more of the kind`];
}
