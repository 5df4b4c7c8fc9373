import { failureKind } from '@tradewind/database/failure';
import { epochMs } from '@tradewind/telemetry/clock';
import {
  type Attributes,
  errorType,
  Span,
  type SpanContext,
  type SpanOptions,
  shared,
  within,
} from '@tradewind/telemetry/span';
import { isSampled, spanContextOf, traceContextOf } from '@tradewind/telemetry/trace-context';
import { tracing } from '@tradewind/telemetry/tracer';
import type { ConsumerSpans } from '@tradewind/telemetry/tracing-options';
import type { Batches, BatchOutcome } from './batch.ts';
import { continuing, heldUnder, idsIn, inHeaders } from './carried.ts';
import type { GivingUp } from './dead-letter.ts';
import type { HeldEvent } from './held.ts';
import type { Identified, Incoming } from './incoming.ts';
import type { ReceivedRecord } from './log.ts';

// Names, kinds and attributes: https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/

const SCOPE = 'messaging';

export interface EventSpansOptions {
  readonly group: string;
  /** Of the log: `kafka`, `postgresql`. */
  readonly system: string;
  /** `child` when left out. */
  readonly consumerSpans?: ConsumerSpans | undefined;
}

/** The spans of a group's events: one `receive` a record, one `process` an attempt, and one for each transaction that several share. */
export class EventSpans {
  readonly #options: EventSpansOptions;
  /** Attempts that failed and whose end is not known yet. */
  readonly #failed = new WeakMap<ReceivedRecord, Span>();
  readonly #received = new WeakMap<ReceivedRecord, SpanContext>();
  #receivedAt = epochMs();

  constructor(options: EventSpansOptions) {
    this.#options = options;
  }

  /** Records have come from the log. */
  received(): void {
    this.#receivedAt = epochMs();
  }

  /** The same batches, seen. */
  around(batches: Batches): Batches {
    return {
      settle: (batch) => this.#settle(batches, batch),
      hold: (incoming, failure) =>
        this.#end(incoming, 'hold', { 'tradewind.retry.wait_ms': failure.waitMs }, (traced) =>
          batches.hold(tracing()?.exports ? inHeaders(traced) : traced, failure),
        ),
      giveUp: (incoming, why) =>
        this.#end(incoming, 'dead letter', about(why), (traced) => batches.giveUp(traced, why), why.reason),
      heal: (events, retried) => this.#heal(batches, events, retried),
      giveUpHeld: (event, why) => this.#giveUpHeld(batches, event, why),
    };
  }

  /** What a log line about an event says of its trace: the attempt that has just failed, or who told it. */
  idsOf(record: ReceivedRecord): { trace_id?: string; span_id?: string } {
    const attempt = this.#failed.get(record);
    return idsIn(attempt ? traceContextOf(attempt.context) : record.headers);
  }

  /** A held event has failed and waits again. */
  waits(record: ReceivedRecord, waitMs: number): void {
    const span = this.#failed.get(record);
    span?.event('hold', { 'tradewind.retry.wait_ms': waitMs });
    span?.end();
    this.#failed.delete(record);
  }

  async #settle(batches: Batches, batch: readonly Incoming[]): Promise<BatchOutcome> {
    if (!tracing()?.exports) return await unseen(batch, () => batches.settle(batch));
    const alone = batch.length === 1;
    const spans = batch.map((incoming) =>
      alone || incoming.verdict || isSeen(incoming.context.record)
        ? this.#process(incoming.context.record, incoming)
        : undefined,
    );
    // Its dead letter is to be seen even if the record was not; the rest is told when it is true.
    for (const [n, { verdict }] of batch.entries()) if (verdict) this.#unseenFails(spans[n], verdict);
    const traced = batch.map((incoming, n) => continuing(incoming, spans[n]));
    const records = batch.map(({ context }) => context.record);
    const outcome = await this.#together(spans, records, () => batches.settle(traced));
    const recordsOf = (items: readonly Identified[]) => new Set(items.map(({ context }) => context.record));
    const [held, repeats] = [recordsOf(outcome.held), recordsOf(outcome.repeats)];
    const dead = new Map(outcome.dead.map(([{ context }, why]) => [context.record, why]));
    for (const [n, span] of spans.entries()) {
      const record = records[n];
      // It waits for one of its key that is in retry.
      if (record && held.has(record)) span?.event('hold');
      if (record && repeats.has(record)) span?.event('duplicate');
      const why = record && dead.get(record);
      if (why) this.#dead(span, why);
      span?.end();
    }
    return outcome;
  }

  async #heal(batches: Batches, events: readonly HeldEvent[], retried: boolean): Promise<BatchOutcome> {
    if (!tracing()?.exports) return await batches.heal(events, retried);
    const spans = events.map(({ record, id }) =>
      this.#process(record, { context: { id } }, { held: true, retried }),
    );
    const traced = events.map((event, n) => heldUnder(event, spans[n]));
    const records = events.map(({ record }) => record);
    const outcome = await this.#together(spans, records, () => batches.heal(traced, retried));
    for (const span of spans) span.end();
    return outcome;
  }

  async #giveUpHeld(batches: Batches, event: HeldEvent, why: GivingUp): Promise<BatchOutcome> {
    const { record, id } = event;
    if (!tracing()?.exports) return await batches.giveUpHeld(event, why);
    const attempt = this.#failed.get(record);
    const span = attempt ?? this.#process(record, { context: { id } }, { held: true });
    if (!attempt) span.failed(why.reason);
    const outcome = await span.run(() => batches.giveUpHeld(heldUnder(event, span), why));
    this.#failed.delete(record);
    span.event('dead letter', about(why));
    span.end();
    return outcome;
  }

  /** What becomes of an attempt that failed belongs to it. */
  async #end(
    incoming: Identified,
    event: string,
    attributes: Attributes,
    work: (traced: Identified) => Promise<BatchOutcome>,
    reason?: string,
  ): Promise<BatchOutcome> {
    const { record } = incoming.context;
    if (!tracing()?.exports) return await work(incoming);
    const attempt = this.#failed.get(record);
    const span = attempt ?? this.#process(record, incoming);
    if (!attempt) span.failed(reason ?? 'failed');
    const outcome = await span.run(() => work(continuing(incoming, span)));
    this.#failed.delete(record);
    if (outcome.duplicates > 0) span.event('duplicate');
    else span.event(event, attributes);
    span.end();
    return outcome;
  }

  /**
   * One transaction for all of these. When it fails, the attempt of one is kept until it is known what becomes of it; several run again, one by
   * one, and so does what lost against another transaction, or its database: that they say.
   */
  async #together(
    spans: readonly (Span | undefined)[],
    records: readonly ReceivedRecord[],
    work: () => Promise<BatchOutcome>,
  ): Promise<BatchOutcome> {
    const { group, system } = this.#options;
    const attributes = {
      'messaging.system': system,
      'messaging.operation.name': 'process',
      'messaging.operation.type': 'process',
      'messaging.batch.message_count': spans.length,
      'messaging.consumer.group.name': group,
    };
    for (const span of spans) span?.set('messaging.batch.message_count', spans.length);
    try {
      return await shared('process batch', SCOPE, spans, attributes, work);
    } catch (error) {
      const [span] = spans;
      const [record] = records;
      if (spans.length === 1 && span && record && failureKind(error) === 'other') {
        span.failed(errorType(error));
        span.event('exception', { 'exception.type': errorType(error) });
        this.#failed.set(record, span);
      } else {
        for (const each of spans) {
          each?.event('again', { 'error.type': errorType(error) });
          each?.end();
        }
      }
      throw error;
    }
  }

  #unseenFails(span: Span | undefined, why: GivingUp): void {
    if (span && !span.recorded) span.failed(why.reason);
  }

  #dead(span: Span | undefined, why: GivingUp): void {
    span?.failed(why.reason);
    span?.event('dead letter', about(why));
  }

  #process(
    record: ReceivedRecord,
    { context: { id }, redriven }: { context: { id: string }; redriven?: boolean },
    { held = false, retried = false }: { held?: boolean; retried?: boolean } = {},
  ): Span {
    const told = spanContextOf(record.headers);
    const { consumerSpans = 'child' } = this.#options;
    // What is held hangs under its own first attempt, which is of this group.
    const linked = consumerSpans === 'link' && !(held && retried) && told !== undefined && isSampled(told);
    const parent = held ? undefined : this.#receive(record, told, linked, id);
    const span = new Span(`process ${record.topic}`, {
      scope: SCOPE,
      kind: 'consumer',
      ...(linked ? linkedTo(parent, told) : { parent: told ?? null }),
      attributes: {
        ...this.#attributes(record, id),
        'messaging.operation.name': 'process',
        'messaging.operation.type': 'process',
        ...(retried && { 'tradewind.retry': true }),
        ...(redriven && { 'tradewind.redriven': true }),
      },
    });
    if (redriven) span.event('redrive');
    return span;
  }

  /** From the moment at which the log had the record to the one at which this process had it: once a record. */
  #receive(
    record: ReceivedRecord,
    told: SpanContext | undefined,
    linked: boolean,
    id: string,
  ): SpanContext | undefined {
    const before = this.#received.get(record);
    if (before || !told || !isSampled(told)) return before;
    const appendedAt = Math.min(record.appendedAt.getTime(), this.#receivedAt);
    const span = new Span(`receive ${record.topic}`, {
      scope: SCOPE,
      kind: 'client',
      startTime: appendedAt,
      ...(linked ? { parent: null, links: [told], must: true } : { parent: told }),
      attributes: {
        ...this.#attributes(record, id),
        'messaging.operation.name': 'receive',
        'messaging.operation.type': 'receive',
        'tradewind.topic.wait_ms': Math.round(this.#receivedAt - appendedAt),
      },
    });
    span.end(undefined, this.#receivedAt);
    this.#received.set(record, span.context);
    return span.context;
  }

  #attributes({ topic, partition, offset, key }: ReceivedRecord, id: string): Attributes {
    const { group, system } = this.#options;
    return {
      'messaging.system': system,
      'messaging.destination.name': topic,
      'messaging.destination.partition.id': String(partition),
      [system === 'kafka' ? 'messaging.kafka.offset' : 'tradewind.log.offset']: Number(offset),
      'messaging.consumer.group.name': group,
      'messaging.message.id': id,
      ...(key !== null && { 'messaging.message.conversation_id': key }),
    };
  }
}

/** Below its `receive` span, which has the link; one that was held has none, and links itself. */
function linkedTo(
  receive: SpanContext | undefined,
  told: SpanContext,
): Pick<SpanOptions, 'parent' | 'links' | 'must'> {
  return receive ? { parent: receive } : { parent: null, links: [told], must: true };
}

/** Whether its teller records it, or nobody has told it: then its trace begins here. */
function isSeen({ headers }: ReceivedRecord): boolean {
  const told = spanContextOf(headers);
  return !told || isSampled(told);
}

/** Nothing is recorded; what is logged of one event still names its trace. */
function unseen<T>([only, ...more]: readonly Incoming[], work: () => Promise<T>): Promise<T> {
  return more.length > 0 || !only ? work() : within(spanContextOf(only.context), work);
}

const about = ({ reason, attempts }: GivingUp): Attributes => ({
  'tradewind.dead_letter.reason': reason,
  'tradewind.attempts': attempts,
});
