import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type CreateProductRequestSchema,
  type Product,
  ProductService,
} from '@tradewind/contracts/product/v1/product';
import { problem, renameFields } from '@tradewind/rpc/failure';
import type { Door } from './door.ts';
import { toMinor } from './money.ts';

interface Input {
  readonly name?: string | null;
  readonly description?: string | null;
  readonly price?: number | null;
  readonly currency?: string | null;
  readonly category?: string | null;
  readonly brand?: string | null;
  readonly thumbnail?: string | null;
}
type Named = { readonly door: Door };
type Fields = MessageInitShape<typeof CreateProductRequestSchema>;

const TEXTS = ['name', 'description', 'currency', 'category', 'brand', 'thumbnail'] as const;
const FIELDS = Object.fromEntries(
  [...TEXTS, 'price'].flatMap((name) => [
    [name, `input.${name}`],
    [`product.${name}`, `input.${name}`],
  ]),
);
FIELDS.update_mask = 'input';

const { createProduct, updateProduct, deleteProduct, getProduct } = ProductService.method;

/** The catalogue's changes: the same RPCs, in GraphQL's words. */
export const changes = {
  createProduct: (_: unknown, { input }: { input: Input }, { door }: Named) =>
    named(async () => {
      const { product } = await door.ask(createProduct, fieldsOf(input, input.currency || 'USD'));
      return product;
    }),
  updateProduct: (
    _: unknown,
    args: { id: number; input: Input; revision?: number | null },
    { door }: Named,
  ) =>
    named(async () => {
      const { id, input, revision } = args;
      // The RPC's 0 means any revision; here that is said by leaving it out.
      if (typeof revision === 'number' && revision < 1) throw problem('revision', 'must be greater than 0');
      const before = await priced(door, id, input);
      const { product } = await door.ask(updateProduct, {
        id,
        product: fieldsOf(input, input.currency || before?.currency || 'USD'),
        updateMask: { paths: Object.keys(input) },
        revision: BigInt(revision ?? before?.revision ?? 0),
      });
      return product;
    }),
  deleteProduct: (_: unknown, { id }: { id: number }, { door }: Named) =>
    named(async () => {
      await door.ask(deleteProduct, { id });
      return true;
    }),
};

/** A price without a currency is meant in the product's own, so it holds only as long as the product stays as it is. */
async function priced(door: Door, id: number, { price, currency }: Input): Promise<Product | undefined> {
  if (price === undefined || currency) return undefined;
  return (await door.ask(getProduct, { id })).product;
}

function fieldsOf(input: Input, currency: string): Fields {
  const texts = Object.fromEntries(TEXTS.map((name) => [name, input[name] ?? '']));
  if (input.price === null) throw problem('price', 'must be a number');
  return { ...texts, price: input.price === undefined ? 0n : toMinor(input.price, currency) };
}

async function named<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw renameFields(error, FIELDS);
  }
}
