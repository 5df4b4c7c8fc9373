import type { Database } from '@tradewind/database/database';
import type { BatchOutcome } from '@tradewind/messaging/batch';
import { heldCounts } from '@tradewind/messaging/held';

/** Counts what a process did with events, for /metrics. */
export class Tally {
  #handled = 0;
  #duplicates = 0;
  #dead = 0;
  #held = 0;
  #told = 0;

  add({ handled, duplicates, dead, held, told }: BatchOutcome): void {
    this.#handled += handled;
    this.#duplicates += duplicates;
    this.#dead += dead.length;
    this.#held += held.length;
    this.#told += told;
  }

  /** Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  async text(database: Database, service: string): Promise<string> {
    const lines = [
      ...counter('tradewind_events_handled_total', 'Events that took effect', this.#handled, service),
      ...counter(
        'tradewind_events_duplicate_total',
        'Events that were seen before',
        this.#duplicates,
        service,
      ),
      ...counter('tradewind_dead_letters_total', 'Events that were given up on', this.#dead, service),
      ...counter(
        'tradewind_events_held_total',
        'Events that had to wait for a retry, their own or one of their key',
        this.#held,
        service,
      ),
      ...counter('tradewind_facts_told_total', 'Facts that handlers told', this.#told, service),
    ];
    // Without the database there is no depth to tell; the rest still stands.
    const depth = await depthOf(database).catch(() => undefined);
    if (depth !== undefined)
      lines.push(
        ...metric('gauge', 'tradewind_outbox_depth', 'Facts that are not on the log yet', depth, service),
      );
    const held = await heldCounts(database.pool, service).catch(() => undefined);
    if (held !== undefined) {
      const about = 'Events in retry, and those of their keys that wait for them';
      lines.push(...metric('gauge', 'tradewind_held_events', about, held.events, service));
    }
    return `${lines.join('\n')}\n`;
  }
}

async function depthOf({ pool }: Database): Promise<number> {
  const { rows } = await pool.query<{ depth: number }>('SELECT count(*)::int AS depth FROM outbox');
  return rows[0]?.depth ?? 0;
}

const counter = (name: string, help: string, value: number, service: string) =>
  metric('counter', name, help, value, service);

function metric(
  type: 'counter' | 'gauge',
  name: string,
  help: string,
  value: number,
  service: string,
): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, `${name}{service="${service}"} ${value}`];
}
