import { Code, ConnectError } from '@connectrpc/connect';
import { Pool } from 'undici';
import type { Opinion, Wish } from './expected-ratings.ts';
import type { RatingEntry } from './ratings-books.ts';
import { failureOf, parseJson } from './rest-answer.ts';
import { aboutOf } from './subjects.ts';

/**
 * A client that rates by REST. Each call is one attempt under an idempotency key, and throws a ConnectError whose code says whether to try
 * again; DATA_LOSS for an answer that is not what was asked for.
 */
export interface Rater extends AsyncDisposable {
  give(key: string, wish: Wish): Promise<RatingEntry>;
  change(key: string, rating: RatingEntry, to: Opinion): Promise<RatingEntry>;
  /** Makes somebody known; gives the id. */
  know(key: string, whom: 'customers' | 'service-providers', name: string): Promise<string>;
}

export interface RaterOptions {
  readonly ratingsUrl: string;
  /** Requests under way at once. */
  readonly clients: number;
  readonly attemptMs: number;
}

export function createRater({ ratingsUrl, clients, attemptMs }: RaterOptions): Rater {
  const { origin, pathname } = new URL(ratingsUrl);
  const base = pathname.replace(/\/$/, '');
  const pool = new Pool(origin, {
    connections: clients,
    connectTimeout: attemptMs,
    headersTimeout: attemptMs,
    bodyTimeout: attemptMs,
    allowH2: false,
  });
  const send: Send = async (key, { method = 'POST', path, body, status = 201 }) => {
    const headers = { 'content-type': 'application/json', 'idempotency-key': key };
    const options = { method, path: `${base}${path}`, headers, body: JSON.stringify(body) };
    const answer = await pool
      .request(options)
      .then(async (response) => ({ ...response, text: await response.body.text() }))
      .catch((error: unknown) => {
        throw new ConnectError(String(error), Code.Unavailable, undefined, undefined, error);
      });
    if (answer.statusCode !== status) throw failureOf(answer.statusCode, answer.headers, answer.text);
    return parseJson(answer.text) as Readonly<Record<string, unknown>> | undefined;
  };
  return {
    give: (key, wish) => give(send, key, wish),
    change: (key, rating, to) => change(send, key, rating, to),
    async know(key, whom, name) {
      const email = `${name}@example.com`;
      const answer = await send(key, { path: `/v1/${whom}`, body: { name, email } });
      if (typeof answer?.id !== 'string' || answer.name !== name || answer.email !== email)
        throw strange('somebody else', answer);
      return answer.id;
    },
    async [Symbol.asyncDispose]() {
      await pool.destroy();
    },
  };
}

interface Sent {
  readonly method?: 'POST' | 'PUT';
  readonly path: string;
  readonly body: object;
  /** The only one that is right. */
  readonly status?: number;
}
type Send = (key: string, sent: Sent) => Promise<Readonly<Record<string, unknown>> | undefined>;

async function give(send: Send, key: string, wish: Wish): Promise<RatingEntry> {
  const { subject, customerId, value, comment } = wish;
  const about = aboutOf(subject);
  if (about.case === 'talkId') {
    const answer = await send(key, { path: '/ratings', body: { talkId: subject, value } });
    if (typeof answer?.id !== 'string' || answer.talkId !== subject || answer.value !== value)
      throw strange('another rating', answer);
    return { ...wish, id: answer.id, revision: 1 };
  }
  const rating = { customerId, rating: value, comment };
  const answer =
    about.case === 'productId'
      ? await send(key, { path: `/v1/products/${about.value}/ratings`, body: rating })
      : await send(key, { path: '/v1/ratings', body: { ...rating, serviceProviderId: about.value } });
  return checked({ ...wish, id: String(answer?.id), revision: 1 }, answer);
}

async function change(send: Send, key: string, rating: RatingEntry, to: Opinion): Promise<RatingEntry> {
  const { value, comment } = to;
  const sent = { method: 'PUT', path: `/v1/ratings/${rating.id}`, status: 200 } as const;
  const answer = await send(key, { ...sent, body: { rating: value, comment } });
  const news = value !== rating.value || comment !== rating.comment;
  return checked({ ...rating, value, comment, revision: rating.revision + (news ? 1 : 0) }, answer);
}

/** @throws ConnectError DATA_LOSS when the answer shows another one */
function checked(rating: RatingEntry, answer: Readonly<Record<string, unknown>> | undefined): RatingEntry {
  const { id, subject, customerId, value, comment, revision } = rating;
  const about = aboutOf(subject);
  const right: Readonly<Record<string, unknown>> = {
    id,
    [about.case]: about.value,
    customerId,
    rating: value,
    comment,
    revision,
  };
  if (!answer || Object.entries(right).some(([name, part]) => answer[name] !== part))
    throw strange('another rating', answer);
  return rating;
}

function strange(what: string, answer: unknown): ConnectError {
  return new ConnectError(
    `the answer shows ${what}: ${JSON.stringify(answer)?.slice(0, 300)}`,
    Code.DataLoss,
  );
}
