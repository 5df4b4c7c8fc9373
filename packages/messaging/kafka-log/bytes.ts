/** A buffer that grows, written from front to end, with Kafka's kinds of numbers and texts. */
export class ByteWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(size: number) {
    this.#buffer = Buffer.allocUnsafe(size);
  }

  get length(): number {
    return this.#at;
  }

  /** What was written; a view, good until something more is. */
  get written(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  #room(bytes: number): Buffer {
    const needed = this.#at + bytes;
    if (needed > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2));
      this.#buffer.copy(larger, 0, 0, this.#at);
      this.#buffer = larger;
    }
    return this.#buffer;
  }

  int8(value: number): void {
    this.#room(1)[this.#at++] = value & 0xff;
  }

  int16(value: number): void {
    this.#at = this.#room(2).writeInt16BE(value, this.#at);
  }

  int32(value: number): void {
    this.#at = this.#room(4).writeInt32BE(value, this.#at);
  }

  int64(value: bigint): void {
    this.#at = this.#room(8).writeBigInt64BE(value, this.#at);
  }

  /** Zigzag, 32 bits wide. */
  varint(value: number): void {
    const buffer = this.#room(5);
    let rest = ((value << 1) ^ (value >> 31)) >>> 0;
    while (rest > 0x7f) {
      buffer[this.#at++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    buffer[this.#at++] = rest;
  }

  bytes(value: Uint8Array): void {
    this.#room(value.length).set(value, this.#at);
    this.#at += value.length;
  }

  /** Bytes behind their length as a varint; null has the length -1. */
  varBytes(value: Uint8Array | null): void {
    this.varint(value === null ? -1 : value.length);
    if (value !== null) this.bytes(value);
  }

  /** UTF-8 behind its length as a varint. */
  varText(text: string): void {
    // Nearly all texts are short and ASCII; a call into the engine for each would cost more than the text.
    if (text.length <= SHORT && this.#ascii(text)) return;
    const bytes = Buffer.byteLength(text);
    this.varint(bytes);
    this.#at += this.#room(bytes).write(text, this.#at);
  }

  #ascii(text: string): boolean {
    const before = this.#at;
    this.varint(text.length);
    const buffer = this.#room(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0x7f) {
        this.#at = before;
        return false;
      }
      buffer[this.#at + i] = code;
    }
    this.#at += text.length;
    return true;
  }

  /** A text behind its length in two bytes. */
  text(text: string): void {
    const bytes = Buffer.from(text);
    this.int16(bytes.length);
    this.bytes(bytes);
  }

  /** Writes something behind its own length as a varint. */
  measured(write: () => void): void {
    const start = this.#at;
    this.#room(USUAL);
    this.#at += USUAL;
    write();
    const length = this.#at - start - USUAL;
    const size = varintSize(length);
    if (size !== USUAL) {
      this.#room(5);
      this.#buffer.copyWithin(start + size, start + USUAL, start + USUAL + length);
    }
    this.#at = start;
    this.varint(length);
    this.#at += length;
  }
}

const SHORT = 80;
/** Bytes that the length of a usual record takes. */
const USUAL = 2;

function varintSize(value: number): number {
  return value < 64 ? 1 : value < 8_192 ? 2 : value < 1_048_576 ? 3 : value < 134_217_728 ? 4 : 5;
}

/** Reads what `ByteWriter` writes, and the rest of Kafka's answers. Running over the end throws a RangeError. */
export class ByteReader {
  readonly #buffer: Buffer;
  at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.at = at;
  }

  get left(): number {
    return this.#buffer.length - this.at;
  }

  int8(): number {
    return this.#buffer.readInt8(this.at++);
  }

  int16(): number {
    this.at += 2;
    return this.#buffer.readInt16BE(this.at - 2);
  }

  int32(): number {
    this.at += 4;
    return this.#buffer.readInt32BE(this.at - 4);
  }

  int64(): bigint {
    this.at += 8;
    return this.#buffer.readBigInt64BE(this.at - 8);
  }

  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#buffer[this.at++];
      if (byte === undefined) throw new RangeError('a number runs over the end');
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1);
    }
    throw new RangeError('a number is too long');
  }

  /** Zigzag, 64 bits wide. */
  varlong(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#buffer[this.at++];
      if (byte === undefined) throw new RangeError('a number runs over the end');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n);
    }
    throw new RangeError('a number is too long');
  }

  /** A view. */
  bytes(length: number): Buffer {
    if (length < 0 || length > this.left) throw new RangeError('bytes run over the end');
    this.at += length;
    return this.#buffer.subarray(this.at - length, this.at);
  }

  varBytes(): Buffer | null {
    const length = this.varint();
    return length < 0 ? null : this.bytes(length);
  }

  varText(): string | null {
    const length = this.varint();
    return length < 0 ? null : this.#string(length);
  }

  #string(length: number): string {
    if (length > this.left) throw new RangeError('a text runs over the end');
    this.at += length;
    return this.#buffer.toString('utf8', this.at - length, this.at);
  }

  /** Like `varText`, when it is most likely the expected one. */
  varName(expected: { readonly text: string; readonly bytes: Uint8Array } | undefined): string {
    const length = this.varint();
    if (expected && expected.bytes.length === length) {
      const { bytes } = expected;
      let i = 0;
      while (i < length && bytes[i] === this.#buffer[this.at + i]) i++;
      if (i === length) {
        this.at += length;
        return expected.text;
      }
    }
    return length < 0 ? '' : this.#string(length);
  }

  text(): string {
    const length = this.int16();
    return length < 0 ? '' : this.#string(length);
  }
}
