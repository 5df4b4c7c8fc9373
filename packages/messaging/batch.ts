import type { DescMessage } from '@bufbuild/protobuf';
import type { Database, EntityManager } from '@tradewind/database/database';
import { deadLetterOf, type GivingUp } from './dead-letter.ts';
import type { Fact } from './event.ts';
import { type Failure, follow, type HeldEvent, open, takeOut } from './held.ts';
import { claim, discard, type InboxState, isSame, restate } from './inbox.ts';
import type { Decode, Identified, Incoming } from './incoming.ts';
import { reset } from './line.ts';
import { Facts } from './outbox.ts';
import type { EventHandler, WorkingSet } from './subscription.ts';

/** Events whose handlers share their rows, as one batch handled them. */
export interface Handling {
  readonly events: readonly Identified[];
  /** What they changed. */
  readonly rows: WorkingSet;
  readonly seconds: number;
}

/** What a batch was worth. */
export interface BatchOutcome {
  readonly handled: number;
  /** Seen before, so left alone. */
  readonly duplicates: number;
  /** Given up on. */
  readonly dead: readonly (readonly [Identified, GivingUp])[];
  /** Held for retry, or behind an event of their key that is. */
  readonly held: readonly Identified[];
  /** Dead ones that nobody will redrive. */
  readonly discarded: number;
  readonly told: number;
  /** The same in detail, for whoever counts: how the events were handled, which were seen before, and the facts that were told. */
  readonly handlings: readonly Handling[];
  readonly repeats: readonly Identified[];
  readonly facts: readonly Pick<Fact, 'topic'>[];
}

const NOTHING: BatchOutcome = {
  handled: 0,
  duplicates: 0,
  dead: [],
  held: [],
  discarded: 0,
  told: 0,
  handlings: [],
  repeats: [],
  facts: [],
};

/** Settles batches of one group: inbox, state, facts, held events and dead letters of a batch in one transaction. */
export interface Batches {
  settle(batch: readonly Incoming[]): Promise<BatchOutcome>;
  /** Opens a line with an event that failed. */
  hold(incoming: Identified, failure: Failure): Promise<BatchOutcome>;
  /** Gives up on one record: its dead letter and its inbox row. */
  giveUp(incoming: Identified, why: GivingUp): Promise<BatchOutcome>;
  /** Settles the first events of a line. `retried`: the line remembers a failure, which is over now. */
  heal(events: readonly HeldEvent[], retried: boolean): Promise<BatchOutcome>;
  /** Gives up on the first event of a line. */
  giveUpHeld(event: HeldEvent, why: GivingUp): Promise<BatchOutcome>;
}

export interface BatchesOptions {
  readonly group: string;
  readonly database: Pick<Database, 'transaction'>;
  readonly decode: Decode;
}

/** What one transaction has to say. */
interface Work {
  readonly em: EntityManager;
  readonly group: string;
  readonly facts: Facts;
}

export function openBatches({ group, database, decode }: BatchesOptions): Batches {
  const transaction = (work: (work: Work) => Promise<Partial<BatchOutcome>>) =>
    database.transaction(async (em): Promise<BatchOutcome> => {
      const collected = new Facts(group);
      const outcome = await work({ em, group, facts: collected });
      const facts = collected.all();
      await collected.save(em);
      return { ...NOTHING, ...outcome, told: facts.length, facts };
    });
  return {
    settle: (batch) => transaction((work) => settle(work, batch)),
    hold: (incoming, failure) =>
      transaction(async ({ em }) => {
        const claimed = await claim(em, group, [incoming], 'done');
        if (claimed.length === 0) return { duplicates: 1, repeats: [incoming] };
        await open(em, group, incoming, failure);
        return { held: [incoming] };
      }),
    giveUp: (incoming, why) =>
      transaction(async (work) => {
        const claimed = await claim(work.em, group, [incoming], 'dead');
        if (claimed.length === 0) return { duplicates: 1, repeats: [incoming] };
        return { dead: bury(work, claimed, () => why) };
      }),
    heal: (events, retried) =>
      transaction(async (work) => {
        await takeOut(work.em, events);
        const batch = events.map(({ record, ...identity }) => decode(record, identity));
        const outcome = await settleHeld(work, batch);
        const [first] = batch;
        if (retried && first) await reset(work.em, group, first);
        return outcome;
      }),
    giveUpHeld: (event, why) =>
      transaction(async (work) => {
        await takeOut(work.em, [event]);
        const incoming = decode.identify(event.record, event);
        await restate(work.em, group, [incoming], 'dead');
        await reset(work.em, group, incoming);
        return { dead: bury(work, [incoming], () => why) };
      }),
  };
}

async function settle(work: Work, batch: readonly Incoming[]): Promise<Partial<BatchOutcome>> {
  const { em, group } = work;
  const letters = batch.filter(({ verdict }) => verdict !== undefined);
  const discards = batch.filter(({ discards }) => discards);
  const events = batch.filter(
    (incoming, n) =>
      incoming.event !== undefined &&
      // What was discarded earlier in the batch never runs again.
      !(incoming.redriven && discards.some((other) => isSame(incoming, other) && batch.indexOf(other) < n)),
  );
  const fresh = await claim(em, group, events, 'done');
  // A record that can't be decoded changes no state, so it has no order to keep, and does not wait for its key's line.
  const dead = letters.length > 0 ? bury(work, await claim(em, group, letters, 'dead'), verdictOf) : [];
  const discarded = await discard(em, group, discards);
  const held = await follow(em, group, fresh);
  const free = held.length === 0 ? fresh : fresh.filter((incoming) => !held.includes(incoming));
  const handlings = await handle(work, free);
  const duplicates = batch.length - fresh.length - dead.length - discarded;
  return {
    handled: free.length,
    duplicates,
    dead,
    held,
    discarded,
    handlings,
    // Rare, so the search costs nothing.
    repeats: duplicates > 0 ? others(batch, [...fresh, ...dead.map(([item]) => item), ...discards]) : [],
  };
}

function others<Item>(items: readonly Item[], known: readonly Item[]): Item[] {
  const set = new Set(known);
  return items.filter((item) => !set.has(item));
}

async function settleHeld(work: Work, batch: readonly Incoming[]): Promise<Partial<BatchOutcome>> {
  const { em, group } = work;
  const letters = batch.filter(({ verdict }) => verdict !== undefined);
  const events = batch.filter(({ event }) => event !== undefined);
  const say = (items: readonly Incoming[], state: InboxState) => restate(em, group, items, state);
  await say(events, 'done');
  await say(letters, 'dead');
  const handlings = await handle(work, events);
  return { handled: events.length, dead: bury(work, letters, verdictOf), handlings };
}

function bury<Item extends Identified>(
  { group, facts }: Work,
  items: readonly Item[],
  whyOf: (item: Item) => GivingUp | undefined,
): (readonly [Item, GivingUp])[] {
  return items.flatMap((incoming) => {
    const why = whyOf(incoming);
    if (!why) return [];
    facts.add(deadLetterOf(group, incoming.context, incoming.origin, why));
    return [[incoming, why] as const];
  });
}

const verdictOf = ({ verdict }: Incoming) => verdict;

/** Loads the rows of each kind once, applies the events in log order, writes the rows. */
async function handle({ em, facts }: Work, fresh: readonly Incoming[]): Promise<Handling[]> {
  const handlings: Handling[] = [];
  const byLoad = new Map<EventHandler<DescMessage, WorkingSet>['load'], Incoming[]>();
  for (const incoming of fresh) {
    if (!incoming.event) continue;
    const { load } = incoming.event.handler;
    const together = byLoad.get(load);
    if (together) together.push(incoming);
    else byLoad.set(load, [incoming]);
  }
  for (const [load, together] of byLoad) {
    const began = performance.now();
    const messages = together.flatMap(({ event }) => event?.message ?? []);
    const rows = await load(messages, em);
    for (const { event, context } of together) {
      event?.handler.apply(
        event.message,
        rows,
        (schema, fact) => facts.publish(schema, fact, context),
        context,
      );
    }
    await rows.save(em);
    handlings.push({ events: together, rows, seconds: (performance.now() - began) / 1_000 });
  }
  return handlings;
}
