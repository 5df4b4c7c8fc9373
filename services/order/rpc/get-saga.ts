import { ConnectError } from '@connectrpc/connect';
import { InspectionService } from '@tradewind/contracts/messaging/v1/inspection';
import type { OrderService } from '@tradewind/contracts/order/v1/order';
import { ask } from '@tradewind/process/ask';
import type { Call } from '@tradewind/rpc/call';
import { createClient, onBehalfOf } from '@tradewind/rpc/client';
import { fewAtATime } from '@tradewind/rpc/few';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { lookInto } from '@tradewind/service/inspection';
import type { Question, Sources } from '../saga/evidence.ts';
import { gather } from '../saga/gather.ts';
import { sagaMessage } from '../saga/saga-message.ts';
import { unknownOrder } from './get-order.ts';

/** What it takes from the configuration. */
interface SagaConfig {
  readonly STOCK_URL: string | undefined;
  readonly STOCK_TIMEOUT: number;
  readonly SAGA_LATE_AFTER: number;
  readonly ORDER_SWEEP_AFTER: number;
}

/** Views at a time: what they take of the log's and the database's connections leaves most to those who live on them. */
const AT_ONCE = 2;
const WAIT_MS = 1_000;

/** Tells an order's whole way, from whatever answers: the own database, the event log, stock. */
export function getSaga(
  deps: Pick<ServiceDeps<SagaConfig>, 'database' | 'log' | 'scope' | 'config' | 'signal' | 'metrics'>,
): Handler<typeof OrderService.method.getSaga> {
  const { database, log, config } = deps;
  const askStock = stockInspector(deps);
  const few = { most: AT_ONCE, waitMs: WAIT_MS, signal: deps.signal };
  return fewAtATime(few, async ({ id }, call, signal) => {
    const sources = {
      look: lookInto(database, signal),
      log: log(),
      stock: (question: Question) => askStock(question, call, signal),
      sweepAfterMs: config.ORDER_SWEEP_AFTER,
      signal,
    };
    const evidence = await gather(id, sources, config.SAGA_LATE_AFTER);
    if (!evidence) throw unknownOrder(id);
    return { saga: sagaMessage(evidence, config.SAGA_LATE_AFTER) };
  });
}

type AskStock = (question: Question, call: Call, signal: AbortSignal) => ReturnType<Sources['stock']>;

function stockInspector({
  scope,
  config,
  metrics,
}: Pick<ServiceDeps<SagaConfig>, 'scope' | 'config' | 'metrics'>): AskStock {
  const { STOCK_URL: baseUrl, STOCK_TIMEOUT: timeoutMs } = config;
  if (baseUrl === undefined) return async () => ({ why: 'STOCK_URL does not say where it is' });
  // Whoever asks about a saga asks because something is away: that is an answer, and nothing to wait for.
  const client = scope.use(
    createClient(InspectionService, {
      baseUrl,
      timeoutMs,
      waitMs: timeoutMs / 4,
      retry: { attempts: 1 },
      metrics,
    }),
  );
  const getTrail = async (question: Question, call: Call, signal: AbortSignal) => {
    try {
      return await client.call.getTrail(question, { ...onBehalfOf(call, timeoutMs), signal });
    } catch (error) {
      throw new Error(ConnectError.from(error).rawMessage);
    }
  };
  return (question, call, until) => ask(timeoutMs, (signal) => getTrail(question, call, signal), until);
}
