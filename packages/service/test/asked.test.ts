import { expect, test } from 'vitest';
import { Asked } from '../asked.ts';

const never = () => new Promise<number>(() => undefined);

test('who does not answer is not waited for, and not asked again meanwhile', async () => {
  let asked = 0;
  const silent = new Asked(
    () => {
      asked++;
      return never();
    },
    { keepMs: 0, waitMs: 10 },
  );
  expect(await Promise.all([silent.get(), silent.get()])).toEqual([undefined, undefined]);
  expect(await silent.get()).toBeUndefined();
  expect(asked).toBe(1);
});

test('who never answers is asked again after a while', async () => {
  let asked = 0;
  const silent = new Asked(
    () => {
      asked++;
      return never();
    },
    { keepMs: 0, waitMs: 1, giveUpMs: 5 },
  );
  await expect.poll(async () => [await silent.get(), asked > 1]).toEqual([undefined, true]);
});

test('an answer is kept, and so is that there was none', async () => {
  let asked = 0;
  const kept = new Asked(async () => ++asked, { keepMs: 60_000 });
  expect([await kept.get(), await kept.get()]).toEqual([1, 1]);
  const away = new Asked(
    async () => {
      asked++;
      throw new Error('away');
    },
    { keepMs: 60_000 },
  );
  expect([await away.get(), await away.get()]).toEqual([undefined, undefined]);
  expect(asked).toBe(2);
});

test('an answer that came late is there the next time', async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const slow = new Asked(() => promise, { keepMs: 60_000, waitMs: 1 });
  expect(await slow.get()).toBeUndefined();
  resolve(7);
  await promise;
  expect(await slow.get()).toBe(7);
});
