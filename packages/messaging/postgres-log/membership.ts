import { randomUUID } from 'node:crypto';
import type { Logger } from '@tradewind/telemetry/logger';
import type { Bell } from './bell.ts';
import { type Database, isPassing } from './database.ts';
import { type Change, type Held, Holding, type LeaseRow } from './holding.ts';
import type { Topic } from './topics.ts';

const BEAT = {
  name: 'beat',
  text: 'SELECT moved, leases FROM event_log.beat($1, $2, $3::int[], $4, $5, $6::int[], $7::int[])',
};
const LEAVE = { name: 'leave', text: 'SELECT FROM event_log.leave($1, $2)' };

/** A member stops believing in its leases this much earlier than the others do. */
const SAFETY = 0.9;
/** How long leaving may take; after that the session's end does it. */
const LEAVE_MS = 2_000;

export interface MembershipOptions {
  readonly database: Database;
  readonly bell: Bell;
  readonly logger: Logger;
  readonly group: string;
  readonly topics: readonly Topic[];
  /** How long a member that gives no sign of life keeps its partitions, in milliseconds. */
  readonly sessionMs: number;
  /** How long a partition that is given away waits for what was received of it to be committed, in milliseconds. */
  readonly handoverMs: number;
  /** Called whenever the partitions changed. */
  readonly onChange: () => void;
}

/**
 * One member of a group: gives signs of life on a timer of its own, however slow its caller is, and so renews its leases, takes its
 * share and gives away what is beyond it.
 */
export class Membership {
  readonly holding: Holding;
  readonly #options: MembershipOptions;
  readonly #member = randomUUID();
  /** When it must stop believing in its leases, in `performance.now()`. */
  #validUntil = Number.NEGATIVE_INFINITY;
  #join = true;
  #failures = 0;
  #left = false;
  #beating: Promise<void> | undefined;
  #again = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MembershipOptions) {
    this.#options = options;
    this.holding = new Holding(options.topics);
  }

  /** Joins the group. Rejects when the log is away. */
  async join(): Promise<void> {
    const first = this.#beat();
    // In the place of a beat: two at a time would both join.
    this.#beating = first.catch(() => undefined);
    try {
      await first;
    } finally {
      this.#beating = undefined;
    }
    if (this.#again) this.nudge();
    else this.#schedule();
  }

  /**
   * Whether its leases hold, as far as it can know. When they ran out it gives nothing out until the database has said which of them
   * nobody took: those go on.
   */
  live(): boolean {
    return performance.now() < this.#validUntil;
  }

  /** A partition may have become ready to give away: gives it away now. */
  settled(held: Held): void {
    if (held.leavesBy !== undefined && held.settled >= held.position) this.nudge();
  }

  /** Looks at the leases now. */
  nudge(): void {
    if (this.#left) return;
    this.#again = true;
    if (this.#beating !== undefined) return;
    clearTimeout(this.#timer);
    this.#beating = this.#beatAll();
  }

  async #beatAll(): Promise<void> {
    while (this.#again && !this.#left) {
      this.#again = false;
      try {
        await this.#beat();
        if (this.#failures > 0) this.#options.logger.info({ group: this.#options.group }, 'member is back');
        this.#failures = 0;
      } catch (error) {
        this.#fail(error);
      }
    }
    this.#beating = undefined;
    this.#schedule();
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    if (this.#left) return;
    const { sessionMs } = this.#options;
    // Often enough for two beats to get lost; sooner after a failure, later again when it lasts.
    const ms = this.#failures > 0 ? Math.min(20 * 2 ** Math.min(this.#failures, 7), 2_000) : sessionMs / 3;
    this.#timer = setTimeout(() => this.nudge(), this.#failures > 0 ? ms * (0.5 + Math.random() / 2) : ms);
  }

  #fail(error: unknown): void {
    const { logger, group } = this.#options;
    const level = this.#failures++ % 20 === 0 ? 'warn' : 'debug';
    logger[level](
      { err: error, group, passing: isPassing(error) },
      'no sign of life could be given to the group',
    );
  }

  async #beat(): Promise<void> {
    const { database, logger, group, topics, sessionMs, handoverMs, bell } = this.#options;
    const back = this.holding.ready(performance.now());
    const sentAt = performance.now();
    const [answer] = await database.query<[boolean, LeaseRow[]]>(
      BEAT,
      [
        group,
        this.#member,
        topics.map(({ id }) => id),
        sessionMs,
        this.#join,
        back.map(({ topicId }) => topicId),
        back.map(({ partition }) => partition),
      ],
      // A later answer would be worth nothing; joining may take what it takes.
      this.#join ? undefined : sessionMs,
    );
    if (!answer || this.#left) return;
    const [moved, rows] = answer;
    const late = !this.#join && !this.live();
    this.#join = false;
    // The database counted from a later moment on, so the others wait longer than this.
    this.#validUntil = sentAt + sessionMs * SAFETY;
    const change = this.holding.update(rows);
    if (late) {
      // Who was told meanwhile that a partition is gone may have dropped what it had of it.
      this.holding.rewindDoubted();
      logger.warn({ group, lost: change.lost.length }, 'leases ran out before they could be renewed');
    }
    this.holding.balance(rows, performance.now() + handoverMs);
    this.#tell(change);
    if (this.holding.ready(performance.now()).length > 0) this.#again = true;
    if (moved) void bell.ringGroup(group);
  }

  #tell({ gained, lost }: Change): void {
    const { logger, group, onChange } = this.#options;
    const names = (held: readonly Held[]) => held.map(({ topic, partition }) => `${topic}/${partition}`);
    if (gained.length + lost.length > 0)
      logger.debug({ group, gained: names(gained), lost: names(lost) }, 'partitions changed hands');
    onChange();
  }

  /** Gives everything back and tells the others. */
  async leave(): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    clearTimeout(this.#timer);
    // A beat that is on its way would bring the member back.
    await this.#beating;
    this.#validUntil = Number.NEGATIVE_INFINITY;
    this.holding.clear();
    const { database, bell, group, logger } = this.#options;
    try {
      await database.query(LEAVE, [group, this.#member], LEAVE_MS);
      await bell.ringGroup(group);
    } catch (error) {
      logger.warn(
        { err: error, group },
        'could not leave the group; its others take over when the session ends',
      );
    }
  }
}
