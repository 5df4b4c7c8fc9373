import { STATUS_CODES } from 'node:http';
import { Code, ConnectError } from '@connectrpc/connect';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { type FieldViolation, toConnectError, violationsOf } from './failure.ts';
import { requestSpan } from './request-span.ts';

/** What a REST client gets for every failure. `details` may be empty. */
export type ErrorBody = {
  status: number;
  message: string;
  details: FieldViolation[];
  /** Of the request, where it got so far as to be one. */
  trace_id?: string;
};

const statusOfCode: Record<Code, number> = {
  [Code.Canceled]: 499,
  [Code.Unknown]: 500,
  [Code.InvalidArgument]: 400,
  [Code.DeadlineExceeded]: 504,
  [Code.NotFound]: 404,
  [Code.AlreadyExists]: 409,
  [Code.PermissionDenied]: 403,
  [Code.ResourceExhausted]: 429,
  [Code.FailedPrecondition]: 409,
  [Code.Aborted]: 409,
  [Code.OutOfRange]: 400,
  [Code.Unimplemented]: 501,
  [Code.Internal]: 500,
  [Code.Unavailable]: 503,
  [Code.DataLoss]: 500,
  [Code.Unauthenticated]: 401,
};

const invalidData = 'There is some problem with the data you submitted.';

/** Anything that a route can throw, as the contract's error shape. */
export function errorBody(error: unknown): ErrorBody {
  if (!(error instanceof ConnectError) && isFastifyError(error)) return fastifyErrorBody(error);
  const failure = toConnectError(error);
  const details = violationsOf(failure);
  const message = details.length > 0 ? invalidData : failure.rawMessage;
  return { status: statusOfCode[failure.code] ?? 500, message, details };
}

/** Answers with an error; 429 and 503 say when to try again. */
export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const body = { ...errorBody(error), ...traceIdOf(request) };
  if (body.status >= 500)
    request.log.error({ err: error, request_id: request.id, ...traceIdOf(request) }, 'request failed');
  if (body.status === 429 || body.status === 503) {
    const after = error instanceof ConnectError ? error.metadata.get('retry-after') : null;
    void reply.header('retry-after', after ?? '1');
  }
  return reply.code(body.status).type('application/json; charset=utf-8').send(JSON.stringify(body));
}

/** The trace of a request, by which its spans and log lines are found. */
export function traceIdOf(request: FastifyRequest): { trace_id?: string } {
  const span = requestSpan(request);
  return span ? { trace_id: span.context.traceId } : {};
}

/** The same shape, as JSON, for what has no words of its own. */
export function errorBodyOf(status: number): string {
  return JSON.stringify({
    status,
    message: STATUS_CODES[status] ?? 'Error',
    details: [],
  } satisfies ErrorBody);
}

/** The same shape for what never became a request. */
export function rawError(status: number): string {
  const message = STATUS_CODES[status] ?? 'Error';
  const body = errorBodyOf(status);
  return (
    `HTTP/1.1 ${status} ${message}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  );
}

function isFastifyError(error: unknown): error is FastifyError {
  if (!(error instanceof Error)) return false;
  const { validation, statusCode } = error as FastifyError;
  return (
    validation !== undefined || (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
  );
}

function fastifyErrorBody({ validation, statusCode = 400, message }: FastifyError): ErrorBody {
  if (validation === undefined) return { status: statusCode, message, details: [] };
  const details = validation.slice(0, 100).map((each) => {
    const missing = each.keyword === 'required' ? String(each.params.missingProperty) : undefined;
    const field = [fieldPath(each.instancePath), missing].filter(Boolean).join('.');
    return { field, error: missing === undefined ? (each.message ?? 'is not valid') : 'is required' };
  });
  return { status: 400, message: invalidData, details };
}

/** `/lines/0/quantity` as `lines[0].quantity`. */
function fieldPath(pointer: string): string {
  return pointer
    .slice(1)
    .replace(/\/(\d+)/g, '[$1]')
    .replaceAll('/', '.');
}
