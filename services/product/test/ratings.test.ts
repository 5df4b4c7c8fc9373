import { toJson } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { ProductUpdatedSchema } from '@tradewind/contracts/product/v1/events';
import { ProductSchema } from '@tradewind/contracts/product/v1/product';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { topicOf } from '@tradewind/messaging/contract';
import { append, deadLettersOf, eventsOf } from '@tradewind/testing/events';
import { statementsOf } from '@tradewind/testing/plans';
import type { TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ask, clientsOf, type ProductClient, startProduct } from './market.ts';
import { heard, rate, rated } from './rating.ts';

let running: TestService;
let client: ProductClient;
beforeAll(async () => {
  running = await startProduct();
  client = clientsOf(running.url).grpc;
});
afterAll(() => running[Symbol.asyncDispose]());

const topic = topicOf(RatedSchema).name;

async function fresh(name = 'Oak desk'): Promise<number> {
  const { product } = await client.createProduct({ name });
  return product?.id ?? 0;
}

const shown = async (id: number) => {
  const { data } = await ask(running, 'query ($id: Int) { productById(id: $id) { rating ratingCount } }', {
    id,
  });
  return data?.productById;
};

const rename = (id: number, name: string) =>
  client.updateProduct({ id, product: { name }, updateMask: { paths: ['name'] } });

/** What is written down of products: their ratings and all that ratings must leave alone. */
const written = async (...ids: number[]) =>
  (
    await running.database.pool.query(
      `SELECT rating, rating_count::int AS count, rating_sum::int AS sum, revision::int, updated_at
       FROM product WHERE id = ANY($1) ORDER BY id`,
      [ids],
    )
  ).rows;

/** Why events of a product became dead letters. */
async function lettersOf(key: string) {
  const letters = await deadLettersOf(running.log, RatedSchema);
  return letters
    .filter((letter) => letter.key === key)
    .map(({ headers }) => ({
      group: headers.dlq_group,
      reason: headers.dlq_reason,
      error: headers.dlq_error,
      attempts: headers.dlq_attempts,
    }));
}
const dead = (error: unknown, reason = 'rejected') => ({ group: 'product', reason, error, attempts: '1' });

describe('ratings of a product', () => {
  test('show in GraphQL and by RPC, as their exact average and their number', async () => {
    const id = await fresh();
    expect(await shown(id)).toEqual({ rating: null, ratingCount: 0 });
    const { product: before } = await client.getProduct({ id });
    expect(before).toMatchObject({ ratingCount: 0n });
    expect(before?.rating).toBeUndefined();

    await append(running.log, rated(id, 5), rated(id, 4), rated(id, 4));
    await expect.poll(() => shown(id)).toEqual({ rating: 13 / 3, ratingCount: 3 });
    const expected = { rating: 13 / 3, ratingCount: 3n };
    const { product } = await client.getProduct({ id });
    expect(product).toMatchObject(expected);
    expect(product && toJson(ProductSchema, product)).toMatchObject({ rating: 13 / 3, ratingCount: '3' });
    expect((await client.batchGetProducts({ ids: [id] })).products).toMatchObject([expected]);
    const { products } = await client.listProducts({ pageSize: 1_000 });
    expect(products.find((one) => one.id === id)).toMatchObject(expected);
    expect((await rename(id, 'Desk of oak')).product).toMatchObject(expected);
  });

  test('are there within a second', async () => {
    const id = await fresh();
    const times: number[] = [];
    for (let n = 1; n <= 9; n++) {
      const began = performance.now();
      await append(running.log, rated(id, 3));
      await expect.poll(() => shown(id), { interval: 10 }).toEqual({ rating: 3, ratingCount: n });
      times.push(performance.now() - began);
    }
    // The median: a machine that stands still for a moment is not the service's doing.
    expect(times.toSorted((a, b) => a - b)[4]).toBeLessThan(1_000);
  });

  test('drift by nothing, however many there are', async () => {
    const id = await fresh();
    const values = Array.from({ length: 3_000 }, (_, n) => 1 + ((n * 7) % 5));
    await rate(running, id, ...values, 2);
    const sum = values.reduce((all, value) => all + value, 2);
    expect(await written(id)).toMatchObject([{ rating: sum / 3_001, count: 3_001, sum }]);
  });

  test('told again count once, in one batch and later', async () => {
    const [id, event] = [await fresh(), v7()];
    await append(running.log, rated(id, 5, { id: event }), rated(id, 5, { id: event }), rated(id, 1));
    await heard(running);
    await append(running.log, rated(id, 5, { id: event }));
    await heard(running);
    expect(await shown(id)).toEqual({ rating: 3, ratingCount: 2 });
  });

  test('that change move the average and not the number', async () => {
    const id = await fresh();
    const changed = (from: number, to: number) => rated(id, to, { previousValue: from, revision: 2n });
    await append(running.log, rated(id, 2), rated(id, 5), changed(2, 4));
    await heard(running);
    expect(await written(id)).toMatchObject([{ rating: 4.5, count: 2, sum: 9 }]);
    await append(running.log, changed(4, 4), changed(5, 1), changed(1, 2));
    await heard(running);
    expect(await written(id)).toMatchObject([{ rating: 3, count: 2, sum: 6 }]);
  });

  test('of a producer that knows nothing of headers, keys and subjects count', async () => {
    const id = await fresh();
    const value = Buffer.from(`{"productId":${id},"value":5}`);
    await append(running.log, { topic, key: null, value, headers: {} });
    const named = Buffer.from(`{"product_id":${id},"value":2,"stars":"**"}`);
    await append(running.log, { topic, key: 'its own', value: named, headers: {} });
    await heard(running);
    expect(await shown(id)).toEqual({ rating: 3.5, ratingCount: 2 });
  });

  test('beyond what an Int holds are shown as its end', async () => {
    const id = await fresh();
    await running.database.pool.query(
      'UPDATE product SET rating_count = 3000000000, rating_sum = 9000000000, rating = 3 WHERE id = $1',
      [id],
    );
    expect(await shown(id)).toEqual({ rating: 3, ratingCount: 2 ** 31 - 1 });
    expect((await client.getProduct({ id })).product?.ratingCount).toBe(3_000_000_000n);
  });
});

describe('a rating', () => {
  test('of a talk or a service provider touches no product', async () => {
    const [talk, provider] = ['flight-of-the-gopher', v7()];
    const others = () => [
      rated(1, 5, { subject: talk, about: { case: 'talkId', value: talk } }),
      rated(1, 5, {
        subject: `service-provider/${provider}`,
        about: { case: 'serviceProviderId', value: provider },
      }),
    ];
    const handled = async () =>
      Number((await running.database.pool.query('SELECT count(*) FROM inbox')).rows[0].count);
    const before = await handled();
    const sent = await statementsOf(async () => {
      await append(running.log, ...others(), ...others());
      await heard(running);
    });
    expect(await handled()).toBe(before + 4);
    expect(sent.map(({ text }) => text).filter((text) => /\bproduct\b/.test(text))).toEqual([]);
    expect(sent.some(({ text }) => /INSERT INTO inbox/.test(text))).toBe(true);
  });

  test('that does not fit its contract is a dead letter at once, and holds nobody up', async () => {
    const id = await fresh();
    const key = `product/${id}`;
    const bad = (value: string) => ({ ...rated(id, 1), value: Buffer.from(value) });
    await append(
      running.log,
      rated(id, 6),
      rated(id, 0),
      bad(`{"productId":${id},"value":3.5}`),
      bad(`{"productId":${id}}`),
      bad(`{"productId":${id},"value":3,"subject":"product/${id + 1}"}`),
      bad('{"value":3}'),
      bad('{"productId":0,"value":3}'),
      bad('no JSON'),
      rated(id, 4),
    );
    await expect.poll(() => shown(id)).toEqual({ rating: 4, ratingCount: 1 });
    await expect.poll(() => lettersOf(key)).toHaveLength(8);
    const undecodable = (error: RegExp) => dead(expect.stringMatching(error), 'undecodable');
    expect(await lettersOf(key)).toEqual([
      undecodable(/value: .*less than or equal to 5/),
      undecodable(/value: .*greater than or equal to 1/),
      undecodable(/value/),
      undecodable(/value: .*greater than or equal to 1/),
      undecodable(/subject must name what the rating is about/),
      undecodable(/exactly one field is required in oneof/),
      undecodable(/product_id/),
      undecodable(/./),
    ]);
  });

  test('of a product that never was is a dead letter at once, and others of its batch count once', async () => {
    const [id, never] = [await fresh(), 2_000_000_000];
    await append(running.log, rated(id, 5), rated(never, 1), rated(id, 4));
    await heard(running);
    expect(await shown(id)).toEqual({ rating: 4.5, ratingCount: 2 });
    await expect
      .poll(() => lettersOf(`product/${never}`))
      .toEqual([dead(`[failed_precondition] there never was a product ${never}`)]);
  });

  test.each([
    ['of a product without ratings', [], 5, 5, 'is 0, their sum 0'],
    ['from more than all have together', [2], 5, 1, 'is 1, their sum 2'],
    ['to more than so many can have', [5, 5], 1, 2, 'is 2, their sum 10'],
  ])(
    'that says to have changed %s is a dead letter, whatever comes behind it',
    async (_, values, from, to, error) => {
      const id = await fresh();
      await rate(running, id, ...values);
      // Added up, these would be possible again: it must not matter what shares a batch with it.
      const lie = rated(id, to, { previousValue: from });
      await append(running.log, lie, rated(id, 3), rated(id, 3), rated(id, 3));
      await expect
        .poll(() => lettersOf(`product/${id}`))
        .toEqual([
          dead(
            expect.stringContaining(
              `the number of product ${id}'s ratings ${error}: none can have changed from ${from} to ${to}`,
            ),
          ),
        ]);
      await heard(running);
      const all = [...values, 3, 3, 3];
      const sum = all.reduce((left, right) => left + right, 0);
      expect(await written(id)).toMatchObject([{ count: all.length, sum, rating: sum / all.length }]);
    },
  );

  test('can not be counted by anybody so that the ratings are none', async () => {
    const id = await fresh();
    for (const [count, sum] of [
      [1, 0],
      [1, 6],
      [0, 1],
      [-1, -1],
    ])
      await expect(
        running.database.pool.query('UPDATE product SET rating_count = $2, rating_sum = $3 WHERE id = $1', [
          id,
          count,
          sum,
        ]),
      ).rejects.toThrow('product_ratings');
  });
});

describe('what happens to the product meanwhile', () => {
  test('a rating is no change of it: revision, time and those who copy it notice nothing', async () => {
    const id = await fresh();
    const [before] = await written(id);
    await rate(running, id, 5, 4);
    expect(await written(id)).toEqual([{ ...before, rating: 4.5, count: 2, sum: 9 }]);
    await client.updateProduct({
      id,
      product: { name: 'Desk' },
      updateMask: { paths: ['name'] },
      revision: 1n,
    });
    const told = async () =>
      (await eventsOf(running.log, ProductUpdatedSchema)).filter(({ productId }) => productId === id);
    await expect.poll(told).toMatchObject([{ name: 'Desk', revision: 2n }]);
  });

  test('renamed it keeps its ratings, deleted it is still counted and not shown', async () => {
    const id = await fresh();
    await rate(running, id, 5, 4);
    await rename(id, 'Desk');
    expect(await shown(id)).toEqual({ rating: 4.5, ratingCount: 2 });
    await client.deleteProduct({ id });
    await rate(running, id, 3);
    expect(await written(id)).toMatchObject([{ rating: 4, count: 3, revision: 3 }]);
    expect(await shown(id)).toBeNull();
    const gone = await client.getProduct({ id }).catch((error: unknown) => error);
    expect(gone).toBeInstanceOf(ConnectError);
    expect((gone as ConnectError).code).toBe(Code.NotFound);
    expect(await lettersOf(`product/${id}`)).toEqual([]);
  });

  test('an update that waits for the same row as a rating loses nothing of it, nor the other way round', async () => {
    const id = await fresh();
    await rate(running, id, 1);
    const holder = await running.database.pool.connect();
    const waiting = async () => {
      const { rows } = await running.database.pool.query(
        `SELECT count(*)::int AS waiting FROM pg_stat_activity
         WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~* '\\mproduct\\M.*for update'`,
      );
      return rows[0].waiting;
    };
    await holder.query('BEGIN');
    await holder.query('SELECT FROM product WHERE id = $1 FOR UPDATE', [id]);
    const updated = rename(id, 'Desk');
    await append(running.log, rated(id, 5));
    await expect.poll(waiting).toBe(2);
    await holder.query('COMMIT');
    holder.release();
    await updated;
    await heard(running);
    expect(await written(id)).toMatchObject([{ rating: 3, count: 2, sum: 6, revision: 2 }]);
    expect((await client.getProduct({ id })).product?.name).toBe('Desk');
  });

  test('an update writes no column of its ratings', async () => {
    const id = await fresh();
    await rate(running, id, 4);
    const sent = await statementsOf(() => rename(id, 'Desk'));
    const updates = sent.map(({ text }) => text).filter((text) => /^update "product"/i.test(text));
    expect(updates).toHaveLength(1);
    expect(updates[0]).toMatch(/"name" = /);
    expect(updates[0]).not.toMatch(/rating/);
  });
});
