import { Code, ConnectError } from '@connectrpc/connect';
import type { Consumer, Position, ReceivedRecord, TopicPartition } from '../log.ts';
import { type CommitOptions, commit } from './commit.ts';
import { Fetcher } from './fetcher.ts';
import { Membership, type MembershipOptions } from './membership.ts';

export interface ConsumerSettings extends Omit<MembershipOptions, 'onChange'>, CommitOptions {
  readonly maxRecords: number;
  readonly onClose: (consumer: AsyncDisposable) => void;
}

export class KafkaConsumer implements Consumer {
  readonly #settings: ConsumerSettings;
  readonly #membership: Membership;
  readonly #fetcher: Fetcher;
  #waiting: (() => void) | undefined;
  #receiving = false;
  #closed: Promise<void> | undefined;

  constructor(settings: ConsumerSettings) {
    this.#settings = settings;
    const onChange = () => this.#waiting?.();
    this.#membership = new Membership({ ...settings, onChange });
    this.#fetcher = new Fetcher({ ...settings, holding: this.#membership.holding, onChange });
  }

  async join(): Promise<void> {
    await this.#membership.join();
  }

  async receive(signal: AbortSignal): Promise<ReceivedRecord[]> {
    if (this.#receiving) throw new ConnectError('one receive at a time', Code.FailedPrecondition);
    this.#receiving = true;
    const wake = () => this.#waiting?.();
    signal.addEventListener('abort', wake, { once: true });
    try {
      while (true) {
        if (this.#closed !== undefined)
          throw new ConnectError('the consumer is closed', Code.FailedPrecondition);
        if (signal.aborted) return [];
        if (this.#membership.giving() && !this.#fetcher.imminent) {
          const records = this.#membership.holding.take(this.#settings.maxRecords);
          this.#fetcher.start();
          if (records.length > 0) return records;
        }
        await this.#change();
      }
    } finally {
      signal.removeEventListener('abort', wake);
      this.#receiving = false;
    }
  }

  async #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = resolve;
    await promise;
    this.#waiting = undefined;
  }

  commit(positions: readonly Position[]): Promise<TopicPartition[]> {
    return commit(this.#membership, positions, this.#settings);
  }

  owns(partition: TopicPartition): boolean {
    const held = this.#membership.holding.get(partition);
    if (held === undefined || this.#membership.live()) return held !== undefined;
    held.doubted = true;
    return false;
  }

  assignment(): TopicPartition[] {
    return [...this.#membership.holding.all()]
      .filter((held) => this.owns(held))
      .map(({ topic, partition }) => ({ topic, partition }));
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
      if (held) held.paused = false;
    }
    this.#waiting?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#waiting?.();
    this.#fetcher[Symbol.dispose]();
    await this.#membership.leave();
    this.#settings.onClose(this);
  }
}
