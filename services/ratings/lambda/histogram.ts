/** What is wrong with a field of a request. */
export interface Violation {
  readonly field: string;
  readonly error: string;
}

/** What the function answers. */
export interface RatingStatistics {
  /** From 1 to 5; 0 when nobody has rated. */
  readonly avg: number;
  readonly totalCount: number;
}

const RATINGS = ['1', '2', '3', '4', '5'];
const LARGEST = BigInt(Number.MAX_SAFE_INTEGER);
const COUNT = `must be a whole number from 0 to ${LARGEST}`;
/** Violations told, and characters of a field's name: an answer is never as large as its question. */
const MOST = 100;
const NAME = 50;

/** How often each rating was given, 1 first; or everything that is wrong with the request. Ratings left out were never given. */
export function readHistogram(request: unknown): readonly bigint[] | { violations: readonly Violation[] } {
  const refuse = (field: string, error: string) => ({ violations: [{ field, error }] });
  if (!isObject(request)) return refuse('', 'must be a JSON object');
  const { ratings } = request;
  if (ratings === undefined) return refuse('ratings', 'is required');
  if (!isObject(ratings)) return refuse('ratings', 'must be an object of counts by rating');
  const violations: Violation[] = [];
  const counts = RATINGS.map(() => 0n);
  for (const [rating, given] of Object.entries(ratings)) {
    const index = RATINGS.indexOf(rating);
    const count = countOf(given);
    if (index >= 0 && count !== undefined) counts[index] = count;
    else if (violations.length < MOST)
      violations.push({
        field: `ratings.${rating.slice(0, NAME)}`,
        error: index < 0 ? 'must be a rating from 1 to 5' : COUNT,
      });
  }
  if (violations.length > 0) return { violations };
  if (sumOf(counts) > LARGEST) return refuse('ratings', `must add up to at most ${LARGEST}`);
  return counts;
}

/** Exact, whatever the counts: no step rounds but the last. */
export function statisticsOf(counts: readonly bigint[]): RatingStatistics {
  const total = sumOf(counts);
  if (total === 0n) return { avg: 0, totalCount: 0 };
  const stars = counts.reduce((sum, count, index) => sum + count * BigInt(index + 1), 0n);
  return { avg: nearestQuotient(stars, total), totalCount: Number(total) };
}

/** The double that is nearest to a quotient of at least 1, the even one of two. */
function nearestQuotient(dividend: bigint, divisor: bigint): number {
  const wholeBits = (dividend / divisor).toString(2).length;
  // So many that the quotient has the 53 bits of a double, and what is left decides how to round.
  const shift = 53 - wholeBits;
  const scaled = dividend << BigInt(shift);
  const mantissa = scaled / divisor;
  const twiceLeft = 2n * (scaled % divisor);
  const up = twiceLeft > divisor || (twiceLeft === divisor && mantissa % 2n === 1n);
  return Number(up ? mantissa + 1n : mantissa) / 2 ** shift;
}

/** Counts come as numbers, or as texts where they come from Redis or from protobuf's JSON. */
function countOf(given: unknown): bigint | undefined {
  if (typeof given === 'number') return Number.isSafeInteger(given) && given >= 0 ? BigInt(given) : undefined;
  if (typeof given !== 'string' || !/^(?:0|[1-9]\d{0,15})$/.test(given)) return undefined;
  const count = BigInt(given);
  return count <= LARGEST ? count : undefined;
}

function sumOf(counts: readonly bigint[]): bigint {
  return counts.reduce((sum, count) => sum + count, 0n);
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
