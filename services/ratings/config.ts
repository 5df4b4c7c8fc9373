import { duration } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';
import { redisSettings } from './redis/settings.ts';
import { statisticsSettings } from './statistics/settings.ts';

/** What the ratings service reads from its environment. */
export const settings = {
  ...commonSettings(8082),
  /** A hundred years: the topic of ratings is kept for ever, and as they are added up, the inbox alone says which of them were counted. */
  INBOX_WINDOW: duration('36500d'),
  ...statisticsSettings,
  ...redisSettings,
};
