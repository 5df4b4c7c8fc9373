import {
  OrderCanceledSchema,
  OrderConfirmedSchema,
  OrderCreatedSchema,
} from '@tradewind/contracts/order/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import type { EventLog, ReceivedRecord } from '@tradewind/messaging/log';
import type { Sight } from './database.ts';
import { ROGUE } from './rogue.ts';

const created = topicOf(OrderCreatedSchema).name;
const canceled = topicOf(OrderCanceledSchema).name;
const ofOrder = [topicOf(OrderConfirmedSchema).name, canceled];
const ofStock = [StockReservedSchema, StockExceededAmountSchema].map((schema) => topicOf(schema).name);
const PAGE = 2_000;
const NAMED = 10;

/**
 * Every fact that was told about every order, by the ids of its events. A record may be on the log twice, but under one id: a second id
 * means that what it tells of was done twice. Each look reads what came since.
 */
export class Told {
  readonly #next = new Map<string, bigint>();
  /** By topic, then by order. */
  readonly #ids = new Map<string, Map<string, string[]>>();
  /** Events whose handling was not seen yet, by the group that has to handle them: ids, each with its source. */
  readonly #unseen = { order: new Map<string, string>(), stock: new Map<string, string>() };

  async read(log: EventLog): Promise<void> {
    for (const topic of [created, ...ofOrder, ...ofStock]) {
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

  add({ topic, key, headers }: Pick<ReceivedRecord, 'topic' | 'key' | 'headers'>): void {
    const { ce_id: id, ce_source: source } = headers;
    if (key === null || id === undefined || source === undefined) return;
    const group = ofStock.includes(topic)
      ? 'order'
      : topic === created || topic === canceled
        ? 'stock'
        : undefined;
    if (group) this.#unseen[group].set(id, source);
    if (headers[ROGUE] !== undefined) return;
    const orders = this.#ids.get(topic) ?? new Map<string, string[]>();
    this.#ids.set(topic, orders);
    const ids = orders.get(key);
    if (!ids) orders.set(key, [id]);
    else if (!ids.includes(id)) ids.push(id);
  }

  /** Looks for each event in the inbox of the group that had to handle it. @returns those that it never handled, for people */
  async lost(databases: Readonly<Record<'order' | 'stock', Sight>>): Promise<string[]> {
    const found: string[] = [];
    for (const group of ['order', 'stock'] as const) {
      const unseen = this.#unseen[group];
      const rows = await databases[group].query<{ id: string }>(
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
      for (const [order, ids] of this.#ids.get(topic) ?? [])
        if (ids.length > 1 && !foreign.has(order) && asked(order))
          found.push(`${topic} of order ${order} was told ${ids.length} times: ${ids.join(', ')}`);
    };
    for (const topic of ofOrder) look(topic, () => true);
    // An order that is late is told again under a new id, and then stock repeats its answer.
    for (const topic of ofStock) look(topic, (order) => this.#ids.get(created)?.get(order)?.length === 1);
    return shortened(found);
  }
}

function shortened(found: readonly string[]): string[] {
  if (found.length <= NAMED) return [...found];
  return [...found.slice(0, NAMED), `and ${found.length - NAMED} more of the kind`];
}
