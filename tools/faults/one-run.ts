import { chance } from '../kills/chance.ts';
import { openBooks } from '../load/books.ts';
import { untilKnown } from '../load/rate-all.ts';
import { listTalks } from '../load/ratings-books.ts';
import { productSubject } from '../load/subjects.ts';
import { judgeRebuild } from '../start/rebuild.ts';
import { Sight } from './database.ts';
import { whereTheyAre } from './evidence.ts';
import { ForeignRatings } from './foreign.ts';
import { type Case, judge } from './judge.ts';
import { readLedger } from './ledger.ts';
import { Letters } from './letters.ts';
import { perform } from './perform.ts';
import { describeFault, type FaultRecord } from './report.ts';
import { Rogue } from './rogue.ts';
import type { FaultOptions, FaultsHooks } from './run.ts';
import { plantSabotage, sabotaged } from './sabotage.ts';
import { type Planned, schedule, strikerOf } from './schedule.ts';
import type { Stage } from './strike.ts';
import { Told } from './told.ts';
import { Traffic } from './traffic.ts';
import { World } from './world.ts';

/** So many orders open make a fault count. */
const OPEN = 10;
/** So many come while the counts of ratings are made again at the end. */
const LAST_RATINGS = 60;
/** So many faults that counted are between two audits. */
const AUDIT_EVERY = 20;

/** One run, and what is known of it so far. */
export class Run {
  readonly records: FaultRecord[] = [];
  readonly #options: FaultOptions;
  readonly #hooks: FaultsHooks;
  #world: World | undefined;
  #traffic: Traffic | undefined;
  #audits = 0;

  constructor(options: FaultOptions, hooks: FaultsHooks) {
    this.#options = options;
    this.#hooks = hooks;
  }

  figures() {
    return {
      audits: this.#audits,
      accepted: this.#traffic?.accepted ?? 0,
      rated: this.#traffic?.rated ?? 0,
      retries: this.#traffic?.retries ?? 0,
      restarts: this.#world?.restarts ?? 0,
    };
  }

  /** @returns what is wrong; none when all is well */
  async whole(dataDir: string): Promise<readonly string[]> {
    const { say, signal } = this.#hooks;
    const { log, seed } = this.#options;
    await using world = await World.open({ dataDir, log, signal, say });
    this.#world = world;
    const sight = (service: string) => new Sight(world.databaseUrl(service));
    await using order = sight('order');
    await using stock = sight('stock');
    await using product = sight('product');
    await using ratings = sight('ratings');
    const databases = { order, stock, product, ratings };
    for (const service of sabotaged) await plantSabotage(databases[service], service);
    const { products } = await readLedger(databases);
    const catalogue = products.map(({ product_id }) => product_id).sort((a, b) => a - b);
    const talks = await known(world, catalogue, signal);
    const addresses = world.outside;
    await using traffic = new Traffic({ addresses, seed: seed + 1, catalogue, talks, signal });
    this.#traffic = traffic;
    const [letters, told, foreign] = [new Letters(), new Told(), new ForeignRatings()];
    const expected: Case['expected'][number][] = [];
    const rogue = new Rogue(() => world.log, catalogue);
    const putIn = new Map(products.map(({ product_id, put_in }) => [product_id, Number(put_in)]));
    const stage: Stage = {
      world,
      rogue,
      databases,
      talks,
      rate: (count) => traffic.rate(count),
      expect: (letter) => void expected.push(letter),
      signal,
    };
    say(`everything runs: ${world.members.length} processes of services`);
    return await this.#inTurn(stage, {
      world,
      traffic,
      letters,
      told,
      foreign,
      rogue,
      expected,
      databases,
      putIn,
      signal,
    });
  }

  async #inTurn(stage: Stage, given: Case): Promise<readonly string[]> {
    const { faults, minutes } = this.#options;
    const deadline = Date.now() + minutes * 60_000;
    let audited = 0;
    given.traffic.resume();
    for (const planned of schedule(this.#options)) {
      const counted = this.records.filter(({ counts }) => counts).length;
      const over = counted >= faults || Date.now() > deadline;
      if (over || counted >= audited + AUDIT_EVERY) {
        audited = counted;
        const findings = over ? await this.#end(given, stage) : await this.#audit(given);
        if (over || findings.length > 0) return counted === 0 ? ['no fault counted', ...findings] : findings;
        given.traffic.resume();
      }
      const findings = await this.#one(planned, stage, given);
      if (findings.length > 0) return findings;
    }
    return [];
  }

  async #one(planned: Planned, stage: Stage, given: Case): Promise<readonly string[]> {
    const { say } = this.#hooks;
    const dice = chance(planned.seed);
    const strike = strikerOf(planned.kind)(stage, dice);
    if (!strike) return [];
    const { record, findings } = await perform(planned, strike, {
      stage,
      traffic: given.traffic,
      dice,
      open: OPEN,
    });
    this.records.push(record);
    say(describeFault(record, this.records.filter(({ counts }) => counts).length));
    if (findings.length === 0) return [];
    return [...findings, ...(await whereTheyAre(given))];
  }

  /** The counts of ratings are what the log says, while customers rate as well as at rest. */
  async #end(given: Case, { rate }: Stage): Promise<readonly string[]> {
    const rebuilt = async (when: string) => {
      const result = await given.world.rebuild();
      const findings = judgeRebuild(result, when);
      if (findings.length === 0)
        this.#hooks.say(`        ${result.words.trim().split('\n').at(-1)}, ${when}`);
      return findings;
    };
    rate(LAST_RATINGS);
    const beside = await rebuilt('while customers rate');
    const audited = await this.#audit(given);
    return [...beside, ...audited, ...(await rebuilt('at rest'))];
  }

  async #audit(given: Case): Promise<readonly string[]> {
    const began = Date.now();
    const findings = await judge(given);
    this.#audits += 1;
    const took = ((Date.now() - began) / 1_000).toFixed(1);
    const { accepted, rated } = given.traffic;
    const outcome = findings.length === 0 ? 'clean' : 'NOT CLEAN';
    this.#hooks.say(
      `        audit at rest after ${took} s, ${accepted} orders and ${rated} ratings so far: ${outcome}`,
    );
    return findings.length === 0 ? [] : [...findings, ...(await whereTheyAre(given))];
  }
}

/** The talks; resolves when the ratings service has heard of the catalogue. */
async function known(world: World, catalogue: readonly number[], signal: AbortSignal): Promise<string[]> {
  const patienceMs = 60_000;
  const books = openBooks({ ...world.addresses, signal, patienceMs });
  await untilKnown(books, catalogue.map(productSubject), { signal, patienceMs });
  return await Array.fromAsync(listTalks(books));
}
