import type { DescMessage, MessageInitShape } from '@bufbuild/protobuf';
import { afterCommit } from '@tradewind/database/after-commit';
import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import { epochMs } from '@tradewind/telemetry/clock';
import { type EventContext, type Fact, factOf } from './event.ts';

/** Tells a fact. It leaves for the log once the transaction that it belongs to has committed. */
export type Publish = <Desc extends DescMessage>(schema: Desc, event: MessageInitShape<Desc>) => void;

// The order of the arrays is the order of the positions: unnest keeps it and one INSERT numbers its rows in the order it gets them.
const insertFacts = statement(`
  INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type, traceparent, tracestate, headers)
  SELECT id, topic, key, type, payload, $1, content_type, traceparent, tracestate, headers
  FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[], $8::text[], $9::text[], $10::jsonb[])
    WITH ORDINALITY AS fact (id, topic, key, type, payload, content_type, traceparent, tracestate, headers, n)
  ORDER BY n`);

/** The facts of one transaction: collected in memory, written by one statement. */
export class Facts {
  readonly #source: string;
  readonly #facts: Fact[] = [];

  /** @param source `ce_source` of the events: the service's name. */
  constructor(source: string) {
    this.#source = source;
  }

  /** What was collected and is not written yet. */
  all(): readonly Fact[] {
    return [...this.#facts];
  }

  /** Collects a fact. Lock the row of its aggregate before, so that positions are taken in the order of the commits. */
  publish<Desc extends DescMessage>(
    schema: Desc,
    event: MessageInitShape<Desc>,
    trace?: Pick<EventContext, 'traceparent' | 'tracestate'>,
  ): void {
    this.add(factOf(schema, event, trace));
  }

  /** Collects a fact that was made already. */
  add(fact: Fact): void {
    this.#facts.push(fact);
  }

  /** Writes what was collected into the transaction's outbox. */
  async save(em: EntityManager): Promise<void> {
    const facts = this.#facts.splice(0);
    if (facts.length === 0) return;
    await run(em, insertFacts, [
      this.#source,
      facts.map(({ id }) => id),
      facts.map(({ topic }) => topic),
      facts.map(({ key }) => key),
      facts.map(({ type }) => type),
      facts.map(({ payload }) => payload),
      facts.map(({ contentType }) => contentType),
      facts.map(({ traceparent }) => traceparent),
      facts.map(({ tracestate }) => tracestate),
      facts.map(({ headers }) => headers && JSON.stringify(headers)),
    ]);
    const written = epochMs();
    // One that is never committed is never seen.
    afterCommit(em, () => {
      for (const { span } of facts) span?.end(undefined, written);
    });
  }
}
