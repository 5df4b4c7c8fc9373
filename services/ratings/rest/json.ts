import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { Code, ConnectError } from '@connectrpc/connect';
import type { Customer } from '@tradewind/contracts/ratings/v1/people';
import type { Rating } from '@tradewind/contracts/ratings/v1/ratings';
import type { Subject, Summary } from '@tradewind/contracts/ratings/v1/summary';
import type { GetTalkStatisticsResponse } from '@tradewind/contracts/ratings/v1/talk';
import { comment, stars, time, uuid } from './route-schema.ts';

/** A customer or a service provider as every answer shows them. */
export const personSchema = {
  type: 'object',
  properties: {
    id: uuid,
    name: { type: 'string' },
    email: { type: 'string' },
    created_at: time,
    updated_at: time,
  },
} as const;

export function personJson({
  id,
  name,
  email,
  createdAt,
  updatedAt,
}: Pick<Customer, 'id' | 'name' | 'email' | 'createdAt' | 'updatedAt'>) {
  return { id, name, email, created_at: timeJson(createdAt), updated_at: timeJson(updatedAt) };
}

/** A rating as every answer shows it; what it is about has one of three names. */
export const ratingSchema = {
  type: 'object',
  properties: {
    id: uuid,
    talkId: { type: 'string' },
    productId: { type: 'integer' },
    serviceProviderId: uuid,
    customerId: { ...uuid, description: 'Left out for the rating of a talk.' },
    rating: stars,
    comment,
    created_at: time,
    updated_at: time,
    revision: { type: 'integer', description: 'Grows by one with each change, from 1.' },
  },
} as const;

export function ratingJson(rating: Rating) {
  const { id, subject, customerId, value, comment, createdAt, updatedAt, revision } = rating;
  return {
    id,
    ...subjectJson(subject),
    ...(customerId !== '' && { customerId }),
    rating: value,
    comment,
    created_at: timeJson(createdAt),
    updated_at: timeJson(updatedAt),
    revision: Number(revision),
  };
}

function subjectJson(subject: Subject | undefined): Record<string, string | number> {
  const about = subject?.about;
  return about?.case === undefined ? {} : { [about.case]: about.value };
}

/** How a service provider or a product was rated. */
export const averageSchema = {
  type: 'object',
  properties: {
    serviceProviderId: uuid,
    productId: { type: 'integer' },
    averageRating: { type: 'number', description: '0 when there are no ratings.' },
    totalRatings: { type: 'integer' },
    lastUpdated: { type: ['string', 'null'], format: 'date-time', description: 'Of the newest rating.' },
  },
} as const;

export function averageJson({ subject, average, count, changedAt }: Summary) {
  return {
    ...subjectJson(subject),
    averageRating: average,
    totalRatings: Number(count),
    lastUpdated: changedAt ? timeJson(changedAt) : null,
  };
}

/** How a talk was rated. */
export const talkStatisticsSchema = {
  type: 'object',
  properties: {
    ratings: {
      type: 'object',
      description:
        'How many ratings of each value there are, as decimals; values that nobody gave are left out.',
      additionalProperties: { type: 'string' },
    },
    stats: {
      type: 'object',
      description: 'What the statistics function says; left out when it can not be reached.',
      properties: { avg: { type: 'number' }, totalCount: { type: 'integer' } },
    },
  },
  examples: [{ ratings: { 5: '3', 4: '1' }, stats: { avg: 4.75, totalCount: 4 } }],
} as const;

/** As text, the best first: an object of JavaScript would have its numbers in their own order. */
export function talkStatisticsText({ summary, statistics }: GetTalkStatisticsResponse): string {
  const counts = Object.entries(summary?.counts ?? {}).sort(([a], [b]) => Number(b) - Number(a));
  const ratings = counts.map(([value, count]) => `"${value}":"${count}"`).join(',');
  const stats = statistics && { avg: statistics.avg, totalCount: Number(statistics.totalCount) };
  return `{"ratings":{${ratings}}${stats ? `,"stats":${JSON.stringify(stats)}` : ''}}`;
}

export function timeJson(time: Timestamp | undefined): string {
  return time ? timestampDate(time).toISOString() : '';
}

/** What every answer of the call has. */
export function present<T>(part: T | undefined): T {
  if (part === undefined) throw new ConnectError('a part of the answer is missing', Code.Internal);
  return part;
}
