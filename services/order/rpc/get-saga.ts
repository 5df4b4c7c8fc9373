import { ConnectError } from '@connectrpc/connect';
import { InspectionService } from '@tradewind/contracts/messaging/v1/inspection';
import type { OrderService } from '@tradewind/contracts/order/v1/order';
import { type Asked, ask } from '@tradewind/process/ask';
import type { Call } from '@tradewind/rpc/call';
import { createClient, onBehalfOf } from '@tradewind/rpc/client';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { lookInto } from '@tradewind/service/inspection';
import { gather, type Question, type Sources } from '../saga/evidence.ts';
import { sagaMessage } from '../saga/saga-message.ts';
import { unknownOrder } from './get-order.ts';

/** What it takes from the configuration. */
interface SagaConfig {
  readonly STOCK_URL: string | undefined;
  readonly STOCK_TIMEOUT: number;
  readonly SAGA_LATE_AFTER: number;
  readonly ORDER_SWEEP_AFTER: number;
}

/** Tells an order's whole way, from whatever answers: the own database, the event log, stock. */
export function getSaga(
  deps: Pick<ServiceDeps<SagaConfig>, 'database' | 'log' | 'scope' | 'config'>,
): Handler<typeof OrderService.method.getSaga> {
  const { database, log, config } = deps;
  const look = lookInto(database);
  const askStock = stockInspector(deps);
  return async ({ id }, call) => {
    const evidence = await gather(id, {
      look,
      log: log(),
      stock: (question) => askStock(question, call),
      sweepAfterMs: config.ORDER_SWEEP_AFTER,
    });
    if (!evidence) throw unknownOrder(id);
    return { saga: sagaMessage(evidence, config.SAGA_LATE_AFTER) };
  };
}

type AskStock = (question: Question, call: Call) => ReturnType<Sources['stock']>;

function stockInspector({ scope, config }: Pick<ServiceDeps<SagaConfig>, 'scope' | 'config'>): AskStock {
  const { STOCK_URL: baseUrl, STOCK_TIMEOUT: timeoutMs } = config;
  if (baseUrl === undefined) return async () => ({ why: 'STOCK_URL does not say where it is' });
  // Whoever asks about a saga asks because something is away: that is an answer, and nothing to wait for.
  const client = scope.use(
    createClient(InspectionService, { baseUrl, timeoutMs, waitMs: timeoutMs / 4, retry: { attempts: 1 } }),
  );
  return async (question, call) => {
    const asked: Asked<Awaited<ReturnType<typeof client.call.getTrail>>> = await ask(timeoutMs, async () => {
      try {
        return await client.call.getTrail(question, onBehalfOf(call, timeoutMs));
      } catch (error) {
        throw new Error(ConnectError.from(error).rawMessage);
      }
    });
    return asked;
  };
}
