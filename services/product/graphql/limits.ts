import { maxAliasesPlugin } from '@escape.tech/graphql-armor-max-aliases';
import { maxDepthPlugin } from '@escape.tech/graphql-armor-max-depth';
import { maxDirectivesPlugin } from '@escape.tech/graphql-armor-max-directives';
import { maxTokensPlugin } from '@escape.tech/graphql-armor-max-tokens';
import { type DocumentNode, type GraphQLError, getOperationAST, Kind, type ValidationContext } from 'graphql';
import { type ComplexityEstimatorArgs, getComplexity } from 'graphql-query-complexity';
import type { Plugin } from 'graphql-yoga';
import type { Door } from './door.ts';

/** What one request may ask for. Introspection is free of the depth limit; graphql-js bounds its nesting itself. */
export const LIMITS = {
  depth: 8,
  aliases: 30,
  directives: 30,
  tokens: 2_000,
  /** Operations in one HTTP request. */
  batch: 10,
  /** Of all operations together: one for each field, times the products that a list may have. */
  cost: 50_000,
} as const;

const told = {
  propagateOnRejection: false,
  // As an entry among the other validation errors, instead of an exception in their midst.
  onReject: [(context: ValidationContext | null, error: GraphQLError) => context?.reportError(error)],
};

/** Refuses what asks for too much before any of it runs. */
export function limits(): (Plugin | Plugin<{ door: Door }>)[] {
  return [
    maxTokensPlugin({ n: LIMITS.tokens }) as Plugin,
    maxDepthPlugin({ n: LIMITS.depth, ...told }) as Plugin,
    maxAliasesPlugin({ n: LIMITS.aliases, ...told }) as Plugin,
    maxDirectivesPlugin({ n: LIMITS.directives, ...told }) as Plugin,
    {
      // Here and not among the validation rules: those know no variables, and their findings are remembered by document.
      onExecute({ args: { schema, document, operationName, variableValues, contextValue } }) {
        const query = selected(document, operationName);
        if (!query) return;
        const cost = getComplexity({
          schema,
          query,
          variables: variableValues ?? {},
          estimators: [estimate],
        });
        contextValue.door.spend(cost);
      },
    } satisfies Plugin<{ door: Door }>,
  ];
}

function estimate({ args, childComplexity, type, field }: ComplexityEstimatorArgs): number {
  const first = args.first as unknown;
  const isList =
    type.name === 'Query' && typeof first === 'number' && field.args.some(({ name }) => name === 'first');
  return 1 + childComplexity * (isList ? Math.max(1, first) : 1);
}

/** The document without the operations that are not to run. */
function selected(
  document: DocumentNode,
  operationName: string | null | undefined,
): DocumentNode | undefined {
  const operation = getOperationAST(document, operationName);
  if (!operation) return undefined;
  const definitions = document.definitions.filter(
    (definition) => definition === operation || definition.kind !== Kind.OPERATION_DEFINITION,
  );
  return { ...document, definitions };
}
