import { promisify } from 'node:util';
import { gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib';
import { compressFrameSync, decompressFrameSync } from 'lz4-napi';
import snappy from 'snappy';

/** By name, as people configure it; the number is Kafka's. */
export const COMPRESSIONS = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
export type Compression = keyof typeof COMPRESSIONS;

const compressGzip = promisify(gzip);
const decompressGzip = promisify(gunzip);
const compressZstd = promisify(zstdCompress);
const decompressZstd = promisify(zstdDecompress);

const XERIAL = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
const XERIAL_HEADER = 16;

/** Java's producers put snappy blocks into frames of xerial's making; others write one bare block. */
function unsnappy(buffer: Buffer): Buffer {
  if (!buffer.subarray(0, XERIAL.length).equals(XERIAL)) return block(buffer);
  const parts: Buffer[] = [];
  for (let at = XERIAL_HEADER; at + 4 <= buffer.length; ) {
    const size = buffer.readInt32BE(at);
    parts.push(block(buffer.subarray(at + 4, at + 4 + size)));
    at += 4 + size;
  }
  return Buffer.concat(parts);
}

function block(buffer: Buffer): Buffer {
  const plain = snappy.uncompressSync(buffer, { asBuffer: true });
  return Buffer.isBuffer(plain) ? plain : Buffer.from(plain);
}

interface Codec {
  readonly compress: (buffer: Buffer) => Buffer | Promise<Buffer>;
  readonly decompress: (buffer: Buffer) => Buffer | Promise<Buffer>;
}

/**
 * By Kafka's number. All that anybody's producer may use, for all have to be read. The quick ones run in place: a batch takes them less time than
 * the way to another thread.
 */
const CODECS: readonly Codec[] = [
  { compress: (buffer) => buffer, decompress: (buffer) => buffer },
  { compress: (buffer) => compressGzip(buffer), decompress: (buffer) => decompressGzip(buffer) },
  { compress: (buffer) => snappy.compressSync(buffer), decompress: unsnappy },
  { compress: (buffer) => compressFrameSync(buffer), decompress: (buffer) => decompressFrameSync(buffer) },
  { compress: (buffer) => compressZstd(buffer), decompress: (buffer) => decompressZstd(buffer) },
];

/** @throws Error when Kafka has made a new one */
export function codecOf(number: number): Codec {
  const codec = CODECS[number];
  if (!codec) throw new Error(`Kafka's compression ${number} is not known`);
  return codec;
}
