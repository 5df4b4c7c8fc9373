import { services } from '../start/services.ts';
import { chance } from './chance.ts';

/** What is killed: a process of a service, PostgreSQL's first process, one of its connections, or what started them all. */
export type Victim = string;

export const POSTMASTER = 'postgres';
export const BACKEND = 'postgres backend';
export const STARTER = 'starter';
/** All of it at once, as when the machine loses its power, but for the disk's cache. */
export const EVERYTHING = 'everything';

/** Every kind of process that there is when `serve` and `listen` run apart. */
export const victims: readonly Victim[] = [
  ...services.flatMap(({ name, roles }) => roles.map((role) => `${name} ${role}`)),
  POSTMASTER,
  BACKEND,
  STARTER,
  EVERYTHING,
];

/** When and what, of one round. */
export interface Strike {
  readonly victim: Victim;
  /** Of the round alone, so that it can be told apart. */
  readonly seed: number;
  /** It comes when so many orders were answered … */
  readonly afterOrders: number;
  /** … and so many milliseconds have passed since. */
  readonly afterMs: number;
  /** Orders begun each second; as many as the clients can when left out. */
  readonly rate?: number;
}

/** The order in which victims come: all kinds equally often, as far as the rounds go round, each pass in another order. */
export function planVictims(rounds: number, seed: number, kinds: readonly Victim[] = victims): Victim[] {
  const dice = chance(seed);
  const passes = Math.ceil(rounds / kinds.length);
  return Array.from({ length: passes }, () => dice.shuffle(kinds))
    .flat()
    .slice(0, rounds);
}

/** How long the orders of a round come when what is killed goes on serving until it is replaced. */
const SLOW_SECONDS = 6;
/** How long they come when each is to be in a small transaction, one of which is under way at almost any moment. */
const PACED_SECONDS = 1;

/** The moment within a replay: anywhere from its first order to its last, and a little beyond; as fast as it goes, or paced. */
export function planStrike(victim: Victim, seed: number, orders: number): Strike {
  const dice = chance(seed);
  const afterOrders = 1 + dice.below(orders);
  // Orders have to come while the orphans end and the next ones start; then few are open at a time, and not for long.
  if (victim === STARTER)
    return { victim, seed, afterOrders, afterMs: dice.below(4), rate: orders / SLOW_SECONDS };
  const paced = dice.next() < 0.5;
  return {
    victim,
    seed,
    afterOrders,
    afterMs: dice.below(25),
    ...(paced && { rate: orders / PACED_SECONDS }),
  };
}
