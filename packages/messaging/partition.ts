/** murmur2 as Kafka's Java client computes it (org.apache.kafka.common.utils.Utils.murmur2), so that keys land alike from every language. */
export function murmur2(data: Uint8Array): number {
  const m = 0x5bd1e995;
  const length = data.length;
  let h = (0x9747b28c ^ length) | 0;
  const end = length - (length % 4);
  for (let i = 0; i < end; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24);
    k = Math.imul(k, m);
    k ^= k >>> 24;
    k = Math.imul(k, m);
    h = Math.imul(h, m) ^ k;
  }
  const rest = length % 4;
  if (rest === 3) h ^= data[end + 2]! << 16;
  if (rest >= 2) h ^= data[end + 1]! << 8;
  if (rest >= 1) h = Math.imul(h ^ data[end]!, m);
  h ^= h >>> 13;
  h = Math.imul(h, m);
  return h ^ (h >>> 15);
}

const encoder = new TextEncoder();

/** The partition of a key, as Java's default partitioner chooses it: (murmur2(key) & 0x7fffffff) mod count. */
export function partitionOf(key: string, count: number): number {
  return (murmur2(encoder.encode(key)) & 0x7fffffff) % count;
}
