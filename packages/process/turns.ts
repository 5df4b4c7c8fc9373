/** Lets so many do something at a time; others wait for their turn, in the order in which they came. */
export class Turns {
  readonly #waiting = new Set<() => void>();
  #free: number;

  constructor(most: number) {
    this.#free = most;
  }

  /** Waits for a turn, which ends when it is disposed. Rejects with the signal's reason when that comes first. */
  async take(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#free > 0) this.#free--;
    else await this.#wait(signal);
    let over = false;
    return {
      [Symbol.dispose]: () => {
        if (!over) this.#pass();
        over = true;
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const left = () => {
        this.#waiting.delete(enter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener('abort', left);
        resolve();
      };
      this.#waiting.add(enter);
      signal.addEventListener('abort', left, { once: true });
    });
  }

  /** To whoever has waited longest. */
  #pass(): void {
    const [next] = this.#waiting;
    if (!next) {
      this.#free++;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
