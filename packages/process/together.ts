/** Long work by name. Each ends soon after its signal is aborted. */
export type Parts = Readonly<Record<string, (signal: AbortSignal) => Promise<void>>>;

/** Keeps the names of work that goes on, so that a shutdown that takes too long can say what it waits for. */
export class Running {
  readonly #names = new Map<symbol, string>();

  names(): readonly string[] {
    return [...this.#names.values()];
  }

  async track<T>(name: string, work: () => Promise<T>): Promise<T> {
    const key = Symbol(name);
    this.#names.set(key, name);
    try {
      return await work();
    } finally {
      this.#names.delete(key);
    }
  }
}

/**
 * Runs parts side by side until the signal is aborted. When one of them fails, or ends though nobody asked it to, the others are
 * stopped as well, and the first failure is thrown after the last has ended.
 */
export async function together(parts: Parts, signal: AbortSignal, running = new Running()): Promise<void> {
  const failed = new AbortController();
  const any = AbortSignal.any([signal, failed.signal]);
  let first: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    first ??= { error };
    failed.abort(error);
  };
  await Promise.all(
    Object.entries(parts).map(async ([name, part]) => {
      try {
        await running.track(name, () => part(any));
        if (!any.aborted) fail(new Error(`${name} ended though nobody asked it to`));
      } catch (error) {
        // Rejecting with the stop itself is a way of stopping.
        if (!(any.aborted && error === any.reason)) fail(error);
      }
    }),
  );
  if (first) throw first.error;
}
