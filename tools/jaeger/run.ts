import { type Jaeger, startJaeger } from '@tradewind/testing/jaeger';
import { runSingle } from '../start/single.ts';
import type { JaegerFlags } from './command-line.ts';

/** Runs a Jaeger until `signal` aborts: as `runSingle`. */
export async function runJaeger(
  { ports, maxTraces, dataDir }: JaegerFlags,
  say: (line: string) => void,
  signal: AbortSignal,
  onReady?: (jaeger: Jaeger) => void,
): Promise<void> {
  const host = '127.0.0.1';
  await runSingle(
    {
      title: 'Jaeger',
      dataDir,
      logFile: 'jaeger.log',
      ports: [
        { name: "Jaeger's API", port: ports.query, host, variable: '--port' },
        { name: "Jaeger's API by gRPC", port: ports.queryGrpc, host, variable: '--query-grpc' },
        { name: 'OTLP over HTTP', port: ports.otlpHttp, host, variable: '--otlp-http' },
        { name: 'OTLP over gRPC', port: ports.otlpGrpc, host, variable: '--otlp-grpc' },
        { name: "Jaeger's Thrift", port: ports.thrift, host, variable: '--thrift' },
      ],
      start: (folder, onSpawn) =>
        startJaeger({ ports, maxTraces, dataDir: folder, onProgress: say, onSpawn, signal }),
      onReady,
    },
    say,
    signal,
  );
}

/** What a person needs to know once it runs; the last line begins with `ready`. */
export function summary({ urls, maxTraces, pid }: Jaeger, dataDir: string, tookMs: number): string {
  const [query, otlpHttp, otlpGrpc, thrift] = [urls.query, urls.otlpHttp, urls.otlpGrpc, urls.thrift].map(
    (url) => url.replace('127.0.0.1', 'localhost'),
  );
  return [
    '',
    `  Jaeger      ${query}, without login: whoever reaches a port may do everything`,
    `  takes       OTLP by HTTP at ${otlpHttp}, by gRPC at ${otlpGrpc}; Jaeger's Thrift at ${thrift}`,
    `  traces      in its memory, the newest ${maxTraces.toLocaleString('en')}: they go with it`,
    `  log         ${dataDir}, jaeger.log in there; pid ${pid}`,
    '',
    'In another terminal:',
    `  OTEL_EXPORTER_OTLP_ENDPOINT=${otlpHttp} npm start`,
    `  curl ${query}/api/services`,
    `  curl ${query}/api/traces/<trace id>`,
    '',
    'It has no web page, for the Go module that it is built from holds none: what it shows there is a placeholder. Its API has everything,',
    "and any other Jaeger's page shows what the API gives, as a JSON file. The Jaeger of docker compose has the page.",
    'Ctrl-C ends it.',
    `ready after ${(tookMs / 1000).toFixed(1)} s`,
    '',
  ].join('\n');
}
