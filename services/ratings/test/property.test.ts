import { Code, ConnectError } from '@connectrpc/connect';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openRandomWorld, type RandomWorld } from './random-world.ts';

// PROPERTY_RUNS=2000 for a long run; PROPERTY_SEED and PROPERTY_PATH, as a failure prints them, for the same run again.
const RUNS = Number(process.env.PROPERTY_RUNS ?? 0);
const SEED = Number(process.env.PROPERTY_SEED ?? Math.floor(Math.random() * 2 ** 31));
const PATH = process.env.PROPERTY_PATH;
const LIMIT_MS = 10_000;
/** After so many runs a new world: what begins again with the first record has to read all that is there. */
const WORLD_RUNS = 40;

let world: RandomWorld;
beforeAll(async () => {
  world = await openRandomWorld();
});
afterAll(() => world?.[Symbol.asyncDispose]());

const place = fc.double({ min: 0, max: 0.999, noNaN: true });
const value = fc.integer({ min: 1, max: 5 });
const record = <Do extends string, More extends object>(
  name: Do,
  more: { [Key in keyof More]: fc.Arbitrary<More[Key]> },
) => fc.record({ do: fc.constant(name), ...more }) as unknown as fc.Arbitrary<{ readonly do: Do } & More>;
const two = fc.nat(1);
const command = fc.oneof(
  { weight: 5, arbitrary: record('talk', { talk: two, value, twice: fc.boolean() }) },
  { weight: 6, arbitrary: record('rate', { subject: fc.nat(2), customer: fc.nat(3), value }) },
  { weight: 4, arbitrary: record('change', { rating: place, value }) },
  { weight: 1, arbitrary: record('rename', { product: two }) },
  { weight: 1, arbitrary: record('remove', { product: two }) },
  { weight: 2, arbitrary: record('foreign', { talk: two, value }) },
  { weight: 1, arbitrary: record('garbage', { talk: two }) },
  { weight: 1, arbitrary: record('redrive', { talk: two, value }) },
  { weight: 3, arbitrary: record('redeliver', { picks: fc.array(place, { minLength: 1, maxLength: 5 }) }) },
  { weight: 1, arbitrary: record('crash', {}) },
  { weight: 1, arbitrary: record('rewind', {}) },
  { weight: 1, arbitrary: record('rebuild', {}) },
);
type Command = typeof command extends fc.Arbitrary<infer T> ? T : never;

/** What must come out, whatever happened on the way. */
interface Model {
  readonly talks: readonly string[];
  readonly products: readonly number[];
  /** As the last answer said, by id. */
  readonly given: Map<string, { readonly subject: string; value: number }>;
  /** What others told of, or was corrected: a subject and a value each. */
  readonly foreign: { readonly subject: string; readonly value: number }[];
  readonly removed: Set<string>;
  readonly renamed: Map<number, number>;
  /** Unreadable records that are not brought back, by talk. */
  readonly dead: Map<string, number>;
}

let runs = 0;

async function play(commands: readonly Command[]): Promise<Model> {
  const { call } = world.ratings;
  const tag = `run-${runs}`;
  await world.forget();
  const talks = [`${tag}-a`, `${tag}-b`];
  const products = [2 * runs + 1, 2 * runs + 2];
  for (const id of talks) await call.createTalk({ id, title: id });
  for (const product of products) await world.product(product, 'created');
  const provider = await world.ratings.provider(`P${tag}`);
  const customers = await Promise.all([0, 1, 2, 3].map((n) => world.ratings.customer(`C${n}${tag}`)));
  await world.settle();
  const model: Model = {
    talks,
    products,
    given: new Map(),
    foreign: [],
    removed: new Set(),
    renamed: new Map(products.map((product) => [product, 1])),
    dead: new Map(),
  };
  const subjects = [
    ...products.map((product) => ({ case: 'productId' as const, value: product })),
    { case: 'serviceProviderId' as const, value: provider },
  ];
  const nameOf = (n: number) => (n < 2 ? `product/${products[n]}` : `service-provider/${provider}`);
  const rated = new Set<string>();
  /** What was deleted once, and may be taken for that for a moment still. */
  const removedOnce = new Set<string>();
  const act: { [Do in Command['do']]: (command: Command & { do: Do }) => Promise<unknown> } = {
    async talk({ talk, value, twice }) {
      const talkId = talks[talk] ?? '';
      const headers = { 'idempotency-key': `${tag}-${model.given.size}-${Math.random()}` };
      const ask = () => call.rateTalk({ talkId, value }, { headers });
      const answers = await Promise.all(twice ? [ask(), ask()] : [ask()]);
      expect(new Set(answers.map(({ ratingId }) => ratingId)).size).toBe(1);
      model.given.set(answers[0]?.ratingId ?? '', { subject: talkId, value });
    },
    async rate({ subject, customer, value }) {
      const wish = { subject: { about: subjects[subject] ?? { case: undefined } }, value };
      const who = `${subject} ${customer}`;
      const before = rated.has(who);
      const code = await refused(async () => {
        const { rating } = await call.createRating({ ...wish, customerId: customers[customer] ?? '' });
        model.given.set(rating?.id ?? '', { subject: nameOf(subject), value });
        rated.add(who);
      });
      // A product that was deleted is known to be so a moment later.
      if (code === Code.FailedPrecondition) expect(removedOnce).toContain(nameOf(subject));
      else expect(code).toBe(before ? Code.AlreadyExists : undefined);
    },
    async change({ rating: at, value }) {
      const [id, rating] = [...model.given][Math.floor(at * model.given.size)] ?? [];
      if (id === undefined || rating === undefined) return;
      const code = await refused(async () => {
        await call.updateRating({ id, value });
        rating.value = value;
      });
      const fixed = model.talks.includes(rating.subject) || removedOnce.has(rating.subject);
      if (code !== undefined) expect([code, fixed]).toEqual([Code.FailedPrecondition, true]);
      else expect(model.talks).not.toContain(rating.subject);
    },
    async rename({ product: n }) {
      const product = products[n] ?? 0;
      model.renamed.set(product, (model.renamed.get(product) ?? 0) + 1);
      model.removed.delete(`product/${product}`);
      await world.product(product, 'updated');
    },
    async remove({ product: n }) {
      const product = products[n] ?? 0;
      model.renamed.set(product, (model.renamed.get(product) ?? 0) + 1);
      model.removed.add(`product/${product}`);
      removedOnce.add(`product/${product}`);
      await world.product(product, 'deleted');
    },
    async foreign({ talk, value }) {
      const subject = talks[talk] ?? '';
      model.foreign.push({ subject, value });
      await world.foreign(subject, value);
    },
    async garbage({ talk }) {
      const subject = talks[talk] ?? '';
      model.dead.set(subject, (model.dead.get(subject) ?? 0) + 1);
      await world.garbage(subject);
    },
    async redrive({ talk, value }) {
      const subject = talks[talk] ?? '';
      await world.settle();
      const dead = model.dead.get(subject) ?? 0;
      expect(await world.redrive(subject, value), `dead letters of ${subject}`).toBeGreaterThanOrEqual(dead);
      for (let n = 0; n < dead; n++) model.foreign.push({ subject, value });
      model.dead.delete(subject);
      await world.settle();
    },
    redeliver: ({ picks }) => world.redeliver(picks),
    crash: () => world.crash(),
    rewind: () => world.rewind(),
    rebuild: async () => expect(await world.rebuild()).toMatchObject({ different: 0 }),
  };
  for (const one of commands) await (act[one.do] as (command: Command) => Promise<unknown>)(one);
  await world.settle();
  return model;
}

/** The code of what is refused; undefined when it is not. */
async function refused(work: () => Promise<void>): Promise<Code | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof ConnectError) return error.code;
    throw error;
  }
}

async function judge(model: Model): Promise<void> {
  const { query, call } = world.ratings;
  const ids = [...model.given.keys()];
  const rows = await query('SELECT id, subject, value FROM rating WHERE id = ANY($1)', [ids]);
  expect(new Map(rows.map(({ id, ...row }) => [id, row]))).toEqual(model.given);
  const counts = new Map<string, number[]>();
  for (const { subject, value } of [...model.given.values(), ...model.foreign]) {
    const row = counts.get(subject) ?? [0, 0, 0, 0, 0];
    row[value - 1] = (row[value - 1] ?? 0) + 1;
    counts.set(subject, row);
  }
  const tallies = await query('SELECT * FROM tally WHERE subject = ANY($1)', [[...counts.keys()]]);
  const counted = tallies.map((row) => [row.subject, [1, 2, 3, 4, 5].map((n) => Number(row[`count_${n}`]))]);
  expect(new Map(counted as [string, number[]][])).toEqual(counts);
  for (const talk of model.talks) {
    const { summary } = await call.getSummary({ subject: { about: { case: 'talkId', value: talk } } });
    expect(Number(summary?.count), talk).toBe((counts.get(talk) ?? []).reduce((sum, n) => sum + n, 0));
  }
  for (const product of model.products) {
    const [row] = await query('SELECT deleted, product_revision FROM subject WHERE id = $1', [
      `product/${product}`,
    ]);
    expect([row.deleted, Number(row.product_revision)], `product ${product}`).toEqual([
      model.removed.has(`product/${product}`),
      model.renamed.get(product),
    ]);
  }
  expect(await world.rebuild()).toMatchObject({ different: 0 });
}

test(
  'whatever is rated, changed, told by others, repeated, crashed, rewound, redriven and rebuilt: counts are the ratings',
  async () => {
    let steps = 0;
    const done: Record<string, number> = {};
    console.info(`PROPERTY_SEED=${SEED}`);
    const begin = async () => {
      if (runs > 0 && runs % WORLD_RUNS === 0) {
        await world[Symbol.asyncDispose]();
        world = await openRandomWorld();
      }
      runs++;
    };
    const property = fc.asyncProperty(
      fc.array(command, { minLength: 5, maxLength: 25 }),
      async (commands) => {
        await begin();
        await judge(await play(commands));
        steps += commands.length;
        for (const { do: name } of commands) done[name] = (done[name] ?? 0) + 1;
      },
    );
    await fc.assert(property, {
      seed: SEED,
      numRuns: RUNS || 60,
      // What depends on a moment does not get smaller, it only takes long.
      endOnFailure: true,
      // A machine that is busy plays fewer of them.
      ...(!RUNS && { interruptAfterTimeLimit: LIMIT_MS }),
      ...(PATH !== undefined && { path: PATH }),
    });
    console.info(`${runs} runs of ${steps} steps in all: ${JSON.stringify(done)}`);
    if (!PATH) expect(runs).toBeGreaterThanOrEqual(3);
  },
  RUNS ? 3_600_000 : 60_000,
);
