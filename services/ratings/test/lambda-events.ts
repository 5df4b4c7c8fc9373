import type { LambdaFunctionURLEvent } from 'aws-lambda';

/** An event as a function URL makes it: https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads */
export function postEvent(
  body: string | object | undefined,
  { headers = {}, ...more }: Partial<LambdaFunctionURLEvent> = {},
): LambdaFunctionURLEvent {
  return {
    version: '2.0',
    routeKey: '$default',
    rawPath: '/',
    rawQueryString: '',
    headers: { 'content-type': 'application/json', host: 'abc.lambda-url.eu-central-1.on.aws', ...headers },
    requestContext: requestContext('POST'),
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    isBase64Encoded: false,
    ...more,
  };
}

export function requestContext(method: string): LambdaFunctionURLEvent['requestContext'] {
  return {
    accountId: 'anonymous',
    apiId: 'abc',
    domainName: 'abc.lambda-url.eu-central-1.on.aws',
    domainPrefix: 'abc',
    http: { method, path: '/', protocol: 'HTTP/1.1', sourceIp: '203.0.113.7', userAgent: 'curl/8.10.1' },
    requestId: '84545120-9bda-41af-9b45-6bd9fb4503a6',
    routeKey: '$default',
    stage: '$default',
    time: '10/Apr/2026:13:30:05 +0000',
    timeEpoch: 1_775_827_805_529,
  };
}
