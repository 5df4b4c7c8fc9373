import { defineEntity, p } from '@mikro-orm/core';

export const RatingEntity = defineEntity({
  name: 'Rating',
  tableName: 'rating',
  properties: {
    id: p.uuid().primary(),
    subject: p.text(),
    /** Null for the rating of a talk. */
    customerId: p.uuid().nullable(),
    /** 1 to 5. */
    value: p.smallint(),
    comment: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    revision: p.bigint('number'),
  },
});

/** What somebody thinks of a subject. */
export class Rating extends RatingEntity.class {
  /** Takes another opinion on. Answers whether that changed anything. */
  change(value: number, comment: string, now: Date): boolean {
    if (value === this.value && comment === this.comment) return false;
    this.value = value;
    this.comment = comment;
    // A clock that was set back must not make a change look older than what it changed.
    this.updatedAt = now > this.updatedAt ? now : this.updatedAt;
    this.revision += 1;
    return true;
  }
}
RatingEntity.setClass(Rating);

/** A rating as it is given. */
export type RatingRow = Pick<
  Rating,
  'id' | 'subject' | 'value' | 'comment' | 'createdAt' | 'updatedAt' | 'revision'
> & { readonly customerId: string | null };

/** A rating that is given now. */
export function newRating(
  id: string,
  given: Pick<RatingRow, 'subject' | 'customerId' | 'value' | 'comment'>,
  now: Date,
): RatingRow {
  return { id, ...given, createdAt: now, updatedAt: now, revision: 1 };
}
