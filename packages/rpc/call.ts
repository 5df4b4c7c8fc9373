import { randomUUID } from 'node:crypto';
import type { DescMessage, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Span, SpanContext } from '@tradewind/telemetry/span';
import { innerSpan, serverSpan, TRACERESPONSE, traceresponse } from './call-span.ts';

/** What a handler may know of its caller, the same whatever the face: gRPC, Connect, gRPC-Web, REST, GraphQL. */
export interface Call {
  /** Aborts when the deadline passes or the caller goes away; its reason is a ConnectError. Pass it on. */
  readonly signal: AbortSignal;
  /** Why it was aborted, if it was; cheaper to ask than `signal`. */
  readonly aborted: ConnectError | undefined;
  /** The caller's x-request-id, or a new one. */
  readonly requestId: string;
  /** Milliseconds left until the deadline, never below 0; undefined for a stream without one. */
  timeoutMs(): number | undefined;
  /** A request header (metadata), by its name in lower case; undefined when absent. */
  header(name: string): string | undefined;
  /** Sets a response header. For a stream: before the first message. */
  setHeader(name: string, value: string): void;
  /** The span that the work belongs to: what goes along with calls that are made to answer this one. */
  readonly span: SpanContext | undefined;
}

/** A unary handler. It throws ConnectError for what the caller should know; anything else becomes INTERNAL. */
export type Unary<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: Call,
) => Promise<MessageInitShape<O>>;

/** A server-streaming handler: each value yielded is sent as it comes; it should stop when `call.signal` aborts. */
export type ServerStreaming<I extends DescMessage, O extends DescMessage> = (
  request: MessageShape<I>,
  call: Call,
) => AsyncIterable<MessageInitShape<O>>;

/** A client-streaming handler. */
export type ClientStreaming<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  call: Call,
) => Promise<MessageInitShape<O>>;

/** A handler that streams both ways; HTTP/2 only. */
export type BidiStreaming<I extends DescMessage, O extends DescMessage> = (
  requests: AsyncIterable<MessageShape<I>>,
  call: Call,
) => AsyncIterable<MessageInitShape<O>>;

export type Face = 'grpc' | 'grpc-web' | 'connect' | 'http';

const plain = /^[\w.:~+=-]{1,128}$/;

/** The caller's request id when it is up to 128 letters, digits and `_.:~+=-`, else a new one. */
export function requestIdFrom(header: string | undefined): string {
  return header !== undefined && plain.test(header) ? header : randomUUID();
}

/** A call in progress. Faces extend it with their headers; the pipeline ends it. Signal and timer are made only when used. */
export abstract class ActiveCall implements Call {
  readonly startedAt = performance.now();
  readonly requestId: string;
  readonly face: Face;
  readonly peer: string;
  /** Whether it may last for ever. */
  readonly streaming: boolean;
  #controller: AbortController | undefined;
  #timer: NodeJS.Timeout | undefined;
  #aborted: ConnectError | undefined;
  #finished = false;
  /** performance.now() of the deadline. */
  #deadlineAt: number | undefined;
  #onAbort: ((reason: ConnectError) => void) | undefined;
  #span: Span | undefined;

  constructor(face: Face, peer: string, requestId: string | undefined, streaming = false) {
    this.face = face;
    this.streaming = streaming;
    this.peer = peer;
    this.requestId = requestIdFrom(requestId);
  }

  abstract header(name: string): string | undefined;
  abstract setHeader(name: string, value: string): void;

  get span(): SpanContext | undefined {
    return this.#span?.context;
  }

  /** Its span, which begins with the first question for it. @param method by its full name */
  spanOf(method: string): Span {
    if (this.#span) return this.#span;
    const span = this.begin(method);
    this.#span = span;
    return span;
  }

  protected begin(method: string): Span {
    const { face } = this;
    if (face === 'http') return innerSpan(method, undefined);
    const span = serverSpan(method, face, {
      traceparent: this.header('traceparent'),
      tracestate: this.header('tracestate'),
    });
    this.setHeader(TRACERESPONSE, traceresponse(span));
    return span;
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#aborted) this.#controller.abort(this.#aborted);
    }
    return this.#controller.signal;
  }

  get aborted(): ConnectError | undefined {
    return this.#aborted;
  }

  timeoutMs(): number | undefined {
    return this.#deadlineAt === undefined ? undefined : Math.max(0, this.#deadlineAt - performance.now());
  }

  /** Says when the call must end, in milliseconds from now, leaving it to the face to call `expire`. */
  expect(timeoutMs: number): void {
    this.#deadlineAt = performance.now() + timeoutMs;
  }

  /** Ends the call by a timer of its own when no deadline was set by the face. */
  limit(timeoutMs: number): void {
    if (this.#timer !== undefined || this.#aborted) return;
    this.expect(timeoutMs);
    // Timers longer than 2^31 ms would fire at once.
    this.#timer = setTimeout(() => this.expire(), Math.min(timeoutMs, 0x7fffffff));
  }

  expire(): void {
    this.abort(new ConnectError('deadline exceeded', Code.DeadlineExceeded));
  }

  /** Answered: what happens to the connection now no longer matters. */
  get finished(): boolean {
    return this.#finished;
  }

  /** The caller went away, or its deadline has passed without an answer. */
  abort(reason: ConnectError): void {
    if (this.#aborted || this.#finished) return;
    this.#aborted = reason;
    clearTimeout(this.#timer);
    this.#onAbort?.(reason);
    this.#controller?.abort(reason);
  }

  /** Settles with `result`, or as soon as the call is aborted, whichever is first. */
  race<T>(result: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#aborted) reject(this.#aborted);
      this.#onAbort = reject;
      result.then(resolve, reject);
    });
  }

  /** The call is answered: nothing may abort it any more. */
  finish(): void {
    this.#finished = true;
    clearTimeout(this.#timer);
    this.#onAbort = undefined;
  }
}
