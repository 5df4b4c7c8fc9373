import type { Logger } from '@tradewind/telemetry/logger';
import type { GivingUp } from './dead-letter.ts';
import type { EventLog, ReceivedRecord, TopicPartition } from './log.ts';
import type { LoneDeaths, Marks } from './marks.ts';

export interface CarefulOptions {
  readonly marks: Marks;
  readonly log: Pick<EventLog, 'bounds'>;
  /** Records that can be in flight at a time. */
  readonly maxBatch: number;
  readonly logger: Logger;
}

/** Deaths of its listener that an event may cause while it is alone in flight. */
const DEATHS_MAX = 3;

/** The end of an event that kills: undefined as long as it may be a coincidence. */
export function deadly(lone: LoneDeaths | undefined): GivingUp | undefined {
  if (!lone || lone.deaths < DEATHS_MAX) return undefined;
  return {
    reason: 'deadly',
    error: `its listener died ${lone.deaths} times while it handled nothing else`,
    attempts: lone.deaths,
    firstFailure: lone.first,
    lastFailure: lone.last,
  };
}

/** Knows which records have to be handled one by one, because a listener died that may have had them in flight. */
export class Careful {
  readonly #options: CarefulOptions;
  /** Of each partition in doubt, the first offset that was not there yet when it was gained. */
  readonly #until = new Map<string, bigint>();
  /** Records that may still be among those that were in flight. */
  #left = 0;

  constructor(options: CarefulOptions) {
    this.#options = options;
  }

  /** Marks the partitions of these records as worked on, and looks how the work on them ended before. */
  async enter(records: readonly ReceivedRecord[]): Promise<void> {
    const { marks, logger } = this.#options;
    const partitions = new Map(records.map((record) => [nameOf(record), record]));
    const unclean = await marks.enter([...partitions.values()], records.length);
    if (unclean.length === 0) return;
    logger.warn(
      { partitions: unclean.map(nameOf) },
      'the last owner ended badly; events run one by one for a while',
    );
    if (this.#until.size === 0) this.#left = 0;
    const most = new Map(unclean.map(({ session, most }) => [session, most]));
    for (const inFlight of most.values()) this.#left += inFlight;
    for (const partition of unclean)
      this.#until.set(nameOf(partition), await this.#endOf(partition, records));
  }

  /** Parts records: those of partitions where one may have been in flight, and the others. Each part keeps its order. */
  split(records: readonly ReceivedRecord[]): { sure: readonly ReceivedRecord[]; doubted: ReceivedRecord[] } {
    if (this.#until.size === 0) return { sure: records, doubted: [] };
    const firsts = new Map(records.toReversed().map((record) => [nameOf(record), record.offset]));
    for (const [name, first] of firsts)
      if (this.#left <= 0 || first >= (this.#until.get(name) ?? 0n)) this.#until.delete(name);
    // All of a partition's records of a batch: none may overtake one that is handled alone.
    const doubted = records.filter((record) => this.#until.has(nameOf(record)));
    return { sure: records.filter((record) => !this.#until.has(nameOf(record))), doubted };
  }

  /** Whether none can be among those any more that were in flight. */
  get over(): boolean {
    return this.#left <= 0;
  }

  /** A record was handled that nobody had handled before. */
  survived(): void {
    this.#left--;
  }

  async #endOf(partition: TopicPartition, records: readonly ReceivedRecord[]): Promise<bigint> {
    const bounds = await this.#options.log.bounds(partition.topic).catch(() => []);
    const end = bounds.find((one) => one.partition === partition.partition)?.end;
    const last = records.findLast((record) => nameOf(record) === nameOf(partition))?.offset ?? 0n;
    return end ?? last + BigInt(this.#options.maxBatch);
  }
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
