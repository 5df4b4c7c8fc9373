import { duration, url } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';

/** What the product service reads from its environment. */
export const settings = {
  ...commonSettings(8080),
  /** Where the stock service answers. */
  STOCK_URL: url({ protocols: ['http', 'https'], fallback: 'http://127.0.0.1:50051' }),
  /** How long a GraphQL answer waits for stock at most. */
  STOCK_TIMEOUT: duration('1s'),
};
