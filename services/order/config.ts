import { duration, optional, url } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';

/** What the order service reads from its environment. */
export const settings = {
  ...commonSettings(3000),
  /** How long an order is PENDING before its order.created is told again; then at 4, 16, 64 … times that age. */
  ORDER_SWEEP_AFTER: duration('1m'),
  /** How long an order may be PENDING at all. */
  ORDER_DEADLINE: duration('24h'),
  /** Where the stock service answers, for the view of a saga; left out, the view does without. */
  STOCK_URL: optional(url({ protocols: ['http', 'https'] })),
  /** How long the view of a saga waits for stock at most. */
  STOCK_TIMEOUT: duration('1s'),
  /** A saga that has been on its way for longer is late. */
  SAGA_LATE_AFTER: duration('10s'),
};
