import { chance } from '../kills/chance.ts';
import type { LogKind } from './event-log.ts';
import type { Striker } from './strike.ts';
import { deadly, endless, hanging, poison, throwing } from './strikes/handlers.ts';
import { foreignRatings, garbage, repeatRecords, rewind, unknownOrders } from './strikes/messages.ts';
import { isolate, refuseDatabase, reset, slow, stall, throttle } from './strikes/network.ts';
import {
  blackout,
  extraListener,
  freezeProcess,
  killProcess,
  killTwo,
  rebalanceStorm,
  rollingRestart,
} from './strikes/processes.ts';
import { rebuildBeside } from './strikes/rebuild.ts';
import { flushRedis, freezeRedis, killRedis } from './strikes/redis.ts';
import {
  freezeBroker,
  freezePostgres,
  killBackend,
  killBroker,
  killPostgres,
  restartBroker,
  restartPostgres,
} from './strikes/stores.ts';

interface Kind {
  readonly strike: Striker;
  /** How often it comes in one pass through all kinds. */
  readonly times: number;
  /** Only where there is a broker. */
  readonly kafka?: boolean;
}

const kinds = {
  kill: { strike: killProcess, times: 8 },
  'kill-two': { strike: killTwo, times: 2 },
  'kill-postgres': { strike: killPostgres, times: 1 },
  'kill-backend': { strike: killBackend, times: 2 },
  'kill-broker': { strike: killBroker, times: 2, kafka: true },
  blackout: { strike: blackout, times: 1 },
  'kill-redis': { strike: killRedis, times: 1 },
  'flush-redis': { strike: flushRedis, times: 1 },
  'restart-postgres': { strike: restartPostgres, times: 1 },
  'restart-broker': { strike: restartBroker, times: 1, kafka: true },
  'rolling-restart': { strike: rollingRestart, times: 1 },
  freeze: { strike: freezeProcess, times: 3 },
  'freeze-postgres': { strike: freezePostgres, times: 1 },
  'freeze-redis': { strike: freezeRedis, times: 1 },
  'freeze-broker': { strike: freezeBroker, times: 1, kafka: true },
  'refuse-database': { strike: refuseDatabase, times: 2 },
  isolate: { strike: isolate, times: 2 },
  stall: { strike: stall, times: 3 },
  reset: { strike: reset, times: 4 },
  slow: { strike: slow, times: 2 },
  throttle: { strike: throttle, times: 1 },
  repeat: { strike: repeatRecords, times: 2 },
  'unknown-orders': { strike: unknownOrders, times: 2 },
  'foreign-ratings': { strike: foreignRatings, times: 1 },
  garbage: { strike: garbage, times: 1 },
  rewind: { strike: rewind, times: 1 },
  rebuild: { strike: rebuildBeside, times: 1 },
  throw: { strike: throwing, times: 2 },
  hang: { strike: hanging, times: 1 },
  poison: { strike: poison, times: 1 },
  deadly: { strike: deadly, times: 1 },
  endless: { strike: endless, times: 1 },
  storm: { strike: rebalanceStorm, times: 2 },
  'extra-listener': { strike: extraListener, times: 1 },
} as const satisfies Record<string, Kind>;

export type KindName = keyof typeof kinds;
export const kindNames = Object.keys(kinds) as readonly KindName[];

export const strikerOf = (kind: KindName): Striker => kinds[kind].strike;

/** One fault of a schedule: its seed alone says whom it hits, when and for how long. */
export interface Planned {
  readonly kind: KindName;
  readonly seed: number;
}

export interface ScheduleOptions {
  readonly seed: number;
  readonly log: LogKind;
  /** All when left out. */
  readonly kinds?: readonly KindName[];
}

/** Faults without end, pass after pass: in each all kinds as often as they should come, in another order. */
export function* schedule({
  seed,
  log,
  kinds: only = kindNames,
}: ScheduleOptions): Generator<Planned, never> {
  const dice = chance(seed);
  const pass = only
    .filter((name) => log === 'kafka' || !('kafka' in kinds[name]))
    .flatMap((name) => Array.from({ length: kinds[name].times }, () => name));
  if (pass.length === 0) throw new Error(`none of ${only.join(', ')} can be done to a log of ${log}`);
  for (;;) for (const kind of dice.shuffle(pass)) yield { kind, seed: dice.below(2 ** 32) };
}
