import { OrderCreatedSchema } from '@tradewind/contracts/order/v1/events';
import { redriveOf } from '@tradewind/messaging/dead-letter';
import { append, deadLettersOf, recordsOf } from '@tradewind/testing/events';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { breakShelf, mendShelf, restartStock, startViewedSaga, type ViewedSaga } from './saga-view.ts';

let saga: ViewedSaga;
beforeAll(async () => {
  const logUrl = inject('kafkaUrl');
  saga = await startViewedSaga({ order: { logUrl }, stock: { env: { RETRY_ATTEMPTS: '2' } } });
  await saga.put(1, 1_000);
});
afterAll(() => saga?.[Symbol.asyncDispose]());

test('a confirmed order among many: each event at its place', async () => {
  const others = () => Promise.all(Array.from({ length: 200 }, () => saga.place([1, 1])));
  await others();
  const id = await saga.place([1, 2]);
  await others();
  const view = await saga.viewLike(id, {
    state: 'SETTLED',
    awaits: undefined,
    ways: [
      'order.created order → stock: HANDLED',
      'stock.reserved stock → order: HANDLED',
      'order.confirmed order → nobody: TOLD',
    ],
    letters: [],
    unknown: [],
  });
  for (const { topic, place, eventId } of view.steps) {
    const record = (await recordsOf(saga.order.log, topic)).find(({ key }) => key === id);
    expect(place).toBe(`${topic}/${record?.partition}/${record?.offset}`);
    expect(eventId).toBe(record?.headers.ce_id);
  }
});

test('a dead letter is named, also while stock is away, and redriven it is told so', async () => {
  await breakShelf(saga.stock);
  const id = await saga.place([1, 1]);
  const letterOf = async () =>
    (await deadLettersOf(saga.order.log, OrderCreatedSchema)).find(({ key }) => key === id);
  await expect.poll(letterOf).toBeDefined();
  const letter = await letterOf();
  if (!letter) throw new Error('no letter');
  const place = `${letter.topic}/${letter.partition}/${letter.offset}`;
  const dead = {
    state: 'DEAD_LETTERED',
    awaits: { service: '', next: expect.stringContaining(`npm run dlq -- show ${place}`) },
    ways: ['order.created order → stock: DEAD_LETTERED'],
    letters: [{ place, group: 'stock', state: 'OPEN', reason: 'failed', attempts: 2 }],
  };
  await saga.viewLike(id, { ...dead, unknown: [] });
  await saga.stock.stop();
  await saga.viewLike(id, { ...dead, unknown: ['stock'] });
  const waiting = await saga.place([1, 1]);
  await saga.viewLike(waiting, {
    state: 'WAITING',
    awaits: { service: 'stock' },
    ways: ['order.created order → stock: ON_TOPIC'],
  });
  await mendShelf(saga.stock);
  await append(saga.order.log, redriveOf(letter));
  await saga.viewLike(id, { letters: [{ state: 'SENT_BACK' }] });
  await using _again = await restartStock(saga);
  await saga.viewLike(id, { state: 'SETTLED', letters: [{ place, state: 'REDRIVEN' }] });
  await saga.viewLike(waiting, { state: 'SETTLED', unknown: [] });
});
