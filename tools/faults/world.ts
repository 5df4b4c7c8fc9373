import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { EventLog } from '@tradewind/messaging/log';
import { openLog } from '@tradewind/messaging/open-log';
import type { Variables } from '@tradewind/process/variables';
import { createLogger } from '@tradewind/telemetry/logger';
import { freePort } from '@tradewind/testing/port';
import type { Redis } from '@tradewind/testing/redis';
import type { Addresses } from '../load/books.ts';
import { seedCatalogue, seedTalks } from '../seed.ts';
import { tailOf } from '../start/logs.ts';
import { type Rebuilt, runRebuild } from '../start/rebuild.ts';
import { type ServiceSpec, services, variable } from '../start/services.ts';
import { Supervisor } from '../start/supervisor.ts';
import { ensureDatabase } from './database.ts';
import { type LogKind, type LogSide, openLogSide } from './event-log.ts';
import { type Member, planOf, untilMembersReady } from './member.ts';
import { environment, extras, launch, logFile, type Post, postgresPlan, posts } from './processes.ts';
import { openProxy, type Way } from './proxy.ts';
import { openRedisSide, type RedisSide } from './redis-side.ts';

export type AllAddresses = Addresses & { readonly ratingsUrl: string };

export interface WorldOptions {
  /** Absolute; made when missing. */
  readonly dataDir: string;
  readonly log: LogKind;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

const STOP_MS = 6_000;

/** Everything that runs, with a proxy between any two parts of it; also what may be done to it. */
export class World implements AsyncDisposable {
  readonly options: WorldOptions;
  readonly members: Member[] = [];
  /** Services' processes that ended though nobody had killed or stopped them. */
  readonly unasked: string[] = [];
  /** How often something was started again. */
  restarts = 0;
  readonly postgres: Supervisor;
  readonly #scope = new AsyncDisposableStack();
  readonly #postgresPort: number;
  readonly #ports = new Map<string, number>();
  readonly #fronts = new Map<string, Way>();
  #side: LogSide | undefined;
  #redisSide: RedisSide | undefined;
  #log: EventLog | undefined;

  static async open(options: WorldOptions): Promise<World> {
    const world = new World(options, await freePort());
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world[Symbol.asyncDispose]();
      throw error;
    }
  }

  private constructor(options: WorldOptions, postgresPort: number) {
    this.options = options;
    this.#postgresPort = postgresPort;
    this.postgres = this.#supervise(postgresPlan(options.dataDir, postgresPort));
  }

  /** Straight to the log. */
  get log(): EventLog {
    if (!this.#log) throw new Error('the log is not open');
    return this.#log;
  }

  get side(): LogSide {
    if (!this.#side) throw new Error('there is no log');
    return this.#side;
  }

  /** Undefined where none is installed. */
  get redis(): Redis | undefined {
    return this.#redisSide?.redis;
  }

  /** Straight to the services. */
  get addresses(): AllAddresses {
    return this.#addresses((name) => this.#ports.get(name));
  }

  /** As clients reach them. */
  get outside(): AllAddresses {
    return this.#addresses((name) => this.#fronts.get(name)?.port);
  }

  /** Between clients and a service. */
  front(service: string): Way {
    const proxy = this.#fronts.get(service);
    if (!proxy) throw new Error(`there is no service "${service}"`);
    return proxy;
  }

  /** Straight to a database. */
  databaseUrl(name: string): string {
    return `postgres://postgres@127.0.0.1:${this.#postgresPort}/${name}`;
  }

  named(name: string): Member {
    const member = this.members.find((one) => one.name === name);
    if (!member) throw new Error(`there is no process "${name}"`);
    return member;
  }

  group(service: string): Member[] {
    return this.members.filter(({ spec, role }) => spec.name === service && role === 'listen');
  }

  /** Resolves when each process is ready. Rejects after two minutes with which is not, and why. */
  async ready(members: readonly Member[] = this.members): Promise<void> {
    await untilMembersReady(members, this.options);
  }

  /** Ends a process in order; it stays away until it is released. */
  async hold({ supervisor }: Member): Promise<void> {
    await supervisor.stop(STOP_MS);
  }

  async release(member: Member): Promise<void> {
    this.restarts += 1;
    await member.supervisor.start();
    await this.ready([member]);
  }

  /** Lets one more listener join a service's group; disposing it makes it leave. */
  async extra(service: string): Promise<Member & AsyncDisposable> {
    const post = extras.find(({ spec }) => spec.name === service);
    if (!post) throw new Error(`${service} has no place for one more`);
    const member = await this.#member(post);
    await member.supervisor.start(this.options.signal);
    return Object.assign(member, {
      [Symbol.asyncDispose]: async () => {
        await member.supervisor.stop(STOP_MS);
        await member.database[Symbol.asyncDispose]();
      },
    });
  }

  /** Makes the counts of ratings again from the log, by the command, straight to both. */
  async rebuild(onSpawn?: Parameters<typeof runRebuild>[0]['onSpawn']): Promise<Rebuilt> {
    return await runRebuild({
      databaseUrl: this.databaseUrl('ratings'),
      eventLogUrl: this.side.url,
      env: process.env,
      ...(onSpawn && { onSpawn }),
    });
  }

  async #start(): Promise<void> {
    const { dataDir, signal, say, log } = this.options;
    mkdirSync(join(dataDir, 'logs'), { recursive: true });
    say('starting PostgreSQL and the log');
    this.#scope.defer(() => this.postgres.stop(10_000));
    await this.postgres.start(signal);
    for (const name of [...services.map(({ name }) => name), ...(log === 'postgres' ? ['log'] : [])])
      await ensureDatabase(this.databaseUrl('postgres'), name);
    const names = [...posts, ...extras].map(({ name }) => name);
    this.#side = this.#scope.use(
      await openLogSide(log, { dataDir, databaseUrl: this.databaseUrl('log'), names, say }),
    );
    const raters = names.filter((name) => name.startsWith('ratings '));
    this.#redisSide = await openRedisSide(dataDir, raters, say);
    if (this.#redisSide) this.#scope.use(this.#redisSide);
    for (const { name } of services) {
      const port = await freePort();
      this.#ports.set(name, port);
      const proxy = await openProxy({ name: `clients ↔ ${name}`, port: await freePort(), target: port });
      this.#fronts.set(name, this.#scope.use(proxy));
    }
    say('starting the services');
    for (const spec of services) await this.#migrate(spec);
    for (const post of posts) {
      const member = await this.#member(post);
      this.members.push(member);
      this.#scope.use(member.database);
      await member.supervisor.start(signal);
    }
    // Side by side, and before the ways to what they need are closed.
    this.#scope.defer(async () => {
      await Promise.all(this.members.map(({ supervisor }) => supervisor.stop(STOP_MS)));
    });
    await this.ready();
    const { productUrl, stockUrl, ratingsUrl } = this.addresses;
    await seedCatalogue({ productUrl, stockUrl, signal });
    await seedTalks({ ratingsUrl, signal });
    const logger = createLogger({ service: 'faults', level: 'silent' });
    this.#log = this.#scope.use(await openLog({ url: this.side.url, logger }));
  }

  async #migrate(spec: ServiceSpec): Promise<void> {
    const name = `${spec.name} migrate`;
    const env = this.#environment(spec, {
      DATABASE_URL: this.databaseUrl(spec.name),
      EVENT_LOG_URL: this.side.url,
    });
    const end = await launch({ name, spec }, ['migrate'], { dataDir: this.options.dataDir, env }).exited;
    if (end !== 'exit code 0')
      throw new Error(`${name} failed (${end}):\n${tailOf(logFile(this.options.dataDir, name))}`);
  }

  async #member(post: Post): Promise<Member> {
    const { spec, role, name } = post;
    const way = this.side.ways.get(name);
    if (!way) throw new Error(`${name} has no way to the log`);
    const database = await openProxy({
      name: `${name} ↔ database`,
      port: await freePort(),
      target: this.#postgresPort,
    });
    const redis = this.#redisSide?.ways.get(name);
    const url = new URL(this.databaseUrl(spec.name));
    url.port = String(database.port);
    const port = role === 'serve' ? this.#ports.get(spec.name) : await freePort();
    const env = this.#environment(spec, {
      [role === 'serve' ? 'PORT' : 'HEALTH_PORT']: String(port),
      DATABASE_URL: url.href,
      EVENT_LOG_URL: way.url,
      // Nobody else's.
      REDIS_URL: redis && `redis://127.0.0.1:${redis.port}`,
    });
    const supervisor = this.#supervise(planOf(post, this.options.dataDir, env));
    return {
      ...post,
      supervisor,
      database,
      log: way.proxy,
      ...(redis && { redis }),
      readyUrl: `http://127.0.0.1:${port}/health/ready`,
    };
  }

  #environment(spec: ServiceSpec, own: Variables): NodeJS.ProcessEnv {
    // What is no service does not run here, and is not to be looked for elsewhere.
    const front = (called: string) => {
      const proxy = this.#fronts.get(called);
      return proxy && `http://127.0.0.1:${proxy.port}`;
    };
    const calls = (spec.calls ?? []).map((called) => [variable(called, 'URL'), front(called)] as const);
    return environment(this.options.dataDir, { ...Object.fromEntries(calls), ...own });
  }

  #addresses(portOf: (service: string) => number | undefined): AllAddresses {
    const url = (name: string) => `http://127.0.0.1:${portOf(name)}`;
    return {
      orderUrl: url('order'),
      productUrl: url('product'),
      stockUrl: url('stock'),
      ratingsUrl: url('ratings'),
    };
  }

  #supervise(plan: ConstructorParameters<typeof Supervisor>[0]): Supervisor {
    return new Supervisor(plan, {
      onSpawn: () => undefined,
      say: (line) => {
        const [, how] = / ended \((.+)\); starting it again/.exec(line) ?? [];
        if (how === undefined) return;
        this.restarts += 1;
        // A server whose last connections are still ending does not start at once.
        if (how !== 'killed by SIGKILL' && plan.name !== 'postgres')
          this.unasked.push(`${plan.name} ended by itself: ${how}`);
      },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A process that is stopped by SIGSTOP can't end in order.
    for (const { supervisor } of this.members) supervisor.kill('SIGCONT');
    await this.#scope.disposeAsync();
  }
}
