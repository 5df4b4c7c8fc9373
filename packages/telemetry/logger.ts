import { trace } from '@opentelemetry/api';
import { destination, type Logger as PinoLogger, pino, stdTimeFunctions } from 'pino';
import { maskRows, maskText } from './mask.ts';

export { maskText, maskUrl } from './mask.ts';

/** pino's logger: `logger.info({ orderId }, 'order created')`, `logger.child({ topic })`. */
export type Logger = PinoLogger;

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LoggerOptions {
  /** Name on every line. */
  readonly service: string;
  readonly version?: string;
  /** `info` when left out. */
  readonly level?: LogLevel;
  /** A file (appended to) or a file descriptor; standard output when left out. */
  readonly destination?: string | number;
}

const SECRETS = [
  'password',
  '*.password',
  'headers.authorization',
  'headers.cookie',
  '*.headers.authorization',
  '*.headers.cookie',
];

/**
 * A logger that writes one JSON object a line without making its caller wait; what is buffered is written when the process exits.
 * Secrets by name, passwords in connection strings, and rows that a database quotes never leave it, whoever logged them.
 */
export function createLogger({
  service,
  version,
  level = 'info',
  destination: dest = 1,
}: LoggerOptions): Logger {
  const stream = destination({ dest, sync: false });
  // A full disk or a reader that left costs log lines, not the process.
  stream.on('error', () => undefined);
  return pino(
    {
      level,
      base: { service, ...(version === undefined ? {} : { version }), pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS, censor: '***' },
      mixin: traceIds,
      hooks: { streamWrite: (line) => maskRows(maskText(line)) },
    },
    stream,
  );
}

/** Writes what is buffered. Resolves when it is on the way out, whether that worked or not. */
export async function flushLogger(logger: Logger): Promise<void> {
  await new Promise<void>((resolve) => {
    // A destination that can't be written never calls back.
    const late = setTimeout(resolve, 500);
    logger.flush(() => {
      clearTimeout(late);
      resolve();
    });
  });
}

/** Names the trace that a line belongs to, where there is one. A new object each time, for pino writes the line's own fields into it. */
function traceIds(): object {
  const span = trace.getActiveSpan()?.spanContext();
  return span ? { trace_id: span.traceId, span_id: span.spanId } : {};
}
