import type { Saga as View } from '@tradewind/contracts/order/v1/order';
import { SagaLetterState, SagaState, SagaStepState } from '@tradewind/contracts/order/v1/saga';
import { freePort } from '@tradewind/testing/port';
import { startService, type TestService, type TestServiceOptions } from '@tradewind/testing/service';
import { Client } from 'pg';
import { expect } from 'vitest';
import { service as stockService } from '../services/stock/service.ts';
import { type Saga, type SagaOptions, startSaga } from './running-saga.ts';

/** A saga whose order service knows where stock is, with its view. */
export async function startViewedSaga({ order, stock }: SagaOptions = {}) {
  const port = await freePort();
  const saga = await startSaga({
    order: {
      ...order,
      env: { STOCK_URL: `http://127.0.0.1:${port}`, ORDER_SWEEP_AFTER: '1d', ...order?.env },
    },
    stock: { ...stock, env: { PORT: String(port), ...stock?.env } },
  });
  return { ...saga, ...viewsOf(saga), stockPort: port };
}

export type ViewedSaga = Awaited<ReturnType<typeof startViewedSaga>>;

function viewsOf({ orders }: Pick<Saga, 'orders'>) {
  const view = async (id: string): Promise<View> => {
    const { saga } = await orders.getSaga({ id });
    if (!saga) throw new Error('no saga');
    return saga;
  };
  return {
    view,
    /** Waits until the view is like this, and gives it. */
    async viewLike(id: string, expected: object): Promise<View> {
      let seen: View | undefined;
      const look = async () => {
        seen = await view(id);
        return shown(seen);
      };
      await expect.poll(look, { timeout: 20_000, interval: 50 }).toMatchObject(expected);
      if (!seen) throw new Error('not looked at');
      return seen;
    },
  };
}

const nameOf = (values: Readonly<Record<string, number>>, value: number) =>
  Object.entries(values).find(([, known]) => known === value)?.[0];

/** The view with names for numbers, and without what differs from run to run. */
export function shown(saga: View) {
  const { state, awaits, steps, deadLetters, unknowns } = saga;
  return {
    state: nameOf(SagaState, state),
    awaits: awaits && {
      topic: awaits.topic,
      service: awaits.service,
      why: awaits.why,
      next: awaits.next,
      late: awaits.lateBy !== undefined,
    },
    steps: steps.map((step) => ({
      ...step,
      state: nameOf(SagaStepState, step.state),
      way: `${step.topic} ${step.toldBy} → ${step.heardBy || 'nobody'}: ${nameOf(SagaStepState, step.state)}`,
    })),
    ways: steps.map(
      ({ topic, toldBy, heardBy, state }) =>
        `${topic} ${toldBy} → ${heardBy || 'nobody'}: ${nameOf(SagaStepState, state)}`,
    ),
    letters: deadLetters.map((letter) => ({ ...letter, state: nameOf(SagaLetterState, letter.state) })),
    unknown: unknowns.map(({ about }) => about),
  };
}

/** Makes every reservation fail, until it is mended. */
export async function breakShelf({ database }: TestService): Promise<void> {
  await database.pool.query(`
    CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'the shelf is broken'; END $$`);
  await database.pool.query(
    'CREATE TRIGGER refuse BEFORE INSERT ON reservation FOR EACH ROW EXECUTE FUNCTION refuse()',
  );
}

export async function mendShelf({ database }: TestService): Promise<void> {
  await database.pool.query('DROP TRIGGER refuse ON reservation');
}

/** Stock again, where the order service looks for it. */
export async function restartStock(
  { stock, order, stockPort }: ViewedSaga,
  options: TestServiceOptions = {},
): Promise<TestService> {
  return await startService(stockService, {
    databaseUrl: stock.databaseUrl,
    logUrl: order.logUrl,
    ...options,
    env: { ...(options.serve !== false && { PORT: String(stockPort) }), ...options.env },
  });
}

/** Owns a service's outbox until it is disposed: nothing leaves it meanwhile. */
export async function ownOutbox(databaseUrl: string): Promise<AsyncDisposable> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query('SELECT pg_advisory_lock(7420002)');
  return { [Symbol.asyncDispose]: () => client.end() };
}
