import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { RatingSchema } from '@tradewind/contracts/ratings/v1/ratings';
import type { RatingRow } from '../rating.ts';
import { aboutOf } from '../subject.ts';

/** A rating as the contract shows it. */
export function ratingMessage({
  id,
  subject,
  value,
  comment,
  customerId,
  createdAt,
  updatedAt,
  revision,
}: Omit<RatingRow, 'customerId'> & { readonly customerId?: string | null | undefined }): MessageInitShape<
  typeof RatingSchema
> {
  return {
    id,
    subject: { about: aboutOf(subject) },
    value,
    comment,
    customerId: customerId ?? '',
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
    revision: BigInt(revision),
  };
}
