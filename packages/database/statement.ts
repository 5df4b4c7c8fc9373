import type { EntityManager } from '@mikro-orm/postgresql';
import { CompiledQuery, type Kysely } from 'kysely';
import { Client, type QueryConfig } from 'pg';
import { inStatementSpan } from './statement-span.ts';

/** A hot statement: its text is parsed and planned once a connection, under a name of its own. */
export interface Statement<Row> {
  readonly text: string;
  /** Never there at run time; carries the row's type. */
  readonly row?: Row;
}

const names = new Map<string, string>();

/** Declares a hot statement, with $1, $2 … for its values. Declare each once, at module level. */
export function statement<Row = Record<string, unknown>>(text: string): Statement<Row> {
  if (!names.has(text)) names.set(text, `tw${names.size}`);
  return { text };
}

/**
 * Runs a hot statement in the unit of work's own transaction.
 * @throws Error outside of a transaction: hot statements belong to one.
 */
export async function run<Row>(
  em: EntityManager,
  { text }: Statement<Row>,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const transaction = em.getTransactionContext<Kysely<unknown>>();
  if (!transaction) throw new Error('a hot statement was run outside of a transaction');
  const { rows } = await transaction.executeQuery<Row>(CompiledQuery.raw(text, values as unknown[]));
  return rows;
}

/** The statement, which may be given with its values in one object. */
function textOf(query: unknown): string | undefined {
  if (typeof query === 'string') return query;
  const { text } = (query ?? {}) as { text?: unknown };
  return typeof text === 'string' ? text : undefined;
}

/** The pool's client: knows hot statements by their text and prepares them, which neither Kysely nor MikroORM does. */
export class PreparingClient extends Client {
  // The signature is pg's own set of overloads; only the (text, values) form is of interest here.
  override query(...args: never[]): never {
    const [text, values, ...rest] = args as readonly unknown[];
    const name = typeof text === 'string' ? names.get(text) : undefined;
    const query = super.query as (...args: unknown[]) => unknown;
    const result = inStatementSpan(
      { text: textOf(text), declared: name !== undefined, database: this.database },
      () =>
        name ? query.call(this, { name, text, values } as QueryConfig, ...rest) : query.apply(this, args),
    );
    // Behind a silent network the next query would only queue up behind this one.
    if (result instanceof Promise) {
      result.catch((error: unknown) => {
        if (error instanceof Error && error.message === 'Query read timeout')
          this.connection.stream.destroy();
      });
    }
    return result as never;
  }
}
