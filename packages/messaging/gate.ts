/** Lets work run side by side, or one piece of it alone, in the order in which they asked. */
export class Gate {
  readonly #waiting: { readonly alone: boolean; readonly enter: () => void }[] = [];
  #inside = 0;
  #alone = false;

  /** Runs work beside other work of this kind. */
  together<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(false, work);
  }

  /** Runs work while nothing else runs. */
  alone<T>(work: () => Promise<T>): Promise<T> {
    return this.#run(true, work);
  }

  async #run<T>(alone: boolean, work: () => Promise<T>): Promise<T> {
    await new Promise<void>((enter) => {
      this.#waiting.push({ alone, enter });
      this.#open();
    });
    try {
      return await work();
    } finally {
      this.#inside--;
      this.#alone = false;
      this.#open();
    }
  }

  #open(): void {
    for (let next = this.#waiting[0]; next; next = this.#waiting[0]) {
      if (this.#alone || (next.alone && this.#inside > 0)) return;
      this.#waiting.shift();
      this.#inside++;
      this.#alone = next.alone;
      next.enter();
    }
  }
}
