/**
 * What the doctor found, as `--json` gives it. Fields are only ever added; `version` grows when one changes its meaning. Times are ISO texts,
 * spans are milliseconds, offsets are texts of digits, for they may not fit a JavaScript number.
 */
export interface DoctorReport {
  readonly version: 1;
  readonly at: string;
  /** Nothing is wrong: the exit code is 0. */
  readonly healthy: boolean;
  /** What is wrong, the causes before what follows from them. */
  readonly problems: readonly Problem[];
  readonly processes: readonly ProcessReport[];
  readonly log: LogReport;
  readonly databases: readonly DatabaseReport[];
  readonly groups: readonly GroupReport[];
  /** Only those that somebody has to decide about. */
  readonly dead_letters: readonly DeadLettersReport[];
  readonly pending_orders: PendingReport;
}

export interface Problem {
  /** `process`, `dependency`, `event log`, `database`, `outbox`, `lag`, `held`, `dead letters`, `orders` or `unknown`. */
  readonly about: string;
  readonly what: string;
  /** Who should act next, and how. */
  readonly next: string;
}

export interface ProcessReport {
  /** `order`, or `order listen` of a process that the starter runs beside it. */
  readonly name: string;
  /** `ready`, `degraded`, `unavailable` as it says itself; `no answer`; of a process without a known port `runs` or `ended`. */
  readonly status: 'ready' | 'degraded' | 'unavailable' | 'no answer' | 'runs' | 'ended';
  readonly url?: string;
  readonly pid?: number;
  /** Whether the process that the starter noted still runs, answer or not. */
  readonly alive?: boolean;
  /** `ok`, or what is wrong, by dependency. */
  readonly dependencies: Readonly<Record<string, string>>;
  /** Why there was no answer. */
  readonly why?: string;
}

export interface LogReport {
  /** Without its password. */
  readonly url: string;
  readonly reachable: boolean;
  readonly why?: string;
}

export interface DatabaseReport {
  readonly service: string;
  readonly reachable: boolean;
  readonly why?: string;
  /** Facts that are not on the log yet; at most 100,000 are counted. */
  readonly outbox_depth?: number;
  readonly outbox_oldest_ms?: number;
  readonly outbox_oldest_topic?: string;
  /** Keys in retry, the events of those keys, and since when the oldest of them. */
  readonly held_keys?: number;
  readonly held_events?: number;
  readonly held_oldest_ms?: number;
  /** The keys that are in retry for the longest time. */
  readonly held?: readonly HeldReport[];
}

export interface HeldReport {
  readonly topic: string;
  readonly key: string;
  readonly events: number;
  readonly attempts: number;
  readonly since_ms: number;
  readonly next_attempt_at: string;
  readonly error: string;
}

export interface GroupReport {
  readonly group: string;
  /** Records that it has not read, over all partitions. */
  readonly lag: number;
  /** For how long the oldest of them has been on the log. */
  readonly oldest_unread_ms?: number;
  /** Partitions where it is behind. */
  readonly behind: readonly PartitionReport[];
}

export interface PartitionReport {
  readonly topic: string;
  readonly partition: number;
  readonly committed: string;
  readonly end: string;
  readonly lag: number;
}

export interface DeadLettersReport {
  /** Where the records were. */
  readonly topic: string;
  readonly group: string;
  readonly reason: string;
  readonly state: 'open' | 'unknown';
  readonly count: number;
  readonly oldest: string;
  readonly newest: string;
}

export interface PendingReport {
  /** Orders that are PENDING for longer than this. */
  readonly after_ms: number;
  /** Undefined when the order service's database can't be asked; at most 100,000 are counted. */
  readonly count?: number;
  /** Those that wait for the longest time, and where the event of each is. */
  readonly orders: readonly PendingOrder[];
}

export interface PendingOrder {
  readonly id: string;
  readonly pending_ms: number;
  readonly where: Whereabout;
  /** The same for people. */
  readonly text: string;
  /** Who should act next, and how. */
  readonly next: string;
}

/** Where the event is that an order waits for. */
export type Whereabout =
  | { readonly at: 'outbox'; readonly service: string; readonly topic: string; readonly since_ms: number }
  | {
      readonly at: 'topic';
      readonly group: string;
      readonly topic: string;
      readonly partition: number;
      readonly offset: string;
      /** Records that the group has to read before it. */
      readonly ahead: number;
    }
  | {
      readonly at: 'held';
      readonly group: string;
      readonly topic: string;
      /** Events of its key that come first. */
      readonly ahead: number;
      readonly attempts: number;
      readonly next_attempt_at: string;
      readonly error: string;
    }
  | {
      readonly at: 'dead letter';
      readonly group: string;
      readonly topic: string;
      readonly reason: string;
      readonly error: string;
      /** What to name it by. */
      readonly id: string;
      /** `topic/partition/offset` of the letter. */
      readonly place: string;
    }
  /** The group's inbox says so, and yet the order waits. */
  | { readonly at: 'handled'; readonly group: string; readonly topic: string; readonly state: string }
  /** Not where it could be, as far as was looked. */
  | { readonly at: 'nowhere'; readonly group: string; readonly topic: string }
  /** Something that had to be asked could not be. */
  | { readonly at: 'unknown'; readonly why: string };
