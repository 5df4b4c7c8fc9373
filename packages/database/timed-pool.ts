import { Pool, type PoolClient, type PoolConfig } from 'pg';

type Taken = (
  error: Error | undefined,
  client: PoolClient | undefined,
  done: (release?: unknown) => void,
) => void;

/** A pool that tells how long each taking of a connection waited, in seconds, also when it waited in vain. */
export class TimedPool extends Pool {
  readonly #onTaken: (seconds: number) => void;

  constructor(config: PoolConfig, onTaken: (seconds: number) => void) {
    super(config);
    this.#onTaken = onTaken;
  }

  // The signature is pg's own pair of overloads.
  override connect(...args: never[]): never {
    const [taken] = args as readonly (Taken | undefined)[];
    const began = performance.now();
    const tell = () => this.#onTaken((performance.now() - began) / 1_000);
    const connect = super.connect as (taken: Taken) => unknown;
    if (taken) {
      return connect.call(this, (error, client, done) => {
        tell();
        taken(error, client, done);
      }) as never;
    }
    const client = super.connect();
    client.then(tell, tell);
    return client as never;
  }

  // The pool's own goes by callbacks: when it had to wait for a connection, the statement would run as part of whatever gave that back.
  override query(...args: never[]): never {
    return this.#ask(args) as never;
  }

  async #ask(args: never[]): Promise<unknown> {
    const client = await (this as Pool).connect();
    try {
      const result = await (client.query as (...args: never[]) => Promise<unknown>).apply(client, args);
      client.release();
      return result;
    } catch (error) {
      // As the pool does: nobody knows in what state it is.
      client.release(error instanceof Error ? error : true);
      throw error;
    }
  }
}
