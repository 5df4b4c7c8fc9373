import type { IdGenerator } from '@opentelemetry/sdk-trace';

const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

function hex8(): string {
  const n = (Math.random() * 0x1_0000_0000) >>> 0;
  return `${BYTES[n >>> 24]}${BYTES[(n >>> 16) & 255]}${BYTES[(n >>> 8) & 255]}${BYTES[n & 255]}`;
}

/** 16 hexadecimal digits, never all zero. */
export function newSpanId(): string {
  const id = hex8() + hex8();
  return id === '0000000000000000' ? newSpanId() : id;
}

/** 32 hexadecimal digits, never all zero. Those on the right are random, as samplers by ratio want them. */
export function newTraceId(): string {
  return newSpanId() + newSpanId();
}

interface Ids {
  readonly traceId: string;
  readonly spanId: string;
}

/** Gives the next span that is started within `begin` the ids that it has already. */
export class PresetIds implements IdGenerator {
  #preset: Ids | undefined;

  begin<T>(ids: Ids, start: () => T): T {
    this.#preset = ids;
    try {
      return start();
    } finally {
      this.#preset = undefined;
    }
  }

  generateTraceId(): string {
    return this.#preset?.traceId ?? newTraceId();
  }

  generateSpanId(): string {
    return this.#preset?.spanId ?? newSpanId();
  }
}
