import { duration, url } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';

/** What the product service reads from its environment. */
export const settings = {
  ...commonSettings(8080),
  /**
   * Longer than everywhere else, a hundred years: the topic of ratings is kept for ever, and as they are added up, nothing but the inbox says which
   * of them were counted.
   */
  INBOX_WINDOW: duration('36500d'),
  /** Where the stock service answers. */
  STOCK_URL: url({ protocols: ['http', 'https'], fallback: 'http://127.0.0.1:50051' }),
  /** How long a GraphQL answer waits for stock at most. */
  STOCK_TIMEOUT: duration('1s'),
};
