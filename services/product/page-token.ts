import { hash } from 'node:crypto';
import { ProductOrder } from '@tradewind/contracts/product/v1/product';
import { problem } from '@tradewind/rpc/failure';
import { sortKeyOf } from './words.ts';

/** Which products a list holds, and in which order. */
export interface Listing {
  readonly category: string;
  readonly search: string;
  readonly orderBy: ProductOrder;
}

/** The place right after a product in a list: what the list is sorted by, then the id. */
export interface Position {
  readonly key: bigint | number | string | null;
  readonly id: number;
}

/** As much of a product as its place in a list takes. */
interface Listed {
  readonly id: number;
  readonly name: string;
  readonly price: bigint;
  readonly rating?: number | null | undefined;
}

/** The token of the page that begins after a product. It says nothing about the products that other pages hold. */
export function pageToken(listing: Listing, product: Listed): string {
  const key = keyOf(listing.orderBy, product);
  const parts = [fingerprint(listing), typeof key === 'bigint' ? String(key) : key, product.id];
  return Buffer.from(JSON.stringify(parts)).toString('base64url');
}

/**
 * Where a page begins; undefined for the first page.
 * @throws ConnectError INVALID_ARGUMENT naming `page_token` when the token is malformed or of a list with another filter or order
 */
export function positionOf(listing: Listing, token: string): Position | undefined {
  if (token === '') return undefined;
  const [print, key, id] = partsOf(token);
  const known = typeof id === 'number' && Number.isInteger(id) && id > 0 && id <= 0x7fffffff;
  if (!known || typeof print !== 'string') throw problem('page_token', 'is not a token of this list');
  if (print !== fingerprint(listing))
    throw problem('page_token', 'belongs to a list with another filter or order');
  switch (listing.orderBy) {
    case ProductOrder.NAME:
      if (typeof key === 'string' && /^[\p{L}\p{N} ]{0,200}$/u.test(key)) return { key, id };
      break;
    case ProductOrder.PRICE:
    case ProductOrder.PRICE_DESC:
      if (typeof key === 'string' && /^\d{1,18}$/.test(key)) return { key: BigInt(key), id };
      break;
    case ProductOrder.RATING:
      if (typeof key === 'number' && key >= 0 && key <= 5) return { key, id };
      break;
    default:
      if (key === null) return { key, id };
  }
  throw problem('page_token', 'is not a token of this list');
}

function keyOf(orderBy: ProductOrder, { name, price, rating }: Listed): Position['key'] {
  if (orderBy === ProductOrder.NAME) return sortKeyOf(name);
  if (orderBy === ProductOrder.RATING) return rating ?? 0;
  return orderBy === ProductOrder.PRICE || orderBy === ProductOrder.PRICE_DESC ? price : null;
}

function fingerprint({ category, search, orderBy }: Listing): string {
  return hash('sha256', JSON.stringify([category, search, orderBy]), 'base64url').slice(0, 11);
}

function partsOf(token: string): unknown[] {
  try {
    const parts: unknown = JSON.parse(Buffer.from(token, 'base64url').toString());
    return Array.isArray(parts) ? parts : [];
  } catch {
    return [];
  }
}
