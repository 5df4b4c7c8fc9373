import type { MessageInitShape } from '@bufbuild/protobuf';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { append, behind, recordOf } from '@tradewind/testing/events';
import type { TestService } from '@tradewind/testing/service';
import { v7 } from 'uuid';
import { expect, vi } from 'vitest';

type Rated = MessageInitShape<typeof RatedSchema>;

/** A record as the ratings service tells it: of a product, new or changed. The same `id` makes it the same event. */
export function rated(
  productId: number,
  value: number,
  { id, ...more }: Partial<Rated> & { id?: string } = {},
) {
  const about = { case: 'productId', value: productId } as const;
  const rating = { subject: `product/${productId}`, about, value, ratingId: v7(), revision: 1n };
  return recordOf(RatedSchema, { ...rating, ...more } as Rated, id);
}

/** Waits until everything on the log so far was dealt with. */
export async function heard({ log }: Pick<TestService, 'log'>): Promise<void> {
  await vi.waitFor(async () => expect(await behind(log, 'product', RatedSchema)).toBe(0), 10_000);
}

/** Puts ratings of a product on the log, and waits until they are counted. */
export async function rate(running: TestService, productId: number, ...values: number[]): Promise<void> {
  await append(running.log, ...values.map((value) => rated(productId, value)));
  await heard(running);
}
