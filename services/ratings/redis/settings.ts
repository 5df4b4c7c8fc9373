import { duration, optional, secret, url } from '@tradewind/process/settings';

/** What names the Redis that counts are read from; spread it among the service's settings. */
export const redisSettings = {
  /** `redis://[user:password@]host:6379[/database]`, or `rediss://` for TLS. Left out: PostgreSQL answers all reads. */
  REDIS_URL: optional(secret(url({ protocols: ['redis', 'rediss'] }))),
  /** How long a read waits for Redis, before PostgreSQL is asked. */
  REDIS_TIMEOUT: duration('100ms'),
};
