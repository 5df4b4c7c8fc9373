import { Code, type ConnectError } from '@connectrpc/connect';
import { toConnectError, violationsOf } from '@tradewind/rpc/failure';
import { codeName } from '@tradewind/rpc/metrics';
import type { Logger } from '@tradewind/telemetry/logger';
import { GraphQLError } from 'graphql';
import { isAsyncIterable, type Plugin } from 'graphql-yoga';

/** A failure of a neighbour, told beside what could be answered without it. */
export function neighbourFailure(service: string, error: unknown): GraphQLError {
  const { code } = toConnectError(error);
  const how = code === Code.DeadlineExceeded ? 'did not answer in time' : 'could not be reached';
  return new GraphQLError(`the ${service} service ${how}`, { extensions: { code: codeName(code), service } });
}

/** Every error leaves with `extensions.code`, a gRPC code's name, and nothing of what went on inside. */
export function tellFailures(logger: Logger): Plugin {
  return {
    onResultProcess({ result, setResult }) {
      if (Array.isArray(result)) setResult(result.map((each) => withTold(each, logger)));
      else if (!isAsyncIterable(result)) setResult(withTold(result, logger));
    },
  };
}

function withTold<Result extends { errors?: readonly GraphQLError[] }>(
  result: Result,
  logger: Logger,
): Result {
  return result.errors ? { ...result, errors: result.errors.map((error) => told(error, logger)) } : result;
}

function told(error: GraphQLError, logger: Logger): GraphQLError {
  const origin = originOf(error);
  if (origin === undefined) return refused(error);
  const failure = toConnectError(origin);
  if (failure.code === Code.Internal) logger.error({ err: origin }, 'a GraphQL request failed');
  return again(error, failure);
}

/** What was thrown, if it was not GraphQL's own complaint about the request. */
function originOf(error: GraphQLError): unknown {
  const { originalError } = error;
  // Whatever is wrong before anything runs is wrong with the request: `variables` in a URL that are no JSON, for one.
  if (originalError instanceof SyntaxError && !error.path) return undefined;
  return originalError instanceof GraphQLError ? originOf(originalError) : originalError;
}

function again(error: GraphQLError, failure: ConnectError): GraphQLError {
  const details = violationsOf(failure);
  return new GraphQLError(failure.rawMessage, {
    ...(error.nodes && { nodes: error.nodes }),
    ...(error.path && { path: error.path }),
    extensions: {
      code: codeName(failure.code),
      ...(details.length > 0 && { details }),
      ...(error.path ? {} : badRequest),
    },
  });
}

const badRequest = { http: { status: 400, spec: true } };
const own = new Set(Object.values(Code).flatMap((code) => (typeof code === 'number' ? codeName(code) : [])));

/** GraphQL's own complaints: syntax, unknown fields, wrong types, limits. */
function refused(error: GraphQLError): GraphQLError {
  const { code, service, http } = error.extensions;
  if (typeof code === 'string' && own.has(code)) {
    return rebuilt(error, {
      code,
      ...(service !== undefined && { service }),
      ...(http !== undefined && { http }),
    });
  }
  return rebuilt(error, {
    code: 'INVALID_ARGUMENT',
    ...(error.path ? {} : { http: http ?? badRequest.http }),
  });
}

function rebuilt(error: GraphQLError, extensions: Record<string, unknown>): GraphQLError {
  const { nodes, source, positions, path, message } = error;
  return new GraphQLError(message, {
    ...(nodes && { nodes }),
    ...(source && { source }),
    ...(positions && { positions }),
    ...(path && { path }),
    extensions,
  });
}
