import { duration } from '@tradewind/process/settings';
import { commonSettings } from '@tradewind/service/define';

/** What the order service reads from its environment. */
export const settings = {
  ...commonSettings(3000),
  /** How long an order is PENDING before its order.created is told again; then at 4, 16, 64 … times that age. */
  ORDER_SWEEP_AFTER: duration('1m'),
  /** How long an order may be PENDING at all. */
  ORDER_DEADLINE: duration('24h'),
};
