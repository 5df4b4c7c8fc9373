import { type Logger, symbols } from 'pino';

/** What differs from one line to the next. `requestId` and `peer` must need no escaping in JSON. */
export type AccessLine = {
  durationMs: number;
  requestId: string;
  peer: string;
  traceId: string;
  spanId: string;
};

/** Writes the line of one call that succeeded. */
export type WriteLine = (line: AccessLine) => void;

/** Text kept back at most, in characters and milliseconds: a write costs as much as thirty lines. */
const maxKept = 16_000;
const keptMs = 100;

// pino's own parts, which it offers for integrations like this one.
type Inside = {
  [symbols.asJsonSym](line: object, message: undefined, level: number, time: string): string;
  [symbols.timeSym](): string;
  [symbols.streamSym]: { write(text: string): void };
};

/**
 * The access log: lines as the logger writes them, of which all but three values is made once by the logger itself. A
 * line through the logger would cost half as much as the rest of a small call.
 */
export class AccessLog {
  readonly #logger: Logger & Inside;
  #kept = '';
  #timer: NodeJS.Timeout | undefined;
  #time = '';
  #timeOf = 0;

  constructor(logger: Logger) {
    this.#logger = logger as Logger & Inside;
  }

  /** A writer of lines that have `fixed` in common. */
  writer(fixed: object): WriteLine {
    // Nothing in these lines needs redacting.
    const child = this.#logger.child(fixed, { redact: [] }) as Logger & Inside;
    const [head, afterTime, afterDuration, afterId, afterPeer, afterTrace, tail] = template(child);
    // The logger's own way to the trace's ids is not asked: the line has them.
    return ({ durationMs, requestId, peer, traceId, spanId }) => {
      if (!child.isLevelEnabled('info')) return;
      this.#keep(
        `${head}${this.#now()}${afterTime}${durationMs}${afterDuration}${requestId}${afterId}${peer}${afterPeer}${traceId}${afterTrace}${spanId}${tail}`,
      );
    };
  }

  /** Hands all that is kept to the logger's destination. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const kept = this.#kept;
    this.#kept = '';
    if (kept !== '') this.#logger[symbols.streamSym].write(kept);
  }

  #keep(line: string): void {
    this.#kept += line;
    // Only pino's own destinations are known to take several lines at once.
    if (!('flushSync' in this.#logger[symbols.streamSym])) this.flush();
    else if (this.#kept.length >= maxKept) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), keptMs).unref();
  }

  #now(): string {
    const now = Date.now();
    if (now !== this.#timeOf) {
      this.#timeOf = now;
      this.#time = this.#logger[symbols.timeSym]();
    }
    return this.#time;
  }
}

const HOLES = { request_id: '<id>', peer: '<peer>', trace_id: '<trace>', span_id: '<span>' };

/** The line that the logger makes, cut where its values go. */
function template(logger: Logger & Inside): string[] {
  const line = { duration_ms: 123_456_789, ...HOLES };
  const text = logger[symbols.asJsonSym](line, undefined, 30, '<time>');
  const parts = text.split(/<time>|123456789|<id>|<peer>|<trace>|<span>/);
  if (parts.length !== 7) throw new Error(`the logger does not write lines as expected: ${text}`);
  return parts;
}
