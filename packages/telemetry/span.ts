import {
  type Attributes,
  type AttributeValue,
  context,
  createContextKey,
  ROOT_CONTEXT,
  type Span as SdkSpan,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from '@opentelemetry/api';
import { epochMs } from './clock.ts';
import { newSpanId, newTraceId } from './ids.ts';
import { recorded } from './recorded.ts';
import { activeSpanContext, isSampled } from './trace-context.ts';
import { ids, tracing } from './tracer.ts';

export type { Attributes, SpanContext } from '@opentelemetry/api';

const KINDS = {
  internal: SpanKind.INTERNAL,
  server: SpanKind.SERVER,
  client: SpanKind.CLIENT,
  producer: SpanKind.PRODUCER,
  consumer: SpanKind.CONSUMER,
} as const;

const MINE = createContextKey('tradewind: span');

export interface SpanOptions {
  /** Whose code makes it: `rpc`, `messaging`, `database`. */
  readonly scope: string;
  /** `internal` when left out. */
  readonly kind?: keyof typeof KINDS;
  /** What runs now when left out; null for a trace of its own. */
  readonly parent?: SpanContext | undefined | null;
  readonly attributes?: Attributes;
  readonly links?: readonly SpanContext[];
  /** Milliseconds since 1970; now when left out. */
  readonly startTime?: number;
  /** Recorded whatever the head of its trace says. */
  readonly must?: boolean;
  /** Never recorded, for nobody wants to see it; its ids are told and logged all the same. */
  readonly never?: boolean;
}

/**
 * A piece of work as traces show it, named by OpenTelemetry's conventions. It has ids wherever it runs, also where nothing is recorded: they go
 * along with what the work calls and tells. One that fails is recorded even if the head of its trace had said no, and so are those after it.
 */
export class Span {
  readonly #name: string;
  readonly #options: SpanOptions;
  readonly #parent: SpanContext | undefined;
  readonly #startedAt: number;
  #sdk: SdkSpan | undefined;
  #context: SpanContext;

  constructor(name: string, options: SpanOptions) {
    const { parent = activeSpanContext(), must = false, never = false } = options;
    this.#name = name;
    this.#options = options;
    this.#parent = parent ?? undefined;
    this.#startedAt = options.startTime ?? epochMs();
    const how = tracing();
    const traceId = this.#parent?.traceId ?? newTraceId();
    const asked = this.#parent ? !how?.parentBased || isSampled(this.#parent) : how?.samples(traceId);
    if (how?.exports && !never && (must || asked)) {
      // Of a trace that begins here it is decided already.
      this.#sdk = this.#parent
        ? this.#start(must)
        : ids.begin({ traceId, spanId: newSpanId() }, () => this.#start(true));
      this.#context = this.#sdk.spanContext();
    } else if (this.#parent && !how?.exports) {
      // Who records nothing passes on what it was given, so that others still see one trace.
      this.#context = this.#parent;
    } else {
      this.#context = {
        traceId,
        spanId: newSpanId(),
        traceFlags: TraceFlags.NONE,
        ...(this.#parent?.traceState && { traceState: this.#parent.traceState }),
      };
    }
  }

  get context(): SpanContext {
    return this.#context;
  }

  /** Whether it will be seen anywhere: what is only for show need not be done otherwise. */
  get recorded(): boolean {
    return this.#sdk !== undefined && isSampled(this.#context);
  }

  /** Runs work that belongs to it. */
  run<T>(work: () => T): T {
    return context.with(trace.setSpanContext(context.active(), this.#context).setValue(MINE, this), work);
  }

  set(name: string, value: AttributeValue): void {
    this.#sdk?.setAttribute(name, value);
  }

  event(name: string, attributes?: Attributes): void {
    this.#sdk?.addEvent(name, attributes, epochMs());
  }

  link(context: SpanContext, attributes?: Attributes): void {
    this.#sdk?.addLink({ context, ...(attributes && { attributes }) });
  }

  /** @param endTime milliseconds since 1970; now when left out */
  end(attributes?: Attributes, endTime?: number): void {
    if (!this.#sdk) return;
    if (attributes) this.#sdk.setAttributes(attributes);
    this.#sdk.end(endTime ?? epochMs());
  }

  /**
   * Says that the work has failed; it still has to be ended. Only the kind of failure is kept, for a message may quote what a caller sent.
   * @param type the error's code or class
   */
  failed(type: string): void {
    if (!this.recorded && !this.#options.never && tracing()?.exports) {
      this.#sdk = ids.begin(this.#context, () => this.#start(true));
      this.#context = this.#sdk.spanContext();
    }
    this.#sdk?.setAttribute('error.type', type).setStatus({ code: SpanStatusCode.ERROR });
  }

  #start(must: boolean): SdkSpan {
    const { scope, kind = 'internal', attributes, links = [] } = this.#options;
    const base = this.#parent ? trace.setSpanContext(ROOT_CONTEXT, this.#parent) : ROOT_CONTEXT;
    const tracer = tracing()?.tracerOf(scope) ?? trace.getTracer(scope);
    return tracer.startSpan(
      this.#name,
      {
        kind: KINDS[kind],
        startTime: this.#startedAt,
        ...(attributes && { attributes }),
        ...(links.length > 0 && { links: links.map((context) => ({ context })) }),
      },
      must ? recorded(base) : base,
    );
  }
}

/** The span whose work runs now; undefined where there is none, or it is another process's. */
export function activeSpan(): Span | undefined {
  return context.active().getValue(MINE) as Span | undefined;
}

/** Runs work below a span that somebody else has; undefined: below none. */
export function within<T>(parent: SpanContext | undefined, work: () => T): T {
  const here = context.active().deleteValue(MINE);
  return context.with(parent ? trace.setSpanContext(here, parent) : trace.deleteSpan(here), work);
}

/** What failed, without its message: SQLSTATE, a socket's or gRPC's code, or the error's class. */
export function errorType(error: unknown): string {
  if (!(error instanceof Error)) return '_OTHER';
  const { code } = error as { code?: unknown };
  if (typeof code === 'string' && code !== '') return code;
  return typeof code === 'number' ? `${error.name} ${code}` : error.name;
}

/**
 * Runs work that several pieces of work share. The work of one nests below it; that of several is a trace of its own, which names each of them and
 * is named by each. It is recorded as often as they are: all of them, always; a tenth of them, one time in ten. Otherwise nearly every batch
 * would be, and a tenth of the traces cost nearly all of them.
 */
export async function shared<T>(
  name: string,
  scope: string,
  spans: readonly (Span | undefined)[],
  attributes: Attributes,
  work: () => Promise<T>,
): Promise<T> {
  const seen = spans.filter((span): span is Span => span?.recorded === true);
  const [only] = spans;
  if (spans.length === 1 && only) return await only.run(work);
  if (seen.length === 0 || Math.random() >= seen.length / spans.length) return await within(undefined, work);
  const links = seen.map((span) => span.context);
  const span = new Span(name, { scope, parent: null, attributes, links, must: true });
  for (const member of seen) member.link(span.context);
  try {
    return await span.run(work);
  } catch (error) {
    span.failed(errorType(error));
    throw error;
  } finally {
    span.end();
  }
}
