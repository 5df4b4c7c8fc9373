import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { readEnvironment } from '@tradewind/process/environment';
import { createLogger } from '@tradewind/telemetry/logger';
import { Metrics } from '@tradewind/telemetry/metrics';
import { openStatistics, type Statistics } from '../statistics/client.ts';
import { type Outcome, StatisticsMetrics } from '../statistics/metrics.ts';
import { statisticsSettings } from '../statistics/settings.ts';

/** A server in the function's place, which answers as it is told. */
export interface FakeFunction extends AsyncDisposable {
  readonly url: string;
  readonly server: Server;
  /** What was asked of it, in order. */
  readonly requests: readonly { readonly headers: IncomingHttpHeaders; readonly body: string }[];
  /** How it answers from now on; not at all when left out. */
  answer: ((response: ServerResponse, nth: number) => void) | undefined;
}

export const GOOD = '{"avg":4.75,"totalCount":4}';

/** Ends a response. */
export function say(status: number, body = ''): (response: ServerResponse) => void {
  return (response) => void response.writeHead(status, { 'content-type': 'application/json' }).end(body);
}

/** @param port a free one when left out */
export async function fakeFunction(answer?: FakeFunction['answer'], port = 0): Promise<FakeFunction> {
  const requests: { headers: IncomingHttpHeaders; body: string }[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    requests.push({ headers: request.headers, body: Buffer.concat(chunks).toString() });
    fake.answer?.(response, requests.length);
  });
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  const fake: FakeFunction = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    server,
    requests,
    answer,
    async [Symbol.asyncDispose]() {
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
  return fake;
}

export interface Asker extends AsyncDisposable {
  readonly statistics: Statistics;
  /** Messages, each with what was logged besides. */
  readonly lines: readonly string[];
  /** How many questions came to that end. */
  called(outcome: Outcome): Promise<number>;
  /** The value of a series; undefined when there is none. */
  metric(series: string): Promise<number | undefined>;
}

/** A client of the function at an address. Attempts take as long as they like, and pauses no time, unless the settings say otherwise. */
export function askerOf(url: string | undefined, settings: Record<string, string> = {}): Asker {
  const env = {
    RATINGS_LAMBDA_URL: url,
    STATISTICS_TIMEOUT: '20s',
    STATISTICS_ATTEMPT_TIMEOUT: '10s',
    STATISTICS_RETRY_BASE: '1ms',
    STATISTICS_BREAKER_REST: '1h',
    ...settings,
  };
  const metrics = new Metrics('test');
  const lines: string[] = [];
  const note = (about: unknown, message?: string) => void lines.push(`${message} ${JSON.stringify(about)}`);
  const logger = Object.assign(createLogger({ service: 'test', level: 'silent' }), {
    info: note,
    warn: note,
  });
  const config = readEnvironment(statisticsSettings, { env });
  const statistics = openStatistics({ config, metrics: metrics.of(StatisticsMetrics), logger });
  const metric = async (series: string) => {
    const [name = '', labels = ''] = series.split(/[{}]/);
    const line = (await metrics.text())
      .split('\n')
      .find(
        (line) => line.startsWith(`${name}{`) && labels.split(',').every((label) => line.includes(label)),
      );
    return line === undefined ? undefined : Number(line.split(' ').at(-1));
  };
  return {
    statistics,
    lines,
    metric,
    called: async (outcome) =>
      (await metric(`tradewind_statistics_calls_total{outcome="${outcome}"}`)) ?? Number.NaN,
    [Symbol.asyncDispose]: () => statistics[Symbol.asyncDispose](),
  };
}
