import { Code } from '@connectrpc/connect';
import { toConnectError } from '@tradewind/rpc/failure';
import { codeName, Durations } from '@tradewind/rpc/metrics';
import type { Counter, Family, Histogram, Metrics } from '@tradewind/telemetry/metrics';
import { GraphQLError, getOperationAST } from 'graphql';
import { isAsyncIterable, type Plugin } from 'graphql-yoga';

type Resolver = (...args: never[]) => unknown;
type Fields = Readonly<Record<string, Resolver>>;

/** Counts GraphQL operations and what they ask for at the top. Fields below are parts of those, and calls of neighbours are counted as such. */
export class GraphqlMetrics {
  readonly #fields: Family<Histogram>;
  readonly #operations: Family<Histogram>;
  readonly #refused: Counter;

  constructor(metrics: Metrics) {
    this.#fields = metrics.histogram({
      name: 'tradewind_graphql_field_duration_seconds',
      help: 'Time of a top-level field of a GraphQL operation',
      labels: ['field', 'code'],
    });
    this.#operations = metrics.histogram({
      name: 'tradewind_graphql_operation_duration_seconds',
      help: 'Time that a GraphQL operation took to run; failed: some of its fields did',
      labels: ['type', 'outcome'],
    });
    this.#refused = metrics
      .counter({
        name: 'tradewind_graphql_refused_total',
        help: 'GraphQL operations refused before they ran',
      })
      .at();
  }

  /** The resolvers of a type, each measured. */
  measured<Type extends Fields>(type: string, fields: Type): Type {
    const entries = Object.entries(fields).map(([name, resolve]) => {
      const durations = new Durations(this.#fields, [`${type}.${name}`], codeName);
      return [name, async (...args: never[]) => await timed(durations, () => resolve(...args))] as const;
    });
    return Object.fromEntries(entries) as unknown as Type;
  }

  /** Counts operations as they run, and those that don't. */
  plugin(): Plugin {
    return {
      onExecute: ({ args: { document, operationName } }) => {
        const type = getOperationAST(document, operationName)?.operation ?? 'unknown';
        const began = performance.now();
        return {
          onExecuteDone: ({ result }) => {
            const outcome = !isAsyncIterable(result) && result.errors ? 'failed' : 'ok';
            this.#operations.at(type, outcome).observe((performance.now() - began) / 1_000);
          },
        };
      },
      onResultProcess: ({ result }) => {
        for (const one of [result].flat())
          if (!isAsyncIterable(one) && one.errors && one.data === undefined) this.#refused.add();
      },
    };
  }
}

async function timed<T>(durations: Durations, work: () => T): Promise<Awaited<T>> {
  const began = performance.now();
  const count = (code: number) => durations.observe(code, (performance.now() - began) / 1_000);
  try {
    const done = await work();
    count(0);
    return done;
  } catch (error) {
    // GraphQL's own complaints are about the request.
    count(error instanceof GraphQLError ? Code.InvalidArgument : toConnectError(error).code);
    throw error;
  }
}
