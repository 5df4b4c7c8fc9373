import { expect, test } from 'vitest';
import { murmur2, partitionOf } from '../partition.ts';

const encoder = new TextEncoder();

test.each([
  // From UtilsTest of Kafka's own client.
  ['21', -973932308],
  ['foobar', -790332482],
  ['a-little-bit-long-string', -985981536],
  ['a-little-bit-longer-string', -1486304829],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
  ['abc', 479470107],
])('murmur2 of %j is what Java computes', (text, hash) => {
  expect(murmur2(encoder.encode(text))).toBe(hash);
});

test('a key keeps its partition, within the count, also when the hash is negative', () => {
  expect(partitionOf('foobar', 6)).toBe((-790332482 & 0x7fffffff) % 6);
  expect(partitionOf('abc', 6)).toBe(479470107 % 6);
  for (const key of ['', 'ключ', '🛒', 'a'.repeat(1_000)]) {
    const partition = partitionOf(key, 3);
    expect([0, 1, 2]).toContain(partition);
    expect(partitionOf(key, 3)).toBe(partition);
  }
});

test('keys spread over all partitions', () => {
  const counts = new Array<number>(6).fill(0);
  for (let i = 0; i < 6_000; i++) {
    const partition = partitionOf(`order-${i}`, 6);
    counts[partition] = (counts[partition] ?? 0) + 1;
  }
  for (const count of counts) expect(count).toBeGreaterThan(800);
});
