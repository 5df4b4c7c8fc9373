import type { Chance } from '../kills/chance.ts';
import type { Sight } from './database.ts';
import type { ExpectedLetter, Rogue } from './rogue.ts';
import type { Sabotaged } from './sabotage.ts';
import type { World } from './world.ts';

/** What a fault may lay hands on. */
export interface Stage {
  readonly world: World;
  readonly rogue: Rogue;
  readonly databases: Readonly<Record<Sabotaged, Sight>>;
  /** A dead letter that must be found at rest. */
  readonly expect: (letter: ExpectedLetter) => void;
  /** Talks that are known. */
  readonly talks: readonly string[];
  /** So many customers rate, at once. */
  readonly rate: (ratings: number) => void;
  readonly signal: AbortSignal;
}

/** One fault, chosen and not done yet. */
export interface Strike {
  /** For people: whom it hits, and how. */
  readonly target: string;
  /**
   * Does the harm and takes it back; resolves when nothing is kept away any more, which is not yet when all has recovered.
   * @param hit to be called in the moment in which the harm begins
   */
  run(hit: () => void): Promise<void>;
}

/** Chooses a strike of one kind; undefined where there is nothing of the kind to hit. */
export type Striker = (stage: Stage, dice: Chance) => Strike | undefined;

export function oneOf<T>(items: readonly T[], dice: Chance): T {
  const item = items[dice.below(items.length)];
  if (item === undefined) throw new Error('there is nothing to choose from');
  return item;
}

/** Anything from `least` to `most`. */
export const between = (least: number, most: number, dice: Chance): number =>
  Math.round(least + dice.next() * (most - least));

export const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`;
