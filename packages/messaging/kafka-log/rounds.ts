import type { OutMessage } from './records.ts';

/** A record on its way to its partition. */
export interface Outgoing<Caller> {
  readonly topic: string;
  readonly partition: number;
  readonly message: OutMessage;
  /** Bytes that it takes, at most. */
  readonly size: number;
  /** Whose it is, and its place among that caller's. */
  readonly caller: Caller;
  readonly nth: number;
}

/** The records of one partition that one request carries: one batch. */
export interface Batch<Caller> {
  readonly topic: string;
  readonly partition: number;
  readonly records: Outgoing<Caller>[];
  bytes: number;
}

export interface RoundLimits {
  /** Bytes of one request. */
  readonly requestBytes: number;
  /** Bytes of one batch of a topic. */
  readonly batchBytes: (topic: string) => number;
}

/**
 * Cuts records into requests: in each at most one batch a partition, none larger than its topic takes, unless a single record is. What does
 * not fit waits for a later round, and with it all behind it of its partition.
 */
export function cutRound<Caller>(
  records: readonly Outgoing<Caller>[],
  { requestBytes, batchBytes }: RoundLimits,
): { readonly batches: Batch<Caller>[]; readonly rest: Outgoing<Caller>[] } {
  const batches = new Map<string, Batch<Caller>>();
  const full = new Set<string>();
  const rest: Outgoing<Caller>[] = [];
  let total = 0;
  for (const record of records) {
    const { topic, partition, size } = record;
    const name = `${topic}/${partition}`;
    const batch = batches.get(name);
    const fits =
      total === 0 || (total + size <= requestBytes && (batch?.bytes ?? 0) + size <= batchBytes(topic));
    if (full.has(name) || !fits) {
      full.add(name);
      rest.push(record);
      continue;
    }
    total += size;
    if (batch) {
      batch.records.push(record);
      batch.bytes += size;
    } else batches.set(name, { topic, partition, records: [record], bytes: size });
  }
  return { batches: [...batches.values()], rest };
}
