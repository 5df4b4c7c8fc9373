import type { FilterQuery } from '@mikro-orm/core';
import type { Database } from '@tradewind/database/database';
import { problem } from '@tradewind/rpc/failure';
import { Stock } from '../stock.ts';
import { stockMessage } from './stock-message.ts';

const PAGE_SIZE = 100;
const TOKEN = /^p([1-9][0-9]{0,9})$/;

/**
 * A page of stock in product order.
 * @param only which products
 * @throws ConnectError INVALID_ARGUMENT naming `page_token` when it is not one that was given
 */
export async function stockPage(
  database: Pick<Database, 'read'>,
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
  only: FilterQuery<Stock>,
) {
  const limit = pageSize || PAGE_SIZE;
  const after = pageToken === '' ? 0 : productOf(pageToken);
  const wanted: FilterQuery<Stock> = { $and: [{ productId: { $gt: after } }, only] };
  // One more than asked for, to know whether there is a page after this one.
  const stocks = await database
    .read()
    .find(Stock, wanted, { orderBy: { productId: 'asc' }, limit: limit + 1 });
  const page = stocks.slice(0, limit);
  const last = page.at(-1);
  return {
    stocks: page.map(stockMessage),
    nextPageToken: last && stocks.length > limit ? tokenOf(last.productId) : '',
  };
}

/** A page ends with a product; the next one goes on behind it. */
function tokenOf(productId: number): string {
  return Buffer.from(`p${productId}`).toString('base64url');
}

function productOf(token: string): number {
  const productId = Number(TOKEN.exec(Buffer.from(token, 'base64url').toString('latin1'))?.[1]);
  if (!(productId <= 2_147_483_647) || tokenOf(productId) !== token)
    throw problem('page_token', 'is not one that was given');
  return productId;
}
