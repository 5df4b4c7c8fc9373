export interface AskedOptions {
  /** Milliseconds that an answer is kept, or that there was none. */
  readonly keepMs: number;
  /** Milliseconds that a question is waited for; one that takes longer goes on, and its answer is kept for later. */
  readonly waitMs?: number;
  /** Milliseconds after which nobody believes any more that an answer comes, and it is asked again. */
  readonly giveUpMs?: number;
}

/** Something that others are asked from time to time: never twice at once, never more often than wanted, and never waited for long. */
export class Asked<Answer> {
  readonly #ask: () => Promise<Answer>;
  readonly #options: AskedOptions;
  #asking: Promise<void> | undefined;
  #answer: Answer | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;

  constructor(ask: () => Promise<Answer>, options: AskedOptions) {
    this.#ask = ask;
    this.#options = options;
  }

  /** The answer, or undefined when there is none in time. Never rejects. */
  async get(): Promise<Answer | undefined> {
    const { keepMs, waitMs = 1_000 } = this.#options;
    if (performance.now() - this.#askedAt < keepMs) return this.#answer;
    this.#asking ??= this.#refresh();
    return await within(
      waitMs,
      this.#asking.then(() => this.#answer),
    );
  }

  async #refresh(): Promise<void> {
    const { giveUpMs = 30_000 } = this.#options;
    this.#answer = await within(
      giveUpMs,
      this.#ask().catch(() => undefined),
    );
    this.#askedAt = performance.now();
    this.#asking = undefined;
  }
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, ms, undefined).unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
