import { maskUrl } from '@tradewind/telemetry/mask';
import {
  type CircuitBreakerPolicy,
  CircuitState,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  fullJitterGenerator,
  handleAll,
  handleWhen,
  type RetryPolicy,
  retry,
} from 'cockatiel';
import { Failure } from './answer.ts';
import type { StatisticsOptions } from './client.ts';
import type { BreakerState } from './metrics.ts';
import type { StatisticsConfig } from './settings.ts';

const STATES: Readonly<Record<CircuitState, BreakerState>> = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.HalfOpen]: 'half_open',
  [CircuitState.Isolated]: 'open',
};

/** Tries again what a failure says is worth it, after exponential pauses with full jitter. */
export function retriesOf(config: StatisticsConfig): RetryPolicy {
  return retry(
    handleWhen((error) => error instanceof Failure && error.again),
    {
      maxAttempts: config.STATISTICS_RETRIES,
      backoff: new ExponentialBackoff({
        generator: fullJitterGenerator,
        initialDelay: config.STATISTICS_RETRY_BASE,
        maxDelay: config.STATISTICS_TIMEOUT,
      }),
    },
  );
}

/** Gives the function up for a while after so many failures in a row. It is told once that it is away, and once that it is back. */
export function breakerOf({ config, metrics, logger }: StatisticsOptions, url: URL): CircuitBreakerPolicy {
  const breaker = circuitBreaker(handleAll, {
    halfOpenAfter: config.STATISTICS_BREAKER_REST,
    breaker: new ConsecutiveBreaker(config.STATISTICS_BREAKER_FAILURES),
  });
  const about = { url: maskUrl(url.href) };
  let away = false;
  metrics.breaker = () => STATES[breaker.state];
  breaker.onBreak((reason) => {
    metrics.opened.add();
    if (away) return;
    away = true;
    const why = 'error' in reason && reason.error instanceof Error ? reason.error.message : undefined;
    logger.warn(
      { ...about, why },
      'statistics: the function is away; answers go without them until it is back',
    );
  });
  breaker.onReset(() => {
    away = false;
    logger.info(about, 'statistics: the function is back');
  });
  return breaker;
}
