import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Rated } from '@tradewind/contracts/ratings/v1/events';
import type { Subject, SubjectSchema } from '@tradewind/contracts/ratings/v1/summary';

/** What can be rated. A product is known by its events, the others by calls. */
export type Kind = 'talk' | 'product' | 'service-provider';

/** Which subject, as contracts have it: one of its ids. */
export type About = Subject['about'] | Rated['about'];

const PRODUCT = /^product\/([1-9]\d*)$/;
const PROVIDER = /^service-provider\/(.+)$/;

/** A subject's id: the key of its records and rows. A talk's is its own, which has no slash. */
export function subjectId(about: About): string {
  switch (about.case) {
    case 'talkId':
      return about.value;
    case 'productId':
      return `product/${about.value}`;
    case 'serviceProviderId':
      return `service-provider/${about.value.toLowerCase()}`;
    case undefined:
      throw new Error('a subject without an id passed the contract');
  }
}

/** The contract's form of a subject's id. */
export function aboutOf(id: string): NonNullable<MessageInitShape<typeof SubjectSchema>['about']> {
  const product = PRODUCT.exec(id)?.[1];
  if (product !== undefined) return { case: 'productId', value: Number(product) };
  const provider = PROVIDER.exec(id)?.[1];
  if (provider !== undefined) return { case: 'serviceProviderId', value: provider };
  return { case: 'talkId', value: id };
}

/** What a subject is, by its id. */
export function kindOf(id: string): Kind {
  if (PRODUCT.test(id)) return 'product';
  return PROVIDER.test(id) ? 'service-provider' : 'talk';
}

/** For people: `product 1`. */
export function inWords({ case: kind, value }: About): string {
  const names = { talkId: 'talk', productId: 'product', serviceProviderId: 'service provider' };
  return kind === undefined ? 'nothing' : `${names[kind]} ${value}`;
}

/** The field of a request that names the subject. */
export function fieldOf({ case: kind }: About): string {
  const fields = {
    talkId: 'talk_id',
    productId: 'subject.product_id',
    serviceProviderId: 'subject.service_provider_id',
  };
  return kind === undefined ? 'subject' : fields[kind];
}
