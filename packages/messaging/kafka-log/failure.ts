import { Code, ConnectError } from '@connectrpc/connect';
import { kafkajs } from './protocol.ts';

/** An error code that a broker answered. */
export class KafkaProblem extends Error {
  /** Kafka's name of it, such as `NOT_LEADER_FOR_PARTITION`. */
  readonly type: string;
  /** Whether it passes by itself. */
  readonly passing: boolean;

  constructor(code: number, about: string) {
    const { type, message, retriable } = kafkajs.createErrorFromCode(code);
    super(about === '' ? message : `${about}: ${message}`);
    this.name = 'KafkaProblem';
    this.type = type;
    this.passing = retriable || PASSING.has(type);
  }
}

/** What kafkajs does not try again and what passes nevertheless. */
const PASSING = new Set([
  'BROKER_NOT_AVAILABLE',
  'REPLICA_NOT_AVAILABLE',
  'CORRUPT_MESSAGE',
  'KAFKA_STORAGE_ERROR',
]);

/** @throws KafkaProblem when the code is one */
export function check(code: number | undefined, about = ''): void {
  if (code) throw new KafkaProblem(code, about);
}

/** The broker, or the way to it, is away: nobody answered. */
export class Away extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'Away';
  }
}

const CODES: Readonly<Record<string, Code>> = {
  UNKNOWN_TOPIC_OR_PARTITION: Code.NotFound,
  INVALID_TOPIC_EXCEPTION: Code.InvalidArgument,
  MESSAGE_TOO_LARGE: Code.OutOfRange,
  RECORD_LIST_TOO_LARGE: Code.OutOfRange,
  INVALID_RECORD: Code.InvalidArgument,
  INVALID_TIMESTAMP: Code.InvalidArgument,
  INVALID_PARTITIONS: Code.InvalidArgument,
  INVALID_CONFIG: Code.InvalidArgument,
  INVALID_GROUP_ID: Code.InvalidArgument,
  INVALID_REQUEST: Code.InvalidArgument,
  INVALID_SESSION_TIMEOUT: Code.FailedPrecondition,
  INVALID_REPLICATION_FACTOR: Code.FailedPrecondition,
  INCONSISTENT_GROUP_PROTOCOL: Code.FailedPrecondition,
  POLICY_VIOLATION: Code.FailedPrecondition,
  // Of one topic, so that it does not stop what goes to the others.
  TOPIC_AUTHORIZATION_FAILED: Code.FailedPrecondition,
  GROUP_AUTHORIZATION_FAILED: Code.PermissionDenied,
  CLUSTER_AUTHORIZATION_FAILED: Code.PermissionDenied,
  UNSUPPORTED_SASL_MECHANISM: Code.Unauthenticated,
  SASL_AUTHENTICATION_FAILED: Code.Unauthenticated,
};

/** What the port's callers read: canonical codes. `Unavailable`: it passes, or nobody knows what happened. */
export function understood(error: unknown): unknown {
  if (error instanceof ConnectError || !(error instanceof Error)) return error;
  const wrap = (code: Code, message: string) => new ConnectError(message, code, undefined, undefined, error);
  if (error instanceof KafkaProblem)
    return wrap(CODES[error.type] ?? (error.passing ? Code.Unavailable : Code.Unknown), error.message);
  if (error.name === 'KafkaJSSASLAuthenticationError') return wrap(Code.Unauthenticated, error.message);
  if (error instanceof Away || error.name.startsWith('KafkaJS'))
    return wrap(Code.Unavailable, `Kafka can't be reached: ${error.message}`);
  return error;
}

/** Whether doing the same again may work, with what is known of the cluster looked up anew. */
export function isPassing(error: unknown): boolean {
  if (error instanceof KafkaProblem) return error.passing;
  return error instanceof Away || (error instanceof ConnectError && error.code === Code.Unavailable);
}
