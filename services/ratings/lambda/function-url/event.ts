import { isUtf8 } from 'node:buffer';
import type { IncomingMessage } from 'node:http';

/** What a function URL makes of a request: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads */
export interface FunctionUrlEvent {
  version: '2.0';
  routeKey: '$default';
  rawPath: string;
  rawQueryString: string;
  /** Left out when there are none, as is everything optional. */
  cookies?: string[];
  /** Names in lower case, several values joined by commas, without cookies. */
  headers: Record<string, string>;
  queryStringParameters?: Record<string, string>;
  requestContext: {
    accountId: string;
    apiId: string;
    domainName: string;
    domainPrefix: string;
    http: { method: string; path: string; protocol: string; sourceIp: string; userAgent: string };
    requestId: string;
    routeKey: '$default';
    stage: '$default';
    /** `10/Apr/2026:13:30:05 +0000` */
    time: string;
    /** Milliseconds since 1970. */
    timeEpoch: number;
  };
  body?: string;
  isBase64Encoded: boolean;
}

export interface Received {
  readonly requestId: string;
  readonly at: Date;
  readonly body: Buffer;
}

/** These concern the connection, which the function does not see. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** The event of a request. */
export function eventOf(request: IncomingMessage, { requestId, at, body }: Received): FunctionUrlEvent {
  const [rawPath, rawQueryString] = targetOf(request.url ?? '/');
  const cookies = request.headersDistinct.cookie?.flatMap((line) => line.split(/; */)) ?? [];
  const headers = headersOf(request, requestId, at);
  const domainName = (headers.host ?? '').replace(/:\d+$/, '');
  const [domainPrefix = ''] = domainName.split('.');
  const isText = body.length > 0 && isTextual(headers) && isUtf8(body);
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath,
    rawQueryString,
    ...(cookies.length > 0 && { cookies }),
    headers,
    ...(rawQueryString !== '' && { queryStringParameters: parametersOf(rawQueryString) }),
    requestContext: {
      accountId: 'anonymous',
      apiId: domainPrefix,
      domainName,
      domainPrefix,
      http: {
        method: request.method ?? '',
        path: rawPath,
        protocol: `HTTP/${request.httpVersion}`,
        sourceIp: sourceIp(request),
        userAgent: headers['user-agent'] ?? '',
      },
      requestId,
      routeKey: '$default',
      stage: '$default',
      time: clfTime(at),
      timeEpoch: at.getTime(),
    },
    ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
    isBase64Encoded: body.length > 0 && !isText,
  };
}

/** Path and query, both as they were sent. */
function targetOf(url: string): [path: string, query: string] {
  // A request to a proxy names the whole address.
  const target = url.startsWith('/') ? url : URL.canParse(url) ? url.replace(/^\w+:\/\/[^/?]*/, '') : '/';
  const [path = '', ...query] = target.split('?');
  return [path || '/', query.join('?')];
}

function headersOf(request: IncomingMessage, requestId: string, at: Date): Record<string, string> {
  const given = Object.entries(request.headersDistinct).flatMap(([name, values = []]) =>
    HOP_BY_HOP.has(name) || name === 'cookie' ? [] : [[name, values.join(',')] as const],
  );
  const headers = Object.fromEntries(given);
  const random = requestId.replaceAll('-', '').slice(0, 24);
  const seconds = Math.floor(at.getTime() / 1_000).toString(16);
  return {
    'x-amzn-trace-id': `Root=1-${seconds}-${random}`,
    ...headers,
    'x-forwarded-for': [headers['x-forwarded-for'], sourceIp(request)].filter(Boolean).join(', '),
    'x-forwarded-port': String(request.socket.localPort),
    'x-forwarded-proto': 'http',
  };
}

/** An IPv4 address on a socket for both kinds is shown as what it is. */
function sourceIp({ socket }: IncomingMessage): string {
  return (socket.remoteAddress ?? '').replace(/^::ffff:/, '');
}

/** Several values of one name are joined by commas. */
function parametersOf(query: string): Record<string, string> {
  const all = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    const before = all.get(name);
    all.set(name, before === undefined ? value : `${before},${value}`);
  }
  return Object.fromEntries(all);
}

function isTextual({
  'content-type': type = '',
  'content-encoding': encoding,
}: Record<string, string>): boolean {
  return (
    encoding === undefined &&
    /^(?:text\/|application\/(?:(?:[\w.-]+\+)?(?:json|xml)|javascript)\s*(?:;|$))/i.test(type)
  );
}

function clfTime(at: Date): string {
  const two = (number: number) => String(number).padStart(2, '0');
  const date = `${two(at.getUTCDate())}/${MONTHS[at.getUTCMonth()]}/${at.getUTCFullYear()}`;
  return `${date}:${at.toISOString().slice(11, 19)} +0000`;
}
