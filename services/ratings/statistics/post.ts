import { errorType } from '@tradewind/telemetry/span';
import { Pool } from 'undici';
import { Failure, type RatingStatistics, readAnswer, refusal } from './answer.ts';

/** Asks one function, on connections that are kept. Never rejects; ends early when the signal aborts. */
export interface Post extends AsyncDisposable {
  (
    question: string,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<RatingStatistics | Failure>;
}

/** More in flight than that wait for their turn. */
const CONNECTIONS = 64;
/** An answer has a few dozen. */
const ANSWER_BYTES = 16 * 1024;

/** @param connectMs how long a connection may take to be made */
export function openPost(url: URL, connectMs: number): Post {
  // Not fetch, which takes four times the processor time.
  const pool = new Pool(url.origin, {
    connections: CONNECTIONS,
    maxResponseSize: ANSWER_BYTES,
    allowH2: false,
    connect: { timeout: connectMs },
    // The signal does it for all of it, to the millisecond.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
  const path = `${url.pathname}${url.search}`;
  const own = { 'content-type': 'application/json', accept: 'application/json', ...authorization(url) };
  const post = async (question: string, headers: Readonly<Record<string, string>>, signal: AbortSignal) => {
    try {
      const { statusCode, body } = await pool.request({
        path,
        method: 'POST',
        headers: { ...own, ...headers },
        body: question,
        signal,
      });
      if (statusCode === 200) return readAnswer(await body.text());
      // What is not read would keep its connection.
      await body.dump();
      return refusal(statusCode);
    } catch (error) {
      const type = errorType(error);
      return new Failure(type === 'UND_ERR_RES_EXCEEDED_MAX_SIZE' ? 'wrong' : 'unreachable', type);
    }
  };
  return Object.assign(post, { [Symbol.asyncDispose]: () => pool.destroy() });
}

/** What the address says of who asks belongs into a header. */
function authorization({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const who = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(who).toString('base64')}` };
}
