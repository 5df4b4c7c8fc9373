import { randomUUID } from 'node:crypto';
import type { ReceivedRecord } from '@tradewind/messaging/log';
import { type LoneDeaths, Marks } from '@tradewind/messaging/marks';
import { Session } from '@tradewind/messaging/session';
import { Client } from 'pg';
import { expect, test } from 'vitest';
import { GROUP, type Ledger, logger, openLedger, orderCreated } from './ledger.ts';

const place = { topic: 'order.created', partition: 3 };
const record = {
  ...orderCreated('x'),
  ...place,
  offset: 7n,
  appendedAt: new Date(),
} satisfies ReceivedRecord;

interface Working extends AsyncDisposable {
  readonly session: Session;
  readonly marks: Marks;
  /** What the log says of its partitions. */
  owned: boolean;
}

async function work({ database: { pool } }: Ledger): Promise<Working> {
  const { signal } = new AbortController();
  const session = new Session({ group: GROUP, pool, logger, signal });
  const marks = new Marks({ session, pool, signal, owned: () => working.owned });
  const working = {
    session,
    marks,
    owned: true,
    async [Symbol.asyncDispose]() {
      await marks[Symbol.asyncDispose]();
      await session[Symbol.asyncDispose]();
    },
  };
  await session.ready();
  return working;
}

const deathsOf = async ({ database }: Ledger): Promise<number> =>
  (await database.pool.query('SELECT deaths FROM lone_death')).rows[0]?.deaths ?? 0;

/** What a listener leaves that died while this record was alone in flight. */
async function corpse({ database }: Ledger, started = 'pg_postmaster_start_time()'): Promise<string> {
  const session = randomUUID();
  await database.pool.query(
    `INSERT INTO listener_session (session, consumer_group, server_started, in_flight_topic, in_flight_partition, in_flight_offset)
     VALUES ($1, $2, ${started}, $3, $4, $5)`,
    [session, GROUP, place.topic, place.partition, '7'],
  );
  await database.pool.query(
    `INSERT INTO listener_partition (consumer_group, topic, partition, session) VALUES ($1, $2, $3, $4)
     ON CONFLICT (consumer_group, topic, partition) DO UPDATE SET session = excluded.session`,
    [GROUP, place.topic, place.partition, session],
  );
  return session;
}

test('who ends in order leaves no mark, and its successor has no doubts', async () => {
  await using ledger = await openLedger();
  const first = await work(ledger);
  expect(await first.marks.enter([place])).toEqual([]);
  await first.marks.begin(record);
  await first[Symbol.asyncDispose]();
  for (const table of ['listener_session', 'listener_partition', 'lone_death'])
    expect((await ledger.database.pool.query(`SELECT FROM ${table}`)).rows).toEqual([]);
  await using second = await work(ledger);
  expect(await second.marks.enter([place])).toEqual([]);
});

test('who lives and loses a partition takes its mark back, and nobody is to blame', async () => {
  await using ledger = await openLedger();
  await using first = await work(ledger);
  await first.marks.enter([place]);
  await first.marks.begin(record);
  first.owned = false;
  await using second = await work(ledger);
  expect(await second.marks.enter([place])).toEqual([]);
  expect(await deathsOf(ledger)).toBe(0);
});

test('who lives and does not let go hangs: its successor has doubts, and the record in flight a death', async () => {
  await using ledger = await openLedger();
  await using first = await work(ledger);
  await first.marks.enter([place]);
  await first.marks.begin(record);
  await using second = await work(ledger);
  expect(await second.marks.enter([place])).toMatchObject([place]);
  expect(await deathsOf(ledger)).toBe(1);
});

test('three deaths of one record are counted, each once however many notice it, and forgotten when it is dealt with', async () => {
  await using ledger = await openLedger();
  await using one = await work(ledger);
  await using other = await work(ledger);
  for (let deaths = 1; deaths <= 3; deaths++) {
    const dead = await corpse(ledger);
    const [mine] = await Promise.all([
      one.marks.enter([place]),
      one.session.bury(dead),
      other.session.bury(dead),
    ]);
    expect(mine).toMatchObject(deaths === 1 ? [place] : []);
    expect(await deathsOf(ledger)).toBe(deaths);
  }
  expect(await one.marks.begin(record)).toMatchObject({ deaths: 3 } satisfies Partial<LoneDeaths>);
  await one.marks.forget(record);
  expect(await one.marks.begin(record)).toBeUndefined();
});

test('the dead are found without anybody gaining their partitions', async () => {
  await using ledger = await openLedger();
  const dead = await corpse(ledger);
  await ledger.database.pool.query(
    `INSERT INTO held_line (consumer_group, topic, key, attempts, next_attempt_at, session) VALUES ($1, 'order.created', 'k', 1, now(), $2)`,
    [GROUP, dead],
  );
  await using living = await work(ledger);
  await expect
    .poll(async () => {
      await living.session.buryDead();
      return await deathsOf(ledger);
    })
    .toBe(1);
  const { rows } = await ledger.database.pool.query('SELECT session, careful FROM held_line');
  expect(rows).toEqual([{ session: null, careful: true }]);
});

test('a restart of the database is nobody’s death', async () => {
  await using ledger = await openLedger();
  await corpse(ledger, `pg_postmaster_start_time() - interval '1 minute'`);
  await using living = await work(ledger);
  expect(await living.marks.enter([place])).toMatchObject([place]);
  expect(await deathsOf(ledger)).toBe(0);
});

test('a lost connection is no death: the session is seen alive again, before anybody believes it dead', async () => {
  await using ledger = await openLedger();
  await using first = await work(ledger);
  await first.marks.enter([place]);
  await first.marks.begin(record);
  await using second = await work(ledger);
  const admin = new Client({ connectionString: process.env.TEST_POSTGRES_URL });
  await admin.connect();
  try {
    const { lives } = first.session;
    await admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1 AND datname = $2`,
      [`${GROUP} listener`, new URL(ledger.databaseUrl).pathname.slice(1)],
    );
    await expect.poll(() => first.session.lives).toBe(lives + 1);
  } finally {
    await admin.end();
  }
  expect((await second.session.others()).get(first.session.id)).toBe('alive');
  expect(await deathsOf(ledger)).toBe(0);
});

test('a successor is told how many records were in flight at most, a power of two', async () => {
  await using ledger = await openLedger();
  const first = await work(ledger);
  await first.marks.enter([place], 3);
  await first.marks.enter([place], 20);
  await first.marks.enter([place], 5);
  await ledger.database.pool.query('UPDATE listener_partition SET session = $1', [randomUUID()]);
  await using second = await work(ledger);
  expect(await second.marks.enter([place])).toMatchObject([{ ...place, most: 32 }]);
  await first[Symbol.asyncDispose]();
});
