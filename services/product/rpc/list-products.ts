import type { ProductService } from '@tradewind/contracts/product/v1/product';
import type { Handler } from '@tradewind/rpc/implement';
import type { ServiceDeps } from '@tradewind/service/define';
import { after, matching, sorting } from '../listing.ts';
import { type Listing, pageToken, positionOf } from '../page-token.ts';
import { Product } from '../product.ts';
import { toMessage } from '../product-message.ts';

const PAGE_SIZE = 100;

/** A page of the catalogue, found by where the page before ended: what is added or deleted meanwhile shifts nothing. */
export function listProducts({
  database,
}: Pick<ServiceDeps, 'database'>): Handler<typeof ProductService.method.listProducts> {
  return async ({ category, search, orderBy, pageToken: token, pageSize, includeTotalSize }) => {
    const listing: Listing = { category, search, orderBy };
    const position = positionOf(listing, token);
    const filter = matching(listing);
    if (!filter) return includeTotalSize ? { totalSize: 0n } : {};
    const em = database.read();
    const size = pageSize || PAGE_SIZE;
    const rows = await em.find(
      Product,
      { $and: [...filter, ...(position ? after(orderBy, position) : [])] },
      // One more than asked for tells whether there is a next page.
      { orderBy: sorting(orderBy), limit: size + 1 },
    );
    const products = rows.slice(0, size);
    const last = products.at(-1);
    return {
      products: products.map(toMessage),
      nextPageToken: last && rows.length > size ? pageToken(listing, last) : '',
      ...(includeTotalSize && { totalSize: await countOf(listing) }),
    };
  };

  async function countOf(listing: Listing): Promise<bigint> {
    return BigInt(await database.read().count(Product, { $and: matching(listing) ?? [] }));
  }
}
