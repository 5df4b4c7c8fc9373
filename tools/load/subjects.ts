import type { Subject } from '@tradewind/contracts/ratings/v1/summary';

/** Which subject, as the contract has it. */
export type About = Subject['about'];

/** A subject's name in one line: the key of its records. `flight-of-the-gopher`, `product/1`, `service-provider/<uuid>`. */
export function subjectOf(about: About): string {
  switch (about.case) {
    case 'talkId':
      return about.value;
    case 'productId':
      return productSubject(about.value);
    case 'serviceProviderId':
      return providerSubject(about.value);
    case undefined:
      throw new Error('a subject without an id');
  }
}

export const productSubject = (id: number): string => `product/${id}`;
export const providerSubject = (id: string): string => `service-provider/${id}`;

/** The contract's form of it. */
export function aboutOf(subject: string): NonNullable<About> & { readonly case: string } {
  const [, kind, id = ''] = /^(product|service-provider)\/(.+)$/.exec(subject) ?? [];
  if (kind === 'product') return { case: 'productId', value: Number(id) };
  if (kind === 'service-provider') return { case: 'serviceProviderId', value: id };
  return { case: 'talkId', value: subject };
}
