import type { Values } from '@tradewind/process/environment';
import { duration, integer, optional, url } from '@tradewind/process/settings';

/** How the statistics function is called; spread it among the service's own settings. */
export const statisticsSettings = {
  /** Where it answers; left out, answers have no statistics. `https://user:password@…` is asked with Basic authentication. */
  RATINGS_LAMBDA_URL: optional(url({ protocols: ['http', 'https'] })),
  /** How long an answer waits for it at most, retries included. */
  STATISTICS_TIMEOUT: duration('1s'),
  /** How long one attempt may take. */
  STATISTICS_ATTEMPT_TIMEOUT: duration('300ms'),
  /** Attempts after the first one. */
  STATISTICS_RETRIES: integer({ max: 10, fallback: 2 }),
  /** Upper bound of the first pause before a retry; each next one is up to twice as long. */
  STATISTICS_RETRY_BASE: duration('50ms'),
  /** After so many failed attempts in a row nobody is kept waiting any more … */
  STATISTICS_BREAKER_FAILURES: integer({ min: 1, max: 1_000, fallback: 5 }),
  /** … until so much later one question tries whether the function is back. */
  STATISTICS_BREAKER_REST: duration('5s'),
};

export type StatisticsConfig = Values<typeof statisticsSettings>;
