import { hash } from 'node:crypto';
import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { EntityManager, SchemaStep } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { problem } from '@tradewind/rpc/failure';
import type { Chore } from './housekeeping.ts';

/** The table of answered keys: put it among the steps of a schema whose calls take an Idempotency-Key. */
export const idempotencySteps: readonly SchemaStep[] = [
  {
    name: '0000-idempotency',
    up: [
      `CREATE TABLE idempotency_key (
        method text NOT NULL,
        key text NOT NULL,
        request_hash bytea NOT NULL,
        response bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (method, key)
      )`,
      `COMMENT ON TABLE idempotency_key IS 'Answers of calls that carried an Idempotency-Key, given again to whoever repeats one within 24 hours.'`,
      'CREATE INDEX idempotency_key_created_at ON idempotency_key USING brin (created_at) WITH (pages_per_range = 16, autosummarize = on)',
    ],
    down: ['DROP TABLE idempotency_key'],
  },
];

/** Forgets keys that nobody may repeat any more; put it among the service's chores. */
export const idempotencyChores: readonly Chore[] = [
  {
    name: 'idempotency keys',
    sql: `DELETE FROM idempotency_key WHERE ctid = ANY(ARRAY(
      SELECT ctid FROM idempotency_key WHERE created_at < now() - interval '25 hours' LIMIT $1))`,
  },
];

/** A caller's Idempotency-Key, and what it was given for. */
export interface IdempotencyKey {
  /** The method's full name, `tradewind.order.v1.OrderService/CreateOrder`: the same on every face. */
  readonly method: string;
  readonly key: string;
  /** SHA-256 of the decoded request, so that white space or the order of fields make no difference. */
  readonly requestHash: Uint8Array;
}

const PRINTABLE = /^[\x20-\x7e]{1,255}$/;

/**
 * The key that a call carries in its `idempotency-key` header, or undefined.
 * @throws ConnectError INVALID_ARGUMENT naming `Idempotency-Key` unless it is 1 to 255 printable ASCII characters
 */
export function idempotencyKey<I extends DescMessage>(
  method: DescMethodUnary<I>,
  request: MessageShape<I>,
  call: { header(name: string): string | undefined },
): IdempotencyKey | undefined {
  const key = call.header('idempotency-key');
  if (key === undefined) return undefined;
  if (!PRINTABLE.test(key)) throw problem('Idempotency-Key', 'must be 1 to 255 printable ASCII characters');
  const bytes = toBinary(method.input, request, { writeUnknownFields: false });
  return {
    method: `${method.parent.typeName}/${method.name}`,
    key,
    requestHash: hash('sha256', bytes, 'buffer'),
  };
}

// One order for everybody, so that two batches with the same keys wait for each other instead of deadlocking. A twin that is not
// committed yet is waited for; a key older than a day is nobody's any more.
const claimKeys = statement<{ key: string }>(`
  INSERT INTO idempotency_key (method, key, request_hash, response)
  SELECT $1, key, request_hash, response FROM unnest($2::text[], $3::bytea[], $4::bytea[]) AS claim (key, request_hash, response)
  ORDER BY key COLLATE "C"
  ON CONFLICT (method, key) DO UPDATE
    SET request_hash = excluded.request_hash, response = excluded.response, created_at = excluded.created_at
    WHERE idempotency_key.created_at < now() - interval '24 hours'
  RETURNING key`);

const findAnswers = statement<StoredAnswer>(
  'SELECT key, request_hash, response FROM idempotency_key WHERE method = $1 AND key = ANY($2::text[])',
);

const forgetKeys = statement('DELETE FROM idempotency_key WHERE method = $1 AND key = ANY($2::text[])');

const storeAnswer = statement('UPDATE idempotency_key SET response = $3 WHERE method = $1 AND key = $2');

interface StoredAnswer {
  readonly key: string;
  readonly request_hash: Uint8Array;
  readonly response: Uint8Array;
}

/** The answer that a call is to get, unless its key was answered before. */
export interface Proposed<O extends DescMessage> {
  readonly key: IdempotencyKey | undefined;
  readonly response: MessageShape<O>;
}

export interface Remembered<O extends DescMessage> {
  /** The proposed answer stands: write what it says, in this transaction. */
  readonly first: boolean;
  /** What the caller gets; ALREADY_EXISTS when the key was given for another request. */
  readonly answer: MessageShape<O> | ConnectError;
}

/**
 * Answers the calls of one method that share a transaction: proposed answers are stored under their keys, unless the key has an
 * answer already, from before or from earlier in the batch. A concurrent transaction with one of the keys is waited for.
 * @param proposed calls of one method, each sure to succeed: what fails is not remembered, so keep it out
 */
export async function remember<O extends DescMessage>(
  em: EntityManager,
  output: O,
  proposed: readonly Proposed<O>[],
): Promise<Remembered<O>[]> {
  const owners = new Map<string, Proposed<O> & { readonly key: IdempotencyKey }>();
  for (const { key, response } of proposed) {
    if (key && !owners.has(key.key)) owners.set(key.key, { key, response });
  }
  const stored = await claim(
    em,
    [...owners.values()].map(({ key, response }) => ({ ...key, response: toBinary(output, response) })),
  );
  return proposed.map((call) => {
    const { key, response } = call;
    if (!key) return { first: true, answer: response };
    const earlier = stored.get(key.key);
    if (earlier)
      return {
        first: false,
        answer: answerOf(key, earlier.request_hash, () => fromBinary(output, earlier.response)),
      };
    const owner = owners.get(key.key);
    if (!owner || owner.response === response) return { first: true, answer: response };
    return { first: false, answer: answerOf(key, owner.key.requestHash, () => owner.response) };
  });
}

/** Gives keys back that were taken in this transaction, for calls that failed after all: what fails is not remembered. */
export async function forget(
  em: EntityManager,
  keys: readonly (IdempotencyKey | undefined)[],
): Promise<void> {
  const given = keys.filter((key) => key !== undefined);
  const method = given[0]?.method;
  if (method !== undefined) await run(em, forgetKeys, [method, given.map(({ key }) => key)]);
}

/**
 * Does a call's work once for its key, within a transaction: a repeat gets the first answer and nothing is done; a twin in another
 * transaction is waited for. Work that fails takes the transaction and the key back with it.
 * @throws ConnectError ALREADY_EXISTS when the key was given for another request
 */
export async function once<O extends DescMessage>(
  em: EntityManager,
  key: IdempotencyKey | undefined,
  output: O,
  work: () => Promise<MessageInitShape<O>>,
): Promise<MessageShape<O>> {
  if (!key) return create(output, await work());
  const [earlier] = (await claim(em, [{ ...key, response: new Uint8Array() }])).values();
  if (earlier) {
    const answer = answerOf(key, earlier.request_hash, () => fromBinary(output, earlier.response));
    if (answer instanceof ConnectError) throw answer;
    return answer;
  }
  const response = create(output, await work());
  await run(em, storeAnswer, [key.method, key.key, toBinary(output, response)]);
  return response;
}

/** Takes the keys for this transaction; gives the answers of those that are taken already. */
async function claim(
  em: EntityManager,
  claims: readonly (IdempotencyKey & { readonly response: Uint8Array })[],
): Promise<Map<string, StoredAnswer>> {
  const method = claims[0]?.method;
  if (method === undefined) return new Map();
  const claimed = await run(em, claimKeys, [
    method,
    claims.map(({ key }) => key),
    claims.map(({ requestHash }) => requestHash),
    claims.map(({ response }) => response),
  ]);
  if (claimed.length === claims.length) return new Map();
  const mine = new Set(claimed.map(({ key }) => key));
  const taken = claims.flatMap(({ key }) => (mine.has(key) ? [] : key));
  const answers = await run(em, findAnswers, [method, taken]);
  // A key that was there a moment ago and is not now has just been forgotten: the same transaction may succeed at once.
  if (answers.length < taken.length)
    throw Object.assign(new Error('a key expired meanwhile'), { code: '40001' });
  return new Map(answers.map((answer) => [answer.key, answer]));
}

function answerOf<Answer>(
  { key, requestHash }: IdempotencyKey,
  hashBefore: Uint8Array,
  answer: () => Answer,
): Answer | ConnectError {
  if (Buffer.compare(requestHash, hashBefore) === 0) return answer();
  return new ConnectError(
    `the Idempotency-Key ${JSON.stringify(key)} was used for another request`,
    Code.AlreadyExists,
  );
}
