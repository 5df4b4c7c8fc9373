import { sessionUrl } from '@tradewind/database/session';
import { type DeadLetter, eventOf } from '@tradewind/messaging/dead-letters';
import { inInbox, type Look } from '@tradewind/messaging/trail';
import { reasonOf } from '@tradewind/process/wait-for';
import { Pool } from 'pg';

/** How a dead letter stands, by its group's inbox. */
export const states = ['open', 'held', 'redriven', 'discarded', 'unknown'] as const;

/**
 * `open`: nobody has done anything about it; `held`: it was redriven and is in retry; `redriven`: and was handled; `discarded`: it was
 * given up for good; `unknown`: the inbox can't be asked, or does not have it any more.
 */
export type LetterState = (typeof states)[number];

export interface Standing {
  readonly state: LetterState;
  /** Why it is unknown. */
  readonly why?: string;
  /** The group has forgotten it: what is sent to it changes nothing. */
  readonly forgotten?: boolean;
  /** The record that brought it back last, as `topic/partition/offset`. */
  readonly redrive?: string;
}

const STATES: Readonly<Record<string, LetterState>> = {
  dead: 'open',
  done: 'redriven',
  held: 'held',
  discarded: 'discarded',
};
const CHUNK = 1_000;

/** The inboxes of all groups, to be read and nothing else. A database that can't be reached makes its letters `unknown`. */
export class Inboxes implements AsyncDisposable {
  readonly #urls: Readonly<Record<string, string>>;
  readonly #pools = new Map<string, Pool>();
  /** Why a group's inbox could not be asked the last time, by group. */
  readonly troubles = new Map<string, string>();

  constructor(databaseUrls: Readonly<Record<string, string>>) {
    this.#urls = databaseUrls;
  }

  /** How these letters stand, by `eventOf`. */
  async standings(letters: readonly DeadLetter[]): Promise<Map<string, Standing>> {
    const found = new Map<string, Standing>();
    const byGroup = Map.groupBy(letters, ({ group }) => group);
    await Promise.all([...byGroup].map(([group, theirs]) => this.#ask(group, theirs, found)));
    return found;
  }

  async #ask(group: string, letters: readonly DeadLetter[], found: Map<string, Standing>): Promise<void> {
    try {
      const pool = this.#pool(group);
      for (let i = 0; i < letters.length; i += CHUNK) {
        const chunk = letters.slice(i, i + CHUNK);
        const look: Look = async (text, values) => (await pool.query(text, values)).rows;
        for (const { source, id, state, redrive } of await inInbox(look, group, chunk)) {
          const known = STATES[state] ?? 'unknown';
          found.set(eventOf({ group, source, id }), {
            state: known,
            ...(known === 'unknown' && { why: `its inbox says "${state}"` }),
            ...(redrive && { redrive }),
          });
        }
      }
      this.troubles.delete(group);
      const forgotten: Standing = { state: 'unknown', why: 'its inbox has forgotten it', forgotten: true };
      for (const letter of letters) if (!found.has(eventOf(letter))) found.set(eventOf(letter), forgotten);
    } catch (error) {
      const why = `its inbox can't be asked: ${reasonOf(error)}`;
      this.troubles.set(group, why);
      for (const letter of letters) found.set(eventOf(letter), { state: 'unknown', why });
    }
  }

  #pool(group: string): Pool {
    const known = this.#pools.get(group);
    if (known) return known;
    const url = this.#urls[group];
    if (url === undefined) throw new Error(`no database of ${group} is known`);
    const pool = new Pool({
      connectionString: sessionUrl(url, { default_transaction_read_only: 'on' }),
      application_name: 'dlq',
      max: 1,
      connectionTimeoutMillis: 3_000,
      query_timeout: 10_000,
    });
    pool.on('error', () => undefined);
    this.#pools.set(group, pool);
    return pool;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools.values()].map((pool) => pool.end()));
  }
}
