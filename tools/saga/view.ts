import { Code, ConnectError } from '@connectrpc/connect';
import { OrderService, type Saga } from '@tradewind/contracts/order/v1/order';
import { SagaState } from '@tradewind/contracts/order/v1/saga';
import { delay } from '@tradewind/process/backoff';
import { type Client, createClient } from '@tradewind/rpc/client';
import { ToolFailure } from '../load/tool.ts';
import type { SagaOptions } from './command-line.ts';

const EVERY_MS = 1_000;
/** Whoever asks waits for nothing for long; the service needs up to 4 s when everything else hangs. */
const TIMEOUT_MS = 8_000;
const UNREACHABLE = 3;

/** Looks at a saga once, or until it is settled. @throws ToolFailure when there is no such order, or nobody answers */
export async function viewSaga(
  { id, url, watch }: SagaOptions,
  signal: AbortSignal,
  onSaga: (saga: Saga) => void,
): Promise<Saga> {
  await using client = createClient(OrderService, { baseUrl: url, timeoutMs: TIMEOUT_MS, waitMs: 2_000 });
  for (;;) {
    const saga = await ask(client, id, url);
    onSaga(saga);
    if (!watch || saga.state === SagaState.SETTLED) return saga;
    await delay(EVERY_MS, signal);
  }
}

async function ask(client: Client<typeof OrderService>, id: string, url: string): Promise<Saga> {
  try {
    const { saga } = await client.call.getSaga({ id });
    if (!saga) throw new ConnectError('the answer has no saga', Code.Internal);
    return saga;
  } catch (error) {
    const { code, rawMessage } = ConnectError.from(error);
    if (code === Code.NotFound) throw new ToolFailure(rawMessage, UNREACHABLE);
    throw new ToolFailure(
      `the order service at ${url} could not be asked: ${rawMessage}; npm run doctor looks without it`,
      UNREACHABLE,
    );
  }
}

/** Whether nobody has to do anything about it: it is settled, or on its way and not late. */
export function isWell({ state, awaits }: Saga): boolean {
  return state !== SagaState.DEAD_LETTERED && state !== SagaState.LOST && awaits?.lateBy === undefined;
}
