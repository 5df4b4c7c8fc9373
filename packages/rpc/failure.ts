import { create } from '@bufbuild/protobuf';
import { isFieldError } from '@bufbuild/protobuf/reflect';
import { Code, ConnectError } from '@connectrpc/connect';
import { BadRequestSchema } from '@tradewind/contracts/third-party/google/rpc/error_details';
import { failureKind } from '@tradewind/database/failure';

/** One thing that is wrong with a request: where (`lines[0].quantity`) and why. */
export type FieldViolation = { field: string; error: string };

/** Violations told in one answer; the rest would only make it longer. */
const maxViolations = 100;

/** INVALID_ARGUMENT, or another code, with `google.rpc.BadRequest` details; the message is the first violation. */
export function badRequest(violations: readonly FieldViolation[], code = Code.InvalidArgument): ConnectError {
  const told = violations.slice(0, maxViolations);
  const first = told[0];
  const details = create(BadRequestSchema, {
    fieldViolations: told.map(({ field, error }) => ({ field, description: error })),
  });
  const message = first
    ? `${first.field ? `${first.field}: ` : ''}${first.error}`
    : 'the request is not valid';
  return new ConnectError(message, code, undefined, [{ desc: BadRequestSchema, value: details }]);
}

/** INVALID_ARGUMENT, or another code, for one field. */
export function problem(field: string, error: string, code?: Code): ConnectError {
  return badRequest([{ field, error }], code);
}

/**
 * INVALID_ARGUMENT for a request that a decoder stumbled over. Its message names the field and holds nothing but what the
 * caller sent.
 */
export function undecodable(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  const message = error instanceof Error ? error.message : 'the request is not decodable';
  for (const cause of causes(error)) {
    if (isFieldError(cause)) return problem(cause.field().name, cause.message);
  }
  return new ConnectError(message, Code.InvalidArgument);
}

/** The field violations that an error carries, in order. */
export function violationsOf(error: ConnectError): FieldViolation[] {
  return error
    .findDetails(BadRequestSchema)
    .flatMap((detail) => detail.fieldViolations)
    .map(({ field, description }) => ({ field, error: description }));
}

/** The same error with other field names, for a face that names fields differently; anything else as it is. */
export function renameFields(error: unknown, names: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof ConnectError)) return error;
  const violations = violationsOf(error);
  if (violations.length === 0) return error;
  return badRequest(
    violations.map(({ field, error: text }) => ({ field: names[field] ?? field, error: text })),
    error.code,
  );
}

function* causes(error: unknown): Generator<Error> {
  let current = error;
  for (let depth = 0; depth < 5 && current instanceof Error; depth += 1) {
    yield current;
    current = current instanceof AggregateError ? current.errors[0] : current.cause;
  }
}

/**
 * What the caller is told of an error. ConnectErrors are kept as they are; a dependency that is away is UNAVAILABLE; an
 * abort is CANCELED, a timeout DEADLINE_EXCEEDED; anything else is INTERNAL with no word of what it was (`cause` has it).
 */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return wellFormed(error);
  for (const cause of causes(error)) {
    if (cause instanceof ConnectError) return wellFormed(cause);
    if (failureKind(cause) !== 'other') {
      return new ConnectError(
        'a dependency is away, try again later',
        Code.Unavailable,
        undefined,
        undefined,
        error,
      );
    }
    if (cause.name === 'TimeoutError') return new ConnectError('deadline exceeded', Code.DeadlineExceeded);
    if (cause.name === 'AbortError') return new ConnectError('canceled', Code.Canceled);
  }
  return new ConnectError('internal error', Code.Internal, undefined, undefined, error);
}

/** Half a surrogate pair, as from text cut in the middle, can't be sent. */
function wellFormed(error: ConnectError): ConnectError {
  if (error.rawMessage.isWellFormed()) return error;
  const { rawMessage, code, metadata, cause } = error;
  const copy = new ConnectError(rawMessage.toWellFormed(), code, metadata, undefined, cause);
  copy.details = error.details;
  return copy;
}
