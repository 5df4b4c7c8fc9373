import { Code, ConnectError } from '@connectrpc/connect';

/** Where a fact stands in the outbox, and whose order it keeps. */
interface Row {
  readonly position: string;
  readonly aggregatetype: string;
  readonly aggregateid: string;
}

/** Errors with which the log says that it will not take a record as it is, not that it is away. */
const REFUSALS = new Set([Code.NotFound, Code.InvalidArgument, Code.OutOfRange, Code.FailedPrecondition]);

/** Whether the log refused a record for what it is. */
export function isRefusal(error: unknown): error is ConnectError {
  return error instanceof ConnectError && REFUSALS.has(error.code);
}

/** How long until a refused fact is tried again: its topic may have been made meanwhile. */
const AGAIN_MS = 10_000;

/** Facts that the log refuses, and those behind them of the same topic and key. They stay in the outbox, and nothing else waits for them. */
export class StuckFacts {
  readonly #lines = new Map<string, string[]>();
  #since = 0;
  #error = '';

  /** What is wrong, for people; undefined when nothing is stuck. */
  get trouble(): string | undefined {
    const count = this.#all().length;
    return count > 0 ? `${count} facts are stuck in the outbox: ${this.#error}` : undefined;
  }

  /** Positions to leave alone. From time to time none: then all of them are tried again. */
  positions(): string[] {
    if (this.#lines.size > 0 && Date.now() - this.#since >= AGAIN_MS) this.#lines.clear();
    return this.#all();
  }

  /** Keeps back the rows whose line is stuck, and answers the others. */
  sift<R extends Row>(rows: readonly R[]): R[] {
    if (this.#lines.size === 0) return [...rows];
    return rows.filter((row) => {
      const line = this.#lines.get(lineOf(row));
      line?.push(row.position);
      return !line;
    });
  }

  add(row: Row, error: Error): void {
    if (this.#lines.size === 0) this.#since = Date.now();
    this.#error = error.message;
    this.#lines.set(lineOf(row), [row.position]);
  }

  #all(): string[] {
    return [...this.#lines.values()].flat();
  }
}

function lineOf({ aggregatetype, aggregateid, position }: Row): string {
  return aggregateid === '' ? position : `${aggregatetype}\n${aggregateid}`;
}
