import { CRC_AT, CRC_FROM } from './batch-writing.ts';
import { ByteReader } from './bytes.ts';
import { codecOf } from './codecs.ts';
import { crc32c } from './crc32c.ts';

/** A message as it was read. */
export interface InMessage {
  readonly offset: bigint;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly key: string | null;
  readonly value: Buffer | null;
  /** Of names that come twice, the last. */
  readonly headers: Record<string, string>;
}

/** A record batch of Kafka's format 2. */
export interface Batch {
  readonly lastOffset: bigint;
  readonly producerId: bigint;
  readonly transactional: boolean;
  /** Not messages, but the end of a transaction; whether it was aborted. */
  readonly marker: 'none' | 'commit' | 'abort';
  readonly messages: readonly InMessage[];
}

const HEAD = 12;
const BATCH_HEAD = 61;
const COMPRESSION = 0x07;
const LOG_TIME = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
const MAGIC = 2;
const MAGIC_AT = 16;
const ABORT = 0;

/**
 * The whole batches of what was fetched; a fetch may end in the midst of one.
 * @throws Error when a batch is damaged, or older than Kafka 0.11
 */
export async function decodeBatches(bytes: Buffer): Promise<Batch[]> {
  const batches: Batch[] = [];
  for (let at = 0; at + BATCH_HEAD <= bytes.length; ) {
    const size = HEAD + bytes.readInt32BE(at + 8);
    if (at + size > bytes.length) break;
    batches.push(await decodeBatch(bytes.subarray(at, at + size)));
    at += size;
  }
  return batches;
}

async function decodeBatch(bytes: Buffer): Promise<Batch> {
  if (bytes[MAGIC_AT] !== MAGIC)
    throw new Error(`records of Kafka's old format ${bytes[MAGIC_AT]} are not read`);
  if (bytes.readUInt32BE(CRC_AT) !== crc32c(bytes.subarray(CRC_FROM)))
    throw new Error('a batch is damaged: its checksum is another');
  const head = new ByteReader(bytes);
  const firstOffset = head.int64();
  head.at = CRC_FROM;
  const attributes = head.int16();
  const lastOffset = firstOffset + BigInt(head.int32());
  const firstTime = head.int64();
  const maxTime = head.int64();
  const producerId = head.int64();
  head.at += 6;
  const count = head.int32();
  const records = await codecOf(attributes & COMPRESSION).decompress(bytes.subarray(BATCH_HEAD));
  const whole = { lastOffset, producerId, transactional: (attributes & TRANSACTIONAL) !== 0 };
  if (attributes & CONTROL) return { ...whole, marker: markerOf(records, count), messages: [] };
  const logTime = attributes & LOG_TIME ? Number(maxTime) : undefined;
  return {
    ...whole,
    marker: 'none',
    messages: decodeRecords(records, { count, firstOffset, firstTime, logTime }),
  };
}

interface Name {
  readonly text: string;
  readonly bytes: Uint8Array;
}

function decodeRecords(
  bytes: Buffer,
  {
    count,
    firstOffset,
    firstTime,
    logTime,
  }: { count: number; firstOffset: bigint; firstTime: bigint; logTime: number | undefined },
): InMessage[] {
  const reader = new ByteReader(bytes);
  const messages: InMessage[] = [];
  // The records of a batch mostly have the same names in the same order.
  const names: Name[] = [];
  for (let i = 0; i < count; i++) {
    const end = reader.varint() + reader.at;
    reader.int8();
    const timeDelta = reader.varlong();
    const offset = firstOffset + BigInt(reader.varint());
    const key = reader.varText();
    const value = reader.varBytes();
    const headers: Record<string, string> = {};
    const headerCount = reader.varint();
    for (let h = 0; h < headerCount; h++) {
      const name = reader.varName(names[h]);
      if (names[h]?.text !== name) names[h] = { text: name, bytes: Buffer.from(name) };
      put(headers, name, reader.varText() ?? '');
    }
    messages.push({ offset, time: logTime ?? Number(firstTime + timeDelta), key, value, headers });
    reader.at = end;
  }
  return messages;
}

function put(headers: Record<string, string>, name: string, value: string): void {
  // The one name that an assignment would not make a property of.
  if (name === '__proto__')
    Object.defineProperty(headers, name, { value, enumerable: true, writable: true, configurable: true });
  else headers[name] = value;
}

function markerOf(bytes: Buffer, count: number): Batch['marker'] {
  if (count === 0) return 'none';
  const reader = new ByteReader(bytes);
  reader.varint();
  reader.int8();
  reader.varlong();
  reader.varint();
  const key = reader.varBytes();
  return key !== null && key.length >= 4 && key.readInt16BE(2) === ABORT ? 'abort' : 'commit';
}
