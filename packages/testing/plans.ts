import type { Database } from '@tradewind/database/database';
import { Client } from 'pg';

/** A statement as it reached PostgreSQL. */
export interface Sent {
  readonly text: string;
  readonly values: readonly unknown[];
}

/** Runs work of services in this process, and gives every statement that was sent meanwhile, each text once. */
export async function statementsOf(work: () => Promise<unknown>): Promise<Sent[]> {
  const sent = new Map<string, Sent>();
  const { query } = Client.prototype;
  const spy = function (this: Client, ...args: unknown[]) {
    const [first, second] = args;
    const config = first as { text?: string; values?: unknown[] };
    const text = typeof first === 'string' ? first : config?.text;
    const values = Array.isArray(second) ? second : (config?.values ?? []);
    if (text !== undefined && !sent.has(text)) sent.set(text, { text, values });
    return query.apply(this, args as never);
  };
  Client.prototype.query = spy as never;
  try {
    await work();
  } finally {
    Client.prototype.query = query;
  }
  return [...sent.values()];
}

/**
 * How PostgreSQL would run a statement: with its values, and without knowing any, as it does once it is prepared.
 * @returns both plans as text
 */
export async function plansOf({ pool }: Pick<Database, 'pool'>, { text, values }: Sent): Promise<string> {
  const client = await pool.connect();
  try {
    const plans: string[] = [];
    for (const [option, given] of [
      ['COSTS OFF', values],
      ['COSTS OFF, GENERIC_PLAN', []],
    ] as const) {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`EXPLAIN (${option}) ${text}`, [
        ...given,
      ]);
      plans.push(...rows.map((row) => row['QUERY PLAN']));
    }
    return plans.join('\n');
  } finally {
    client.release();
  }
}
