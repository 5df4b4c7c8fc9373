import { randomBytes, randomUUID } from 'node:crypto';
import type { DescMessage } from '@bufbuild/protobuf';
import { OrderCanceledSchema, OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { ProductCreatedSchema } from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { StockExceededAmountSchema, StockReservedSchema } from '@tradewind/contracts/stock/v1/events';
import { deadLetterTopic, topicOf } from '@tradewind/messaging/contract';
import type { EventLog, LogRecord } from '@tradewind/messaging/log';
import { delay } from '@tradewind/process/backoff';
import type { Chance } from '../kills/chance.ts';
import { hearersOf } from './topics.ts';

/** The header of what was told in another's name. */
export const ROGUE = 'faults_rogue';

/** A dead letter that must come. */
export interface ExpectedLetter {
  readonly topic: string;
  readonly key: string;
  readonly reason: string;
  /** Who gave up on it. */
  readonly group: string;
}

const heard: readonly DescMessage[] = [
  OrderCreatedSchema,
  OrderCanceledSchema,
  StockReservedSchema,
  StockExceededAmountSchema,
  ProductCreatedSchema,
  RatedSchema,
];
const encoder = new TextEncoder();
const PATIENCE_MS = 60_000;
/** The id of no product. */
const NO_PRODUCT = 2_000_000_000;

/** Groups that get messages whose handling comes to no good end. */
export const poisoned = ['stock', 'ratings'] as const;
export type Poisoned = (typeof poisoned)[number];

/** Somebody else's producer: it says again what was said, in another order, and things that nobody should say. */
export class Rogue {
  /** Orders of which something was told under an id of its own. */
  readonly touched = new Set<string>();
  readonly #log: () => EventLog;
  readonly #products: readonly number[];

  constructor(log: () => EventLog, products: readonly number[]) {
    this.#log = log;
    this.#products = products;
  }

  /**
   * Repeats records of the last moments of every topic, in another order: half of them under their own ids, half under new ones.
   * @returns how many
   */
  async repeat(dice: Chance): Promise<number> {
    const found: LogRecord[] = [];
    for (const schema of heard)
      found.push(...(await this.#newest(topicOf(schema).name, 30 + dice.below(120))));
    // A message that kills is not said again: how often it kills is known for one.
    const harmless = found.filter(({ key }) => !key?.startsWith('dead'));
    const again = dice
      .shuffle(harmless)
      .map((record) => (dice.next() < 0.5 || isChange(record) ? record : this.#renamed(record)));
    await this.append(again);
    return again.length;
  }

  /** An order that the order service never had: told and taken back, in the wrong order, and all of it twice. */
  async unknownOrder(dice: Chance): Promise<string> {
    const orderId = randomUUID();
    this.touched.add(orderId);
    const productId = this.#products[dice.below(this.#products.length)] ?? 1;
    const created = bare(OrderCreatedSchema, orderId, {
      order_id: orderId,
      lines: [{ product_id: productId, quantity: 2 }],
      revision: '1',
    });
    const canceled = bare(OrderCanceledSchema, orderId, {
      order_id: orderId,
      reason: 'no more',
      revision: '2',
    });
    const reserved = bare(StockReservedSchema, orderId, {
      order_id: orderId,
      lines: [{ product_id: productId, quantity: '2' }],
      revision: '1',
    });
    const plays = [
      [canceled, created],
      [created],
      [created, canceled, created],
      [reserved, reserved],
      [canceled, canceled, created, created],
    ];
    await this.append(plays[dice.below(plays.length)] ?? []);
    return orderId;
  }

  /** What nobody who hears it can read: an order, or a rating. */
  async garbage(schema: typeof OrderCreatedSchema | typeof RatedSchema): Promise<ExpectedLetter[]> {
    const key = randomUUID();
    const { name } = topicOf(schema);
    await this.append([
      { topic: name, key, value: randomBytes(40), headers: { ce_id: key, ce_source: 'rogue' } },
    ]);
    const letter = { topic: deadLetterTopic(name), key, reason: 'undecodable' };
    return hearersOf(name).map((group) => ({ ...letter, group }));
  }

  /** An order for stock, or a talk's rating, whose handling comes to no good end; `prefix` says to which. */
  async poison(prefix: string, reason: string, group: Poisoned): Promise<ExpectedLetter> {
    const id = prefix + randomUUID().slice(prefix.length);
    const { topic, ...record } =
      group === 'ratings'
        ? bare(RatedSchema, id, { talkId: id, value: 1 })
        : bare(OrderCreatedSchema, id, {
            order_id: id,
            lines: [{ product_id: this.#products[0] ?? 1, quantity: 1 }],
            revision: '1',
          });
    await this.append([{ topic, ...record, headers: { ce_id: randomUUID(), ce_source: 'rogue' } }]);
    return { topic: deadLetterTopic(topic), key: id, reason, group };
  }

  /**
   * Ratings from somebody who knows nothing of the ratings service: of a talk, of one that nobody knows, of a product. They count. And some that
   * nobody can count: of a product that never was, and a change of what was never given.
   */
  async foreignRatings(dice: Chance, talks: readonly string[]): Promise<ExpectedLetter[]> {
    const value = 1 + dice.below(5);
    const product = this.#products[dice.below(this.#products.length)] ?? 1;
    const [never, nowhere] = [`never-${randomUUID()}`, `product/${NO_PRODUCT}`];
    const talk = talks[dice.below(talks.length)] ?? never;
    await this.append([
      bare(RatedSchema, talk, { talkId: talk, value }),
      { ...bare(RatedSchema, talk, { talkId: talk, value, mood: 'odd' }), key: null },
      bare(RatedSchema, `coming-${never}`, { talkId: `coming-${never}`, value }),
      bare(RatedSchema, `product/${product}`, { productId: product, value }),
      bare(RatedSchema, never, { talkId: never, value: 5, previousValue: 1 }),
      bare(RatedSchema, nowhere, { productId: NO_PRODUCT, value }),
    ]);
    const letter = { topic: deadLetterTopic(topicOf(RatedSchema).name), reason: 'rejected' };
    return [
      { ...letter, key: never, group: 'ratings' },
      { ...letter, key: nowhere, group: 'product' },
    ];
  }

  /** Until the log has them; some may then be there twice, as from any producer. */
  async append(records: readonly LogRecord[]): Promise<void> {
    for (const deadline = Date.now() + PATIENCE_MS; ; await delay(100)) {
      try {
        await using producer = await this.#log().producer();
        await producer.append(records);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
      }
    }
  }

  /** The same event as if somebody had told it anew. */
  #renamed(record: LogRecord): LogRecord {
    if (record.key !== null) this.touched.add(record.key);
    return { ...record, headers: { ...record.headers, ce_id: randomUUID(), [ROGUE]: 'renamed' } };
  }

  async #newest(topic: string, count: number): Promise<LogRecord[]> {
    const log = this.#log();
    const bounds = await log.bounds(topic);
    const each = BigInt(Math.ceil(count / bounds.length));
    const pages = bounds.map(({ partition, start, end }) =>
      log.read({ topic, partition, offset: end - each > start ? end - each : start }, Number(each)),
    );
    return (await Promise.all(pages))
      .flat()
      .map(({ key, value, headers }) => ({ topic, key, value, headers }));
  }
}

/** A rating that was changed: told anew, it would take back what it was once more. */
function isChange({ value }: LogRecord): boolean {
  return value !== null && Buffer.from(value).includes('"previousValue":');
}

/** JSON without headers, as any tool sends it. */
function bare(schema: DescMessage, key: string, value: object): LogRecord {
  return { topic: topicOf(schema).name, key, value: encoder.encode(JSON.stringify(value)), headers: {} };
}
