/** Lets one wait until somebody rings. A ring while nobody waits is kept for the next wait; several are one. */
export class Bell {
  #rung = false;
  #waiting: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiting?.();
  }

  /** Until it rings, or so many milliseconds are over. Rejects with the signal's reason when that is aborted. */
  async wait(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!this.#rung) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
      const timer = setTimeout(resolve, ms);
      await promise;
      clearTimeout(timer);
      this.#waiting = undefined;
    }
    this.#rung = false;
    signal.throwIfAborted();
  }
}
