import { ConnectError } from '@connectrpc/connect';
import type { GivenRating, Opinion, Wish } from './expected-ratings.ts';
import type { Rater } from './rater.ts';
import { isTransient, type Patience, untilAnswered } from './until-answered.ts';

/** A rating that is to be given, and perhaps changed afterwards. */
export interface PlannedRating {
  /** The idempotency key: the same on every attempt, unique among ratings. */
  readonly key: string;
  readonly wish: Wish;
  readonly change?: Opinion;
}

export interface Rated {
  /** Named in an answer. */
  readonly given?: GivenRating;
  readonly changed?: boolean;
  /** Not answered: it may be there or not. */
  readonly perhaps?: Wish;
  /** What its customer should not have heard, and whether it was an answer. */
  readonly trouble?: { readonly error: string; readonly answered: boolean };
}

/** Gives a rating and changes it, each until it is answered. */
export async function rate(
  rater: Rater,
  { key, wish, change }: PlannedRating,
  patience: Patience,
): Promise<Rated> {
  const attempt = async <T>(work: () => Promise<T>) => {
    try {
      return { done: await untilAnswered(work, patience) };
    } catch (error) {
      patience.signal?.throwIfAborted();
      const cause = ConnectError.from(error);
      return { trouble: { error: `${key}: ${cause.message}`, answered: !isTransient(cause) } };
    }
  };
  const made = await attempt(() => rater.give(key, wish));
  if (made.trouble) return { trouble: made.trouble, ...(!made.trouble.answered && { perhaps: wish }) };
  const given = made.done;
  if (!change) return { given };
  const later = await attempt(() => rater.change(`${key}:change`, given, change));
  if (!later.trouble) return { given: later.done, changed: later.done.revision > given.revision };
  return { given: later.trouble.answered ? given : { ...given, perhaps: change }, trouble: later.trouble };
}
