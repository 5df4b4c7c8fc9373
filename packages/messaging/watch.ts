/** What a transaction of a listener was for: a batch as received, one event that failed, giving one up, or the retry of held ones. */
export type Work = 'receive' | 'hold' | 'give up' | 'retry';

/** How a transaction went. */
export interface Effort {
  readonly work: Work;
  /** Events that it was about. */
  readonly events: number;
  readonly seconds: number;
}

/** Hears of what does not commit, to count it. Must be cheap and never throw. */
export interface Watch {
  /** An attempt at an event of the topic failed by its own fault. */
  failed(topic: string): void;
  /** A transaction of the listener runs again because of another one. */
  conflicted(): void;
}
