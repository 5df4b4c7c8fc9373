import type { RatingEntry } from './ratings-books.ts';

/** A rating that an answer named, as the last answer about it said. */
export interface GivenRating extends RatingEntry {
  /** A change of it that was asked for, and of which nobody knows whether it happened, for no answer came. */
  readonly perhaps?: Opinion;
}

export interface Opinion {
  readonly value: number;
  readonly comment: string;
}

/** A rating that is asked for. */
export interface Wish extends Opinion {
  readonly subject: string;
  /** Empty for a talk's. */
  readonly customerId: string;
}

/** Ratings as they should be found. */
export interface ExpectedRatings {
  /** Each of these must be there. */
  readonly given: readonly GivenRating[];
  /** Each of these may be there once: nobody knows, for no answer came. */
  readonly perhaps: readonly Wish[];
  /** Which ratings nobody else can have given. */
  readonly mine: (rating: RatingEntry) => boolean;
}

/** What is wrong with them; ids of ratings. */
export interface GivenFindings {
  /** Given in an answer, and not there, or not as it was given. */
  readonly lost: string[];
  /** Given in more than one answer. */
  readonly repeated: string[];
  /** There, and nobody gave them. */
  readonly surplus: string[];
}

export function judgeGiven(
  { given, perhaps, mine }: ExpectedRatings,
  ratings: readonly RatingEntry[],
): GivenFindings {
  const there = new Map(ratings.map((rating) => [rating.id, rating]));
  const named = new Set<string>();
  const [lost, repeated] = [new Set<string>(), new Set<string>()];
  for (const rating of given) {
    if (named.has(rating.id)) repeated.add(rating.id);
    named.add(rating.id);
    if (!isAsGiven(rating, there.get(rating.id))) lost.add(rating.id);
  }
  const open = perhaps.map(wishText);
  const surplus = ratings.filter((rating) => {
    if (named.has(rating.id) || !mine(rating)) return false;
    const at = open.indexOf(wishText(rating));
    if (at === -1) return true;
    open.splice(at, 1);
    return false;
  });
  return { lost: [...lost], repeated: [...repeated], surplus: surplus.map(({ id }) => id) };
}

function isAsGiven({ perhaps, ...given }: GivenRating, found: RatingEntry | undefined): boolean {
  if (!found) return false;
  if (text(found) === text(given)) return true;
  const changed = perhaps && { ...given, ...perhaps, revision: given.revision + 1 };
  return changed !== undefined && text(found) === text(changed);
}

const wishText = ({ subject, customerId, value, comment }: Wish) =>
  JSON.stringify([subject, customerId, value, comment]);
const text = ({ revision, ...wish }: RatingEntry) => `${wishText(wish)} ${revision}`;
