import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { type Fact, factOf } from '@tradewind/messaging/event';
import type { TraceContext } from '@tradewind/telemetry/trace-context';
import type { RatingRow } from './rating.ts';
import { aboutOf } from './subject.ts';

export interface Rated {
  readonly rating: RatingRow;
  /** Empty when nobody knows who rated. */
  readonly customerName?: string;
  /** What it was before it was changed. */
  readonly previousValue?: number;
}

/** The fact that something was rated, or a rating changed. */
export function rated({ rating, customerName = '', previousValue }: Rated, trace?: TraceContext): Fact {
  const { id: ratingId, subject, customerId, value, comment, updatedAt, revision } = rating;
  const event = {
    subject,
    about: aboutOf(subject),
    value,
    ...(previousValue !== undefined && { previousValue }),
    ratingId,
    customerId: customerId ?? '',
    customerName,
    comment,
    ratedAt: timestampFromDate(updatedAt),
    revision: BigInt(revision),
  };
  return trace ? factOf(RatedSchema, event, trace) : factOf(RatedSchema, event);
}
