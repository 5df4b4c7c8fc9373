import { duration, optional, secret, url } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';

/** What the ratings service reads from its environment. */
export const settings = {
  ...commonSettings(8082),
  /** A hundred years: the topic of ratings is kept for ever, and as they are added up, the inbox alone says which of them were counted. */
  INBOX_WINDOW: duration('36500d'),
  /** Where the statistics function answers; left out, answers have no statistics. */
  RATINGS_LAMBDA_URL: optional(url({ protocols: ['http', 'https'] })),
  /** A store of counts that is faster to read; left out, PostgreSQL answers. */
  REDIS_URL: optional(secret(url({ protocols: ['redis', 'rediss'] }))),
};
