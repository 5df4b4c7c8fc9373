import { parseArgs } from 'node:util';
import { integer } from '@tradewind/process/settings';
import type { JaegerPorts } from '@tradewind/testing/jaeger/configuration';

/** A command line that is wrong; the message says what. */
export class UsageError extends Error {}

export interface JaegerFlags {
  readonly ports: JaegerPorts;
  readonly maxTraces: number;
  readonly dataDir: string;
  readonly buildOnly: boolean;
}

type Port = 'port' | 'query-grpc' | 'otlp-http' | 'otlp-grpc' | 'thrift';

export const USAGE = `npm run jaeger [-- options]: a real Jaeger on this machine, until Ctrl-C. Its traces are in its memory alone.

  --port N         its API, /api/traces/<trace id>; 16686 when left out
  --query-grpc N   the same by gRPC; 16685 when left out
  --otlp-http N    takes OTLP over HTTP; 4318 when left out
  --otlp-grpc N    takes OTLP over gRPC; 4317 when left out
  --thrift N       takes Jaeger's Thrift over HTTP; 14268 when left out
  --max-traces N   the newest are kept; 5000 when left out, of which each takes about 60 kB at thirty spans
  --data DIR       where its configuration and its log are kept; .tradewind/jaeger when left out
  --build-only     builds it, unless it is there, and ends
  --help           this text

The first start builds it from its Go module into TRADEWIND_CACHE, or ~/.cache/tradewind: several minutes, and it needs Go 1.21 or newer.
`;

/** Reads the command line, without the program's own name. `help` asks for the usage text instead. */
export function parseFlags(argv: readonly string[]): JaegerFlags | 'help' {
  let values: ReturnType<typeof parse>['values'];
  try {
    ({ values } = parse(argv));
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
  if (values.help) return 'help';
  const number = (flag: Port | 'max-traces', rule: ReturnType<typeof integer>) => {
    const value = rule.parse(values[flag]);
    if (value === undefined) throw new UsageError(`--${flag} must be ${rule.rule}, not "${values[flag]}"`);
    return value;
  };
  // A port that the system chooses would be another one at the next start, and clients would not find it again.
  const rule = { ...integer({ min: 1, max: 65_535 }), rule: 'a port, 1 to 65535' };
  return {
    ports: {
      query: number('port', rule),
      queryGrpc: number('query-grpc', rule),
      otlpHttp: number('otlp-http', rule),
      otlpGrpc: number('otlp-grpc', rule),
      thrift: number('thrift', rule),
    },
    // A search asks for a hundred, and Jaeger refuses more than it keeps.
    maxTraces: number('max-traces', integer({ min: 100, max: 10_000_000 })),
    dataDir: values.data,
    buildOnly: values['build-only'],
  };
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    options: {
      port: { type: 'string', default: '16686' },
      'query-grpc': { type: 'string', default: '16685' },
      'otlp-http': { type: 'string', default: '4318' },
      'otlp-grpc': { type: 'string', default: '4317' },
      thrift: { type: 'string', default: '14268' },
      'max-traces': { type: 'string', default: '5000' },
      data: { type: 'string', default: '.tradewind/jaeger' },
      'build-only': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false, short: 'h' },
    },
  });
}
