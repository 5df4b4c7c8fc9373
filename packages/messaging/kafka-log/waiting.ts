/** What waits for a change, for a time at most. */
export class Waiting {
  readonly #stop: AbortSignal;
  readonly #waiting = new Set<() => void>();

  constructor(stop: AbortSignal) {
    this.#stop = stop;
  }

  /** Until `wake`, or the time in milliseconds is over. Not at all when it is to stop. */
  async pause(ms: number): Promise<void> {
    if (this.#stop.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }

  wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}
