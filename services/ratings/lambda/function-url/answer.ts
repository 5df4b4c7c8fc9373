/** What an HTTP client gets. */
export interface HttpAnswer {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string | string[]>>;
  /** A text where it can be one: that is sent together with its headers. */
  readonly body: string | Buffer;
}

/** What can't be an answer of a function. */
export class BadAnswer extends Error {}

/** The platform's own: the length of what is sent, and how it is. */
const NOT_THE_FUNCTIONS = new Set(['connection', 'content-length', 'keep-alive', 'transfer-encoding']);

/**
 * What a function URL makes of a function's result: with a `statusCode` that answer, without one 200 and the result as JSON.
 * https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-response-payload
 * @param result as it comes out of JSON
 * @throws BadAnswer
 */
export function httpAnswer(result: unknown): HttpAnswer {
  if (!isObject(result) || result.statusCode === undefined)
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(result),
    };
  const { statusCode, headers = {}, cookies = [], body = '', isBase64Encoded = false } = result;
  const status = Number(statusCode);
  if (!Number.isInteger(status) || status < 200 || status > 599)
    throw new BadAnswer(`statusCode must be from 200 to 599, not ${JSON.stringify(statusCode)}`);
  if (body !== null && typeof body !== 'string') throw new BadAnswer('body must be a text');
  if (!Array.isArray(cookies)) throw new BadAnswer('cookies must be a list');
  return {
    status,
    headers: {
      'content-type': 'application/json',
      ...headersOf(headers),
      ...(cookies.length > 0 && { 'set-cookie': cookies.map(String) }),
    },
    body: isBase64Encoded === true ? Buffer.from(body ?? '', 'base64') : (body ?? ''),
  };
}

function headersOf(headers: unknown): Record<string, string> {
  if (headers === null) return {};
  if (!isObject(headers)) throw new BadAnswer('headers must be an object');
  const entries = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const);
  const wrong = entries.find(([, value]) => !['string', 'number', 'boolean'].includes(typeof value));
  if (wrong) throw new BadAnswer(`header ${wrong[0]} must be a text`);
  return Object.fromEntries(
    entries.filter(([name]) => !NOT_THE_FUNCTIONS.has(name)).map(([name, value]) => [name, String(value)]),
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
