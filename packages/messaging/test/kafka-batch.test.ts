import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeBatches } from '../kafka-log/batch-reading.ts';
import { encodeBatch } from '../kafka-log/batch-writing.ts';
import { ByteReader, ByteWriter } from '../kafka-log/bytes.ts';
import { COMPRESSIONS } from '../kafka-log/codecs.ts';
import { crc32c } from '../kafka-log/crc32c.ts';
import { type OutMessage, recordsOf, sizeOf } from '../kafka-log/records.ts';

const head = { producerId: 4_711n, producerEpoch: 3, sequence: 12, time: 1_700_000_000_123 };

test('the checksum is Castagnoli’s', () => {
  // From RFC 3720, B.4, and the usual check value.
  expect(crc32c(Buffer.from('123456789'))).toBe(0xe3069283);
  expect(crc32c(Buffer.alloc(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.alloc(32, 0xff))).toBe(0x62a8ab43);
  expect(crc32c(Buffer.from(Array.from({ length: 32 }, (_, i) => i)))).toBe(0x46dd794e);
});

test('numbers of every size survive the way', () => {
  fc.assert(
    fc.property(fc.array(fc.integer()), (numbers) => {
      const writer = new ByteWriter(1);
      for (const number of numbers) writer.varint(number);
      const reader = new ByteReader(writer.written);
      expect(numbers.map(() => reader.varint())).toEqual(numbers);
      expect(reader.left).toBe(0);
    }),
  );
});

const text = fc.oneof(
  fc.string({ maxLength: 120 }),
  fc.string({ unit: 'grapheme', maxLength: 90 }),
  fc.constantFrom('__proto__', 'constructor', '', 'x'.repeat(79), 'ü'.repeat(80), 'y'.repeat(10_000)),
);
const message: fc.Arbitrary<OutMessage> = fc.record({
  key: fc.option(text),
  value: fc.option(fc.uint8Array({ maxLength: 20_000 })),
  headers: fc.array(fc.tuple(text, text), { maxLength: 8 }).map((pairs) => {
    const headers: Record<string, string> = {};
    for (const [name, value] of pairs)
      Object.defineProperty(headers, name, { value, enumerable: true, writable: true, configurable: true });
    return headers;
  }),
});

test.each(Object.entries(COMPRESSIONS))(
  '%s: any messages survive the way, and are no larger than thought',
  async (_, compression) => {
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 12 }), async (messages) => {
        const bytes = await encodeBatch(messages, { ...head, compression });
        if (compression === 0)
          expect(bytes.length).toBeLessThanOrEqual(100 + messages.reduce((sum, one) => sum + sizeOf(one), 0));
        const [batch, ...more] = await decodeBatches(bytes);
        expect(more).toEqual([]);
        expect(batch).toMatchObject({
          producerId: 4_711n,
          transactional: false,
          marker: 'none',
          lastOffset: BigInt(messages.length - 1),
        });
        const plain = messages.map(({ key, value, headers }, i) => ({
          offset: BigInt(i),
          time: head.time,
          key,
          value: value && Buffer.from(value),
          headers: Object.entries(headers),
        }));
        expect(batch?.messages.map((one) => ({ ...one, headers: Object.entries(one.headers) }))).toEqual(
          plain,
        );
      }),
      { numRuns: 60 },
    );
  },
);

const some = (count: number): OutMessage[] =>
  Array.from({ length: count }, (_, i) => ({
    key: `k${i}`,
    value: Buffer.from(`${i}`),
    headers: { a: 'b' },
  }));
/** A batch as a broker would hand it out, from an offset on. */
async function stored(count: number, offset: bigint): Promise<Buffer> {
  const bytes = Buffer.from(await encodeBatch(some(count), { ...head, compression: 0 }));
  bytes.writeBigInt64BE(offset);
  return bytes;
}
const place = { topic: 't', partition: 0 };

test('a fetch may begin in the midst of a batch and end in the midst of another', async () => {
  const [one, two, three] = [await stored(3, 10n), await stored(2, 13n), await stored(4, 15n)];
  const bytes = Buffer.concat([one, two, three.subarray(0, three.length - 1)]);
  const { records, next } = await recordsOf(place, 11n, { aborted: [], bytes });
  expect(records.map(({ offset }) => offset)).toEqual([11n, 12n, 13n, 14n]);
  expect(next).toBe(15n);
});

test('what compaction left empty is passed over', async () => {
  // Its head alone, as a broker keeps it for the producer's sequence: 20 offsets, no record.
  const emptied = Buffer.from((await stored(20, 100n)).subarray(0, 61));
  emptied.writeInt32BE(61 - 12, 8);
  emptied.writeInt32BE(0, 57);
  emptied.writeUInt32BE(crc32c(emptied.subarray(21)), 17);
  const { records, next } = await recordsOf(place, 100n, { aborted: [], bytes: emptied });
  expect(records).toEqual([]);
  expect(next).toBe(120n);
});

test('a damaged batch is not taken for a whole one', async () => {
  const bytes = await stored(3, 0n);
  for (const at of [21, 30, 62, bytes.length - 1]) {
    const damaged = Buffer.from(bytes);
    damaged[at] = (damaged[at] ?? 0) ^ 0x10;
    await expect(decodeBatches(damaged)).rejects.toThrow('damaged');
  }
});
