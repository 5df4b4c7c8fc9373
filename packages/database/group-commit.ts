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
  /** Called after each commit that did something. */
  readonly onCommit?: () => void;
}

/**
 * Lets concurrent requests share a commit, without ever waiting for company: a lane that is free takes what is there. When a shared
 * transaction fails, each of its requests runs again alone, so that one bad request hurts only itself.
 */
export function groupCommit<Request, Result>(
  database: Pick<Database, 'transaction'>,
  work: BatchWork<Request, Result>,
  options: GroupCommitOptions = {},
): (request: Request) => Promise<Result> {
  const { maxBatch = 200, lanes = 2, onCommit } = options;
  type Waiting = { request: Request; resolve: (result: Result) => void; reject: (error: unknown) => void };
  const queue: Waiting[] = [];
  let busy = 0;

  const settle = (waiting: readonly Waiting[], results: readonly (Result | Error)[]) => {
    for (const [index, { resolve, reject }] of waiting.entries()) {
      const result = results[index];
      if (result instanceof Error) reject(result);
      else resolve(result as Result);
    }
  };
  const attempt = async (waiting: readonly Waiting[]) => {
    const results = await database.transaction((em) =>
      work(
        em,
        waiting.map(({ request }) => request),
      ),
    );
    if (results.length !== waiting.length) throw new Error('a batch must answer each of its requests');
    onCommit?.();
    settle(waiting, results);
  };
  const alone = async (waiting: Waiting) => {
    for (let conflicts = 0; ; conflicts++) {
      try {
        return await attempt([waiting]);
      } catch (error) {
        if (failureKind(error) !== 'conflict' || conflicts >= 10) return waiting.reject(error);
      }
    }
  };
  const lane = async () => {
    busy++;
    // Requests that came in the same turn of the event loop belong together.
    await new Promise(setImmediate);
    for (let batch = queue.splice(0, maxBatch); batch.length > 0; batch = queue.splice(0, maxBatch)) {
      try {
        await attempt(batch);
      } catch (error) {
        if (batch.length === 1 && failureKind(error) !== 'conflict') batch[0]?.reject(error);
        else if (failureKind(error) === 'away') for (const { reject } of batch) reject(error);
        else for (const waiting of batch) await alone(waiting);
      }
    }
    busy--;
  };
  return (request) =>
    new Promise<Result>((resolve, reject) => {
      queue.push({ request, resolve, reject });
      if (busy < lanes) void lane();
    });
}
