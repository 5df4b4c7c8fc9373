import { readHistogram, statisticsOf, type Violation } from './histogram.ts';

/** What is read of a function URL's event, payload format 2.0. */
export interface StatisticsEvent {
  readonly requestContext?:
    | { readonly http?: { readonly method?: string | undefined } | undefined }
    | undefined;
  /** Names in lower case. */
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  readonly body?: string | undefined;
  readonly isBase64Encoded?: boolean | undefined;
}

export interface StatisticsAnswer {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON. */
  readonly body: string;
}

const MEDIA_TYPE = 'application/json; charset=utf-8';
/** Far more than a histogram needs; a function URL itself takes 6 MB. */
const BODY_BYTES = 1024 * 1024;
const BAD_DATA = 'There is some problem with the data you submitted.';

/**
 * The statistics of ratings, as an AWS Lambda behind a function URL: `{"ratings": {"1": 20, …, "5": 60}}` → `{"avg": 3.5, "totalCount": 210}`.
 * What can't be right is answered in the shape of all REST errors; nothing that a client sends makes it fail.
 */
export const handler = async (event: StatisticsEvent): Promise<StatisticsAnswer> => {
  try {
    const counts = readHistogram(jsonOf(event));
    if ('violations' in counts) throw new Refusal(400, BAD_DATA, { details: counts.violations });
    return answer(200, statisticsOf(counts));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const { statusCode, message, details, headers } = error;
    return answer(statusCode, { status: statusCode, message, details }, headers);
  }
};

/** What the client did wrong. */
class Refusal extends Error {
  readonly statusCode: number;
  readonly details: readonly Violation[];
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    statusCode: number,
    message: string,
    { details = [], headers = {} }: Partial<Pick<Refusal, 'details' | 'headers'>> = {},
  ) {
    super(message);
    this.statusCode = statusCode;
    this.details = details;
    this.headers = headers;
  }
}

function answer(
  statusCode: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): StatisticsAnswer {
  return { statusCode, headers: { 'content-type': MEDIA_TYPE, ...headers }, body: JSON.stringify(body) };
}

function jsonOf(event: StatisticsEvent): unknown {
  const method = event?.requestContext?.http?.method;
  if (method === undefined) throw new Refusal(400, 'This is not the event of a function URL.');
  if (method !== 'POST')
    throw new Refusal(405, `There is no ${method} here.`, { headers: { allow: 'POST' } });
  checkMediaType(event.headers ?? {});
  const text = textOf(event);
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'The body is not valid JSON.');
  }
}

/** A body without a type is taken for what it must be. */
function checkMediaType(headers: Readonly<Record<string, string | undefined>>): void {
  const { 'content-type': contentType = MEDIA_TYPE, 'content-encoding': encoding = 'identity' } = headers;
  const [type = '', ...parameters] = contentType.split(';').map((part) => part.trim().toLowerCase());
  const charset = parameters.find((part) => part.startsWith('charset='))?.slice('charset='.length);
  if (!/^application\/(?:[\w.-]+\+)?json$/.test(type))
    throw new Refusal(415, 'The body must be application/json.', { headers: { accept: 'application/json' } });
  if (charset !== undefined && !/^"?(?:utf-?8|us-ascii)"?$/.test(charset))
    throw new Refusal(415, 'The body must be UTF-8.');
  if (encoding.trim().toLowerCase() !== 'identity')
    throw new Refusal(415, 'The body must not be compressed.', {
      headers: { 'accept-encoding': 'identity' },
    });
}

function textOf({ body, isBase64Encoded = false }: StatisticsEvent): string {
  if (!body) throw new Refusal(400, 'The body is missing.');
  if (Buffer.byteLength(body, isBase64Encoded ? 'base64' : 'utf8') > BODY_BYTES)
    throw new Refusal(413, `The body must have at most ${BODY_BYTES} bytes.`);
  if (!isBase64Encoded) return body;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(body, 'base64'));
  } catch {
    throw new Refusal(400, 'The body is not UTF-8.');
  }
}
