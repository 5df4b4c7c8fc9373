import type { Consumer, Position, ReceivedRecord, TopicPartition } from '../log.ts';
import type { Held } from './holding.ts';
import { Membership, type MembershipOptions } from './membership.ts';
import { Receiver, type ReceiverOptions } from './receiver.ts';

// Only what is still this member's, under the generation that it knows. In the order that everybody locks in.
export const COMMIT = {
  name: 'commit',
  text: `
    WITH mine AS (
      SELECT l.topic_id, l.partition, c."offset"
      FROM unnest($2::int[], $3::int[], $4::bigint[], $5::bigint[]) AS c(topic_id, partition, generation, "offset")
      JOIN event_log.lease l ON l.group_name = $1 AND l.topic_id = c.topic_id AND l.partition = c.partition
        AND l.generation = c.generation AND l.member IS NOT NULL
      ORDER BY l.topic_id, l.partition FOR UPDATE OF l
    )
    UPDATE event_log.lease l SET committed = m."offset" FROM mine m
    WHERE l.group_name = $1 AND l.topic_id = m.topic_id AND l.partition = m.partition
    RETURNING l.topic_id, l.partition`,
};

export interface ConsumerSettings extends Omit<MembershipOptions, 'onChange'>, ReceiverOptions {
  readonly onClose: (consumer: AsyncDisposable) => void;
}

export class PostgresConsumer implements Consumer {
  readonly #settings: ConsumerSettings;
  readonly #membership: Membership;
  readonly #hearing: Disposable;
  readonly #receiver: Receiver;
  #closed: Promise<void> | undefined;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    this.#membership = new Membership({ ...settings, onChange: () => this.#receiver.wake() });
    this.#receiver = new Receiver(settings, this.#membership);
    this.#hearing = settings.bell.listen({
      records: (partitions) => {
        if (this.#membership.holding.freshen(partitions)) this.#receiver.wake();
      },
      group: (name) => {
        if (name === undefined || name === settings.group) this.#membership.nudge();
      },
    });
  }

  async join(): Promise<void> {
    await this.#membership.join();
  }

  receive(signal: AbortSignal): Promise<ReceivedRecord[]> {
    return this.#receiver.receive(signal);
  }

  async commit(positions: readonly Position[]): Promise<TopicPartition[]> {
    const refused: TopicPartition[] = [];
    const wanted = new Map<Held, bigint>();
    for (const { topic, partition, offset } of positions) {
      const held = this.#membership.holding.get({ topic, partition });
      if (held) wanted.set(held, offset);
      else refused.push({ topic, partition });
    }
    if (wanted.size === 0) return refused;
    const held = [...wanted.keys()];
    const { database, group } = this.#settings;
    const rows = await database.query<[number, number]>(COMMIT, [
      group,
      held.map(({ topicId }) => topicId),
      held.map(({ partition }) => partition),
      held.map(({ generation }) => generation),
      [...wanted.values()].map(String),
    ]);
    const done = new Set(rows.map(([topicId, partition]) => `${topicId}.${partition}`));
    for (const [one, offset] of wanted) {
      if (done.has(one.key)) {
        one.settled = offset;
        this.#membership.settled(one);
      } else {
        refused.push(placeOf(one));
        this.#membership.holding.drop(one);
        this.#membership.nudge();
      }
    }
    return refused;
  }

  owns(partition: TopicPartition): boolean {
    const held = this.#membership.holding.get(partition);
    if (held === undefined || this.#membership.live()) return held !== undefined;
    held.doubted = true;
    return false;
  }

  assignment(): TopicPartition[] {
    return [...this.#membership.holding.all()].filter((held) => this.owns(held)).map(placeOf);
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const held = this.#membership.holding.get(partition);
      if (held) held.paused = true;
    }
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) {
      const held = this.#membership.holding.get(partition);
      if (!held) continue;
      held.paused = false;
      held.fresh = true;
    }
    this.#receiver.wake();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#hearing[Symbol.dispose]();
    this.#receiver.close();
    await this.#membership.leave();
    this.#settings.onClose(this);
  }
}

function placeOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}
