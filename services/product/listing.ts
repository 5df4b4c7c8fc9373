import type { FilterQuery, QueryOrderMap } from '@mikro-orm/core';
import { raw } from '@mikro-orm/postgresql';
import { ProductOrder } from '@tradewind/contracts/product/v1/product';
import type { Listing, Position } from './page-token.ts';
import type { Product } from './product.ts';
import { searchQuery } from './words.ts';

type Filter = FilterQuery<Product>;

/** The condition that a list's products meet; undefined when none can. Good for one query: it holds raw SQL. */
export function matching({ category, search }: Listing): Filter[] | undefined {
  const query = searchQuery(search);
  if (query === null) return undefined;
  return [
    { deletedAt: null },
    ...(category === '' ? [] : [{ category }]),
    // The expression is that of the index.
    ...(query === undefined
      ? []
      : [{ [raw('array_to_tsvector(words) @@ ?::tsquery', [query])]: [] } as Filter]),
  ];
}

/** The best first, what nobody rated behind the worst. The expression is that of the index. */
const BY_RATING = '-coalesce(rating, 0)';

export function sorting(orderBy: ProductOrder): QueryOrderMap<Product>[] {
  switch (orderBy) {
    case ProductOrder.NAME:
      return [{ sortKey: 'asc' }, { id: 'asc' }];
    case ProductOrder.PRICE:
      return [{ price: 'asc' }, { id: 'asc' }];
    case ProductOrder.PRICE_DESC:
      return [{ price: 'desc' }, { id: 'asc' }];
    case ProductOrder.NEWEST:
      // Ids are given out in the order of creation.
      return [{ id: 'desc' }];
    case ProductOrder.RATING:
      return [{ [raw(BY_RATING)]: 'asc' }, { id: 'asc' }];
    default:
      return [{ id: 'asc' }];
  }
}

/** What comes after a position. The first condition bounds the walk along the index, which an OR alone does not. */
export function after(orderBy: ProductOrder, { key, id }: Position): Filter[] {
  const later = { id: { $gt: id } };
  switch (orderBy) {
    case ProductOrder.NAME: {
      const sortKey = String(key);
      return [{ sortKey: { $gte: sortKey } }, { $or: [{ sortKey: { $gt: sortKey } }, later] }];
    }
    case ProductOrder.PRICE: {
      const price = BigInt(key ?? 0);
      return [{ price: { $gte: price } }, { $or: [{ price: { $gt: price } }, later] }];
    }
    case ProductOrder.PRICE_DESC: {
      const price = BigInt(key ?? 0);
      return [{ price: { $lte: price } }, { $or: [{ price: { $lt: price } }, later] }];
    }
    case ProductOrder.NEWEST:
      return [{ id: { $lt: id } }];
    case ProductOrder.RATING:
      // As one condition, for most of a catalogue may be rated by nobody, and so be equal.
      return [{ [raw(`(${BY_RATING}, id) > (?, ?)`, [-Number(key), id])]: [] } as Filter];
    default:
      return [later];
  }
}
