import { create } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import {
  CancelOrderRequestSchema,
  type CancelOrderResponse,
  CancelOrderResponseSchema,
  OrderService,
} from '@tradewind/contracts/order/v1/order';
import { type Database, openDatabase } from '@tradewind/database/database';
import { groupCommit } from '@tradewind/database/group-commit';
import { migrateUp } from '@tradewind/database/migrate';
import { violationsOf } from '@tradewind/rpc/failure';
import { createDatabase, type TestDatabase } from '@tradewind/testing/postgres';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { cleanOnce } from '../housekeeping.ts';
import {
  type IdempotencyKey,
  idempotencyChores,
  idempotencyKey,
  idempotencySteps,
  once,
  type Proposed,
  remember,
} from '../idempotency.ts';

const method = OrderService.method.cancelOrder;
const output = CancelOrderResponseSchema;
const request = (id: string) => create(CancelOrderRequestSchema, { id });
const withHeader = (key: string | undefined) => ({ header: () => key });
const keyFor = (key: string, id = 'a'): IdempotencyKey => {
  const made = idempotencyKey(method, request(id), withHeader(key));
  if (!made) throw new Error('no key');
  return made;
};
const response = (reason: string) => create(output, { order: { reason } });
const refused = expect.objectContaining({ code: Code.AlreadyExists });

let server: TestDatabase;
let database: Database;
beforeAll(async () => {
  server = await createDatabase('idempotency');
  database = await openDatabase({
    url: server.url,
    schema: { entities: [], steps: idempotencySteps },
    name: 'test',
  });
  await migrateUp(database);
});
beforeEach(() => database.pool.query('TRUNCATE idempotency_key'));
afterAll(async () => {
  await database?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

describe('the key', () => {
  test('is optional, scoped by service and method, and bound to the decoded request', () => {
    expect(idempotencyKey(method, request('a'), withHeader(undefined))).toBeUndefined();
    const key = keyFor('k');
    expect(key).toMatchObject({ method: 'tradewind.order.v1.OrderService/CancelOrder', key: 'k' });
    expect(keyFor('other').requestHash).toEqual(key.requestHash);
    expect(keyFor('k', 'b').requestHash).not.toEqual(key.requestHash);
  });

  test.each(['', 'k'.repeat(256), 'tab\t', 'é', '\u007f'])('%j is refused by its name', (bad) => {
    try {
      keyFor(bad);
      expect.unreachable();
    } catch (error) {
      expect(violationsOf(error as ConnectError)).toEqual([
        { field: 'Idempotency-Key', error: expect.any(String) },
      ]);
    }
  });

  test.each(['k', 'k'.repeat(255), '~ a key with spaces!'])('%j is fine', (good) => {
    expect(keyFor(good).key).toBe(good);
  });
});

describe('a transaction of its own', () => {
  let done = 0;
  beforeEach(() => {
    done = 0;
  });
  const call = (key: IdempotencyKey | undefined, work: () => Promise<void> = async () => undefined) =>
    database.transaction((em) =>
      once(em, key, output, async () => {
        await work();
        return { order: { reason: `done ${++done}` } };
      }),
    );

  test('does its work once for a key, and every time without one', async () => {
    const first = await call(keyFor('k'));
    expect(await call(keyFor('k'))).toEqual(first);
    expect(done).toBe(1);
    await call(undefined);
    await call(undefined);
    expect(done).toBe(3);
  });

  test('refuses the key of another request; the same key is free in another method', async () => {
    await call(keyFor('k'));
    await expect(call(keyFor('k', 'b'))).rejects.toEqual(refused);
    await call({ ...keyFor('k', 'b'), method: 'other/Method' });
    expect(done).toBe(2);
  });

  test('forgets what failed', async () => {
    await expect(call(keyFor('k'), () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect((await call(keyFor('k'))).order?.reason).toBe('done 1');
  });

  test('waits for a twin that is still at work, and answers as it did', async () => {
    const busy = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const first = call(keyFor('k'), () => {
      begun.resolve();
      return busy.promise;
    });
    await begun.promise;
    const twin = call(keyFor('k'));
    await expect.poll(waiting).toBe(1);
    busy.resolve();
    expect(await twin).toEqual(await first);
    expect(done).toBe(1);
  });

  test('does the work when the twin that it waited for fails', async () => {
    const busy = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const first = call(keyFor('k'), () => {
      begun.resolve();
      return busy.promise;
    });
    await begun.promise;
    const twin = call(keyFor('k'));
    await expect.poll(waiting).toBe(1);
    busy.reject(new Error('no'));
    await expect(first).rejects.toThrow('no');
    expect((await twin).order?.reason).toBe('done 1');
  });
});

/** Transactions that wait for another. */
async function waiting(): Promise<number> {
  const { rows } = await database.pool.query(
    `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
  );
  return Number(rows[0].count);
}

describe('a shared transaction', () => {
  let batches: number[] = [];
  let written: string[] = [];
  beforeEach(() => {
    batches = [];
    written = [];
  });
  const open = (lanes: number) =>
    groupCommit<Proposed<typeof output>, CancelOrderResponse>(
      database,
      async (em, batch) => {
        batches.push(batch.length);
        const remembered = await remember(em, output, batch);
        for (const [n, { first }] of remembered.entries())
          if (first) written.push(batch[n]?.response.order?.reason ?? '');
        return remembered.map(({ answer }) => answer);
      },
      { lanes },
    );

  test('answers twins of one batch from the first, and each of the others for itself', async () => {
    const call = open(1);
    const answers = await Promise.allSettled([
      call({ key: keyFor('k'), response: response('1') }),
      call({ key: keyFor('k'), response: response('2') }),
      call({ key: undefined, response: response('3') }),
      call({ key: keyFor('k', 'b'), response: response('4') }),
      call({ key: keyFor('other'), response: response('5') }),
    ]);
    const reasons = answers.map((answer) =>
      answer.status === 'fulfilled' ? answer.value.order?.reason : answer.reason,
    );
    expect(reasons).toEqual(['1', '1', '3', refused, '5']);
    expect(batches).toEqual([5]);
    expect(written).toEqual(['1', '3', '5']);
  });

  test('answers from earlier batches, and refuses their keys for other requests', async () => {
    const call = open(1);
    await call({ key: keyFor('k'), response: response('1') });
    const [again, other, fresh] = await Promise.allSettled([
      call({ key: keyFor('k'), response: response('2') }),
      call({ key: keyFor('k', 'b'), response: response('3') }),
      call({ key: keyFor('fresh'), response: response('4') }),
    ]);
    expect(again).toMatchObject({ value: { order: { reason: '1' } } });
    expect(other).toMatchObject({ reason: refused });
    expect(fresh).toMatchObject({ value: { order: { reason: '4' } } });
    expect(written).toEqual(['1', '4']);
  });

  test('many at the same time, in several lanes and any order: each key is done once, and nobody fails', async () => {
    const call = open(4);
    const keys = Array.from({ length: 600 }, (_, n) => `k${(n * 7919) % 50}`);
    const answers = await Promise.all(
      keys.map((key, n) => call({ key: keyFor(key), response: response(`${key} ${n}`) })),
    );
    const byKey = new Map<string, Set<string | undefined>>();
    for (const [n, key] of keys.entries())
      byKey.set(key, (byKey.get(key) ?? new Set()).add(answers[n]?.order?.reason));
    expect([...byKey.values()].every((reasons) => reasons.size === 1)).toBe(true);
    expect(new Set([...byKey.values()].flatMap((reasons) => [...reasons]))).toEqual(new Set(written));
    expect(written).toHaveLength(50);
    // No batch was in another's way and had to be done again, one by one.
    expect(batches.reduce((sum, size) => sum + size, 0)).toBe(keys.length);
  });
});

describe('after a day', () => {
  const age = (hours: number) =>
    database.pool.query('UPDATE idempotency_key SET created_at = now() - make_interval(hours => $1)', [
      hours,
    ]);
  const call = (id: string, reason: string) =>
    database.transaction((em) => once(em, keyFor('k', id), output, async () => ({ order: { reason } })));

  test('a key is free again, and not before', async () => {
    await call('a', '1');
    await age(23);
    expect((await call('a', '2')).order?.reason).toBe('1');
    await age(25);
    expect((await call('b', '3')).order?.reason).toBe('3');
    await expect(call('a', '4')).rejects.toEqual(refused);
  });

  test('housekeeping removes what is old, and nothing else', async () => {
    await call('a', '1');
    await age(26);
    await database.transaction((em) => once(em, keyFor('young'), output, async () => ({})));
    const { signal } = new AbortController();
    const logger = { info() {}, warn() {} } as never;
    expect(await cleanOnce({ database, chores: idempotencyChores, logger, signal })).toEqual({
      'idempotency keys': 1,
    });
    const { rows } = await database.pool.query('SELECT key FROM idempotency_key');
    expect(rows).toEqual([{ key: 'young' }]);
  });
});
