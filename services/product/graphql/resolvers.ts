import { timestampDate } from '@bufbuild/protobuf/wkt';
import { type Product, ProductOrder, ProductService } from '@tradewind/contracts/product/v1/product';
import { problem, renameFields } from '@tradewind/rpc/failure';
import { GraphQLScalarType } from 'graphql';
import { pageToken } from '../page-token.ts';
import type { Door } from './door.ts';
import { neighbourFailure } from './failure.ts';
import { toInt } from './int.ts';
import { toMajor } from './money.ts';
import { changes } from './mutations.ts';

/** What resolvers work with: the request's door, and what was said already in this operation's errors. */
export interface Context {
  readonly door: Door;
  readonly said: { stock: boolean };
}

interface ListArgs {
  readonly first: number | null;
  readonly after?: string | null;
  readonly category: string | null;
  readonly search: string | null;
  readonly sort: ProductOrder | null;
}

type Request = ReturnType<typeof requestOf>;
interface Connection {
  readonly request: Request;
  readonly products: readonly Product[];
  readonly hasNextPage: boolean;
}

const FIELDS = { page_size: 'first', page_token: 'after' };
const { listProducts, listCategories } = ProductService.method;

export const resolvers = {
  Time: new GraphQLScalarType({ name: 'Time' }),
  ProductSort: {
    ID: ProductOrder.UNSPECIFIED,
    NAME: ProductOrder.NAME,
    PRICE: ProductOrder.PRICE,
    PRICE_DESC: ProductOrder.PRICE_DESC,
    NEWEST: ProductOrder.NEWEST,
    RATING: ProductOrder.RATING,
  },
  Query: {
    products: async (_: unknown, args: ListArgs, { door }: Context) =>
      (await list(door, requestOf(args))).products,
    productById: (_: unknown, { id }: { id?: number | null }, { door }: Context) =>
      id === null || id === undefined || id < 1 ? null : door.product(id),
    async productsConnection(_: unknown, args: ListArgs, { door }: Context): Promise<Connection> {
      const request = requestOf(args);
      const { products, nextPageToken } = await list(door, request);
      return { request, products, hasNextPage: nextPageToken !== '' };
    },
    productCategories: async (_: unknown, __: unknown, { door }: Context) =>
      (await door.ask(listCategories, {})).categories,
  },
  Product: {
    price: ({ price, currency }: Product) => toMajor(price, currency),
    rating: ({ rating }: Product) => rating ?? null,
    ratingCount: ({ ratingCount }: Product) => toInt(ratingCount),
    revision: ({ revision }: Product) => Number(revision),
    createdAt: ({ createdAt }: Product) => createdAt && timestampDate(createdAt).toISOString(),
    updatedAt: ({ updatedAt }: Product) => updatedAt && timestampDate(updatedAt).toISOString(),
    async stock({ id }: Product, _: unknown, { door, said }: Context): Promise<number | null> {
      try {
        return await door.stock(id);
      } catch (error) {
        // Once is enough: a thousand products would repeat it a thousand times.
        if (said.stock) return null;
        said.stock = true;
        throw neighbourFailure('stock', error);
      }
    },
  },
  ProductConnection: {
    edges: ({ request, products }: Connection) =>
      products.map((node) => ({ node, cursor: pageToken(request, node) })),
    pageInfo: ({ request, products, hasNextPage }: Connection) => {
      const [first, last] = [products[0], products.at(-1)];
      return {
        hasNextPage,
        hasPreviousPage: request.pageToken !== '',
        startCursor: first ? pageToken(request, first) : null,
        endCursor: last ? pageToken(request, last) : null,
      };
    },
    async totalCount({ request }: Connection, _: unknown, { door }: Context) {
      const { totalSize } = await list(door, {
        ...request,
        pageToken: '',
        pageSize: 1,
        includeTotalSize: true,
      });
      return Number(totalSize ?? 0);
    },
  },
  Mutation: changes,
};

function requestOf({ first, after, category, search, sort }: ListArgs) {
  if (first !== null && first < 1) throw problem('first', 'must be between 1 and 1000');
  return {
    pageSize: first ?? 1_000,
    pageToken: after ?? '',
    category: category ?? '',
    search: search ?? '',
    orderBy: sort ?? ProductOrder.UNSPECIFIED,
    includeTotalSize: false,
  };
}

async function list(door: Door, request: Request) {
  try {
    return await door.ask(listProducts, request);
  } catch (error) {
    throw renameFields(error, FIELDS);
  }
}
