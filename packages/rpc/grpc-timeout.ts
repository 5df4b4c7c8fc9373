/** The longest that a timer of Node takes, in milliseconds; a longer one fires at once. */
export const longestMs = 0x7fffffff;

/** About as long, as a grpc-timeout header. */
export const longestTimeout = '2147483S';

const unitMs: Record<string, number> = { H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6 };

/** The milliseconds of a grpc-timeout header; undefined when it is none. */
export function timeoutMs(header: string): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(header);
  const unit = unitMs[match?.[2] ?? ''];
  return unit === undefined ? undefined : Number(match?.[1]) * unit;
}
