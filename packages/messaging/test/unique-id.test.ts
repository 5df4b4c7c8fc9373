import { uniqueId } from '@tradewind/messaging/unique-id';
import { validate, version } from 'uuid';
import { expect, test } from 'vitest';

test('ids are UUIDs of version 7, each another, in the order in which they were made', () => {
  const began = Date.now();
  const ids = Array.from({ length: 20_000 }, uniqueId);
  expect(ids.every((id) => validate(id) && version(id) === 7)).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
  expect(ids).toEqual(ids.toSorted());
  const time = Number.parseInt(ids[0]?.replace('-', '').slice(0, 12) ?? '', 16);
  expect(time).toBeGreaterThanOrEqual(began);
  expect(time).toBeLessThanOrEqual(Date.now());
});

test('what is random in an id is never the same', () => {
  const tails = Array.from({ length: 2_000 }, () => uniqueId().slice(-10));
  expect(new Set(tails).size).toBe(tails.length);
});
