import { connect as connectTcp, isIP, type Socket } from 'node:net';
import { type ConnectionOptions, connect as connectTls } from 'node:tls';
import type { Logger } from '@tradewind/telemetry/logger';
import { decodeFetch, encodeProduce } from './bodies.ts';
import { Away, check } from './failure.ts';
import {
  type Api,
  type ApiName,
  type Connection,
  type Exchange,
  type KafkajsLogger,
  kafkajs,
} from './protocol.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** How to get in. */
export interface Security {
  readonly tls: ConnectionOptions | null;
  readonly sasl: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512';
    readonly username: string;
    readonly password: string;
  } | null;
}

export interface WireOptions {
  readonly security: Security;
  readonly clientId: string;
  readonly logger: Logger;
  /** How long making the connection may take, in milliseconds. */
  readonly connectMs: number;
}

/**
 * One connection to one broker. A broker answers a connection's requests one after the other, so what may wait (a fetch, a join) has a
 * wire of its own. Once a request was not answered in time the wire is given up, for what comes later would come behind it.
 */
export class Wire implements Disposable {
  readonly address: Address;
  readonly #connection: Connection;
  readonly #sasl: boolean;
  #socket: Socket | undefined;
  #versions: ReadonlyMap<number, number> = new Map();
  #lost: Error | undefined;
  readonly #ended = Promise.withResolvers<never>();

  private constructor(address: Address, { security, clientId, logger, connectMs }: WireOptions) {
    this.address = address;
    this.#sasl = security.sasl !== null;
    this.#ended.promise.catch(() => undefined);
    this.#connection = new kafkajs.Connection({
      ...address,
      clientId,
      ssl: security.tls,
      sasl: security.sasl,
      connectionTimeout: connectMs,
      // Each request has a patience of its own, in `ask`: kafkajs would look at its watch ten times a second.
      requestTimeout: 2 ** 31 - 1,
      enforceRequestTimeout: false,
      logger: quiet(logger),
      socketFactory: ({ host, port, ssl, onConnect }) => {
        const socket = ssl
          ? connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
          : connectTcp({ host, port }, onConnect);
        socket.setKeepAlive(true, 30_000);
        socket.setNoDelay(true);
        socket.on('error', (error) =>
          this.#lose(new Away(`${nameOf({ host, port })}: ${error.message}`, error)),
        );
        // Before kafkajs hears of it, so that what was asked fails for the reason that is known here.
        socket.on('end', () => this.#lose(new Away(`${nameOf({ host, port })} closed the connection`)));
        socket.on('close', () => this.#lose(new Away('the connection was closed')));
        this.#socket = socket;
        return socket;
      },
    });
    // kafkajs 2.2.4 sets this timer with a negative time after every answer; Node warns of it and uses a millisecond.
    const queue = this.#connection.requestQueue;
    const schedule = queue.scheduleCheckPendingRequests;
    queue.scheduleCheckPendingRequests = () => {
      if (queue.pending.length > 0) schedule.call(queue);
    };
  }

  /**
   * Connects and authenticates.
   * @throws Away when nobody answers there, KafkaJSSASLAuthenticationError when the credentials are wrong
   */
  static async open(address: Address, options: WireOptions): Promise<Wire> {
    const wire = new Wire(address, options);
    const late = setTimeout(
      () => wire.#lose(new Away(`no answer from ${nameOf(address)} within ${options.connectMs} ms`)),
      options.connectMs,
    );
    try {
      await Promise.race([wire.#greet(), wire.#ended.promise]);
      return wire;
    } catch (error) {
      wire[Symbol.dispose]();
      throw error;
    } finally {
      clearTimeout(late);
    }
  }

  async #greet(): Promise<void> {
    await this.#connection.connect();
    const { errorCode, apiVersions } = await this.#send('ApiVersions', undefined, 0);
    check(errorCode);
    this.#versions = new Map(apiVersions.map(({ apiKey, maxVersion }) => [apiKey, maxVersion]));
    this.#connection.setVersions(
      Object.fromEntries(apiVersions.map(({ apiKey, ...versions }) => [apiKey, versions])),
    );
    this.#connection.setSupportAuthenticationProtocol(this.#versions.has(kafkajs.apiKeys.SaslAuthenticate));
    await this.#connection.authenticate();
  }

  /** Whether it can still be used. A session that the broker is about to end can't. */
  get alive(): boolean {
    return this.#lost === undefined && (!this.#sasl || this.#connection.isAuthenticated());
  }

  /**
   * Asks the broker.
   * @param patienceMs how long the answer may take
   * @returns the answer as it came: error codes in it are the caller's to read
   * @throws Away when no answer came; it may have been done nevertheless
   */
  async ask<A extends ApiName>(api: A, ask: Api[A]['ask'], patienceMs: number): Promise<Api[A]['answer']> {
    if (this.#lost) throw this.#lost;
    const late = setTimeout(
      () => this.#lose(new Away(`${nameOf(this.address)} did not answer ${api} within ${patienceMs} ms`)),
      patienceMs,
    );
    try {
      return await this.#send(api, ask);
    } catch (error) {
      if (this.#lost) throw this.#lost;
      if (!(error instanceof Error && error.name.startsWith('KafkaJSConnection'))) throw error;
      const away = new Away(`${nameOf(this.address)}: ${error.message}`, error);
      this.#lose(away);
      throw away;
    } finally {
      clearTimeout(late);
    }
  }

  async #send<A extends ApiName>(
    api: A,
    ask: Api[A]['ask'],
    version = this.#versions.get(kafkajs.apiKeys[api]),
  ): Promise<Api[A]['answer']> {
    const definition = kafkajs.requests[api];
    if (version === undefined) throw new Error(`this Kafka does not know ${api}`);
    const best = Math.min(version, Math.max(...definition.versions.map(Number)));
    const { request, response } = definition.protocol({ version: best })(
      api === 'Produce' ? NOTHING : (ask ?? {}),
    );
    const exchange: Exchange = {
      request,
      response: { decode: response.decode, parse: async (decoded) => decoded },
      logResponseError: false,
    };
    const answer = await this.#connection.send(withOwnBody(api, ask, exchange));
    return answer as Api[A]['answer'];
  }

  #lose(error: Error): void {
    if (this.#lost) return;
    this.#lost = error;
    this.#ended.reject(error);
    this.#connection.rejectRequests(error);
    this.#connection.requestQueue.destroy();
    // Without it kafkajs would go on to believe that it is connected.
    this.#connection.disconnect().catch(() => undefined);
    // kafkajs only ends its half, and a broker that is away never ends the other.
    this.#socket?.destroy();
  }

  [Symbol.dispose](): void {
    this.#lose(new Away('the connection was given up'));
  }
}

/** What kafkajs is told to produce: the body is not its own. */
const NOTHING = { acks: -1, timeout: 0, topicData: [] };

/** Records are encoded and decoded here; everything else is kafkajs's. */
function withOwnBody<A extends ApiName>(api: A, ask: Api[A]['ask'], exchange: Exchange): Exchange {
  const { request, response } = exchange;
  if (api === 'Produce') {
    const body = encodeProduce(ask as Api['Produce']['ask']);
    return { ...exchange, request: { ...request, encode: async () => ({ buf: body, buffer: body }) } };
  }
  if (api === 'Fetch') {
    const decode = async (raw: Buffer) => decodeFetch(raw, request.apiVersion);
    return { ...exchange, response: { ...response, decode } };
  }
  return exchange;
}

function nameOf({ host, port }: Address): string {
  return `${host}:${port}`;
}

/** kafkajs tells of each request and of each lost connection; what that means is said elsewhere. */
function quiet(logger: Logger): KafkajsLogger {
  const tell = (message: string, extra?: object) => logger.trace({ ...extra }, `kafkajs: ${message}`);
  const silent = () => undefined;
  const on = logger.isLevelEnabled('trace');
  const told = on ? tell : silent;
  return { namespace: () => quiet(logger), debug: silent, info: told, warn: told, error: told };
}
