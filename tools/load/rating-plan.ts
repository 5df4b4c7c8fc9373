import { type Chance, chance } from '../kills/chance.ts';
import type { PlannedRating } from './rate.ts';

/** What can be rated, and by whom. */
export interface RatingField {
  readonly talks: readonly string[];
  /** Products and service providers. */
  readonly subjects: readonly string[];
  /** Ids; as many as `customersFor` says. */
  readonly customers: readonly string[];
}

/** Every third rating is a talk's. */
const TALKS = 3;
/** Of customers' ratings every so many'th is changed. */
const CHANGES = 5;
/** Most are content. */
const VALUES = [5, 5, 5, 4, 4, 3, 2, 1] as const;
const COMMENTS = ['', 'Great', 'Not bad', 'Größer als gedacht', '<b>?</b>', '👍'] as const;

/** Each of them rates each subject once at most. */
export function customersFor(ratings: number, subjects: number): number {
  return Math.max(1, Math.ceil(ratings / Math.max(1, subjects)));
}

/** The ratings of a run; the same for the same run and field, so that a run that goes on repeats what it asked for. */
export function planRatings(tag: string, count: number, field: RatingField): PlannedRating[] {
  const dice = chance(seedOf(tag));
  const { talks, subjects, customers } = field;
  let pairs = 0;
  return Array.from({ length: count }, (_, n): PlannedRating => {
    const key = `${tag}:rating:${n + 1}`;
    const talk = n % TALKS === 0 ? oneOf(talks, dice) : undefined;
    const value = oneOf(VALUES, dice) ?? 5;
    if (talk !== undefined) return { key, wish: { subject: talk, customerId: '', value, comment: '' } };
    const pair = pairs++;
    const subject = subjects[pair % subjects.length];
    const customerId = customers[Math.floor(pair / subjects.length)];
    if (subject === undefined || customerId === undefined) throw new Error('there is nothing to rate');
    const wish = { subject, customerId, value, comment: oneOf(COMMENTS, dice) ?? '' };
    if (pair % CHANGES !== 0) return { key, wish };
    return { key, wish, change: { value: oneOf(VALUES, dice) ?? 5, comment: `${wish.comment}!` } };
  });
}

function oneOf<T>(items: readonly T[], dice: Chance): T | undefined {
  return items[dice.below(items.length)];
}

function seedOf(tag: string): number {
  let seed = 0;
  for (const letter of tag) seed = (Math.imul(seed, 31) + letter.charCodeAt(0)) | 0;
  return seed;
}
