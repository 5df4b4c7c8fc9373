import { Code, ConnectError } from '@connectrpc/connect';
import { activeSpan, type Span, shared } from '@tradewind/telemetry/span';
import type { Database, EntityManager } from './database.ts';
import { failureKind } from './failure.ts';

/** Answers every request of a batch in one transaction: a result each, in order, or an error each that spoils nothing for the others. */
export type BatchWork<Request, Result> = (
  em: EntityManager,
  requests: readonly Request[],
) => Promise<(Result | Error)[]>;

export interface GroupCommitOptions {
  /** Requests a transaction at most; 200 when left out. */
  readonly maxBatch?: number;
  /** Transactions at a time; 2 when left out. */
  readonly lanes?: number;
  /** Requests that wait at most; 5,000 when left out. */
  readonly maxWaiting?: number;
  /** Called after each commit that did something. */
  readonly onCommit?: () => void;
}

interface Waiting<Request, Result> {
  readonly request: Request;
  /** Of whoever asks. */
  readonly span: Span | undefined;
  /** Whether nobody waits for the answer any more. */
  readonly over: () => boolean;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

/** Conflicts that a request may have with other transactions before its caller has to know. */
const CONFLICTS_MAX = 3;

/**
 * Lets concurrent requests share a commit, without ever waiting for company: a lane that is free takes what is there. When a shared
 * transaction fails, each of its requests runs again alone, so that one bad request hurts only itself; but not when it may have committed,
 * for then the caller has to find out.
 * Rejects with RESOURCE_EXHAUSTED when too many wait already.
 * @returns runs a request; `over` says that its caller has gone, and then it does not run any more
 */
export function groupCommit<Request, Result>(
  database: Pick<Database, 'transaction'>,
  work: BatchWork<Request, Result>,
  options: GroupCommitOptions = {},
): (request: Request, over?: () => boolean) => Promise<Result> {
  const { maxBatch = 200, lanes = 2, maxWaiting = 5_000, onCommit } = options;
  const queue: Waiting<Request, Result>[] = [];
  let busy = 0;

  const attempt = async (waiting: readonly Waiting<Request, Result>[]) => {
    const requests = waiting.map(({ request }) => request);
    const spans = waiting.map(({ span }) => span);
    const results = await shared(
      'commit batch',
      'database',
      spans,
      { 'tradewind.batch.size': spans.length },
      () => transaction(database, work, requests),
    );
    for (const [index, { resolve, reject }] of waiting.entries()) {
      const result = results[index];
      if (result instanceof Error) reject(result);
      else resolve(result as Result);
    }
    // Not from here: its failure must not look like the transaction's, which would then run again.
    if (onCommit) queueMicrotask(onCommit);
  };
  const alone = async (one: Waiting<Request, Result>) => {
    for (let conflicts = 1; ; conflicts++) {
      try {
        return await attempt([one]);
      } catch (error) {
        if (failureKind(error) !== 'conflict' || conflicts === CONFLICTS_MAX) return one.reject(error);
      }
    }
  };
  const lane = async () => {
    busy++;
    // Requests that came in the same turn of the event loop belong together.
    await new Promise(setImmediate);
    for (let batch = queue.splice(0, maxBatch); batch.length > 0; batch = queue.splice(0, maxBatch)) {
      const wanted = batch.filter((waiting) => !waiting.over() || waiting.reject(gone));
      if (wanted.length === 0) continue;
      try {
        await attempt(wanted);
      } catch (error) {
        const kind = failureKind(error);
        const again = kind === 'conflict' || (wanted.length > 1 && kind === 'other' && !isUnknown(error));
        // Outside of the lane: one that waits for a lock must not make the others wait for it.
        for (const waiting of wanted)
          if (again) void alone(waiting);
          else waiting.reject(error);
      }
    }
    busy--;
  };
  return (request, over = () => false) =>
    new Promise<Result>((resolve, reject) => {
      if (queue.length >= maxWaiting) {
        return reject(new ConnectError('too many requests wait already', Code.ResourceExhausted));
      }
      queue.push({ request, span: activeSpan(), over, resolve, reject });
      if (busy < lanes) void lane();
    });
}

/** Five characters, a digit among them, unlike a socket's EPIPE. */
const SQLSTATE = /^(?=.*\d)[0-9A-Z]{5}$/;
/** Nobody reads it. */
const gone = new ConnectError('the caller has gone', Code.Canceled);
const UNKNOWN = Symbol('whether it committed is unknown');

/** Runs the work in a transaction. An error of the commit itself that is not the server's word is marked: it may have committed. */
async function transaction<Request, Result>(
  database: Pick<Database, 'transaction'>,
  work: BatchWork<Request, Result>,
  requests: readonly Request[],
): Promise<(Result | Error)[]> {
  let worked = false;
  try {
    return await database.transaction(async (em) => {
      const results = await work(em, requests);
      if (results.length !== requests.length) throw new Error('a batch must answer each of its requests');
      worked = true;
      return results;
    });
  } catch (error) {
    const said = error instanceof Error && 'code' in error && SQLSTATE.test(String(error.code));
    if (worked && !said && error instanceof Error) Object.assign(error, { [UNKNOWN]: true });
    throw error;
  }
}

function isUnknown(error: unknown): boolean {
  return error instanceof Error && UNKNOWN in error;
}
