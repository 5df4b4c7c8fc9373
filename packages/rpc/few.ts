import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { Turns } from '@tradewind/process/turns';
import type { Call, Unary } from './call.ts';

export interface FewOptions {
  /** Calls that are worked at, at a time, in this process. */
  readonly most: number;
  /** How long another one waits for its turn, in milliseconds, but not beyond its deadline. */
  readonly waitMs: number;
  /** Of the process. */
  readonly signal: AbortSignal;
}

/**
 * A handler for what is dear and can wait: a few calls at a time, so that it takes nothing from what can't. A call that gets no turn is
 * RESOURCE_EXHAUSTED.
 * @param handler gets a signal that aborts when the caller leaves or the process stops; its turn lasts until it has settled
 */
export function fewAtATime<I extends DescMessage, O extends DescMessage>(
  { most, waitMs, signal: stopping }: FewOptions,
  handler: (request: MessageShape<I>, call: Call, signal: AbortSignal) => Promise<MessageInitShape<O>>,
): Unary<I, O> {
  const turns = new Turns(most);
  return async (request, call) => {
    const signal = AbortSignal.any([stopping, call.signal]);
    try {
      using _turn = await turnWithin(turns, waitMs, signal);
      return await handler(request, call, signal);
    } catch (error) {
      if (stopping.aborted && !call.aborted)
        throw new ConnectError('the process stops, ask again', Code.Unavailable, undefined, undefined, error);
      throw error;
    }
  };
}

async function turnWithin(turns: Turns, waitMs: number, signal: AbortSignal): Promise<Disposable> {
  const patience = AbortSignal.timeout(waitMs);
  try {
    return await turns.take(AbortSignal.any([signal, patience]));
  } catch (error) {
    if (signal.aborted || !patience.aborted) throw error;
    throw new ConnectError('too many ask at the same time, ask again', Code.ResourceExhausted, {
      'retry-after': '1',
    });
  }
}
