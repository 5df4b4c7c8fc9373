import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { ConnectError } from '@connectrpc/connect';
import {
  type CreateProductRequest,
  CreateProductRequestSchema,
} from '@tradewind/contracts/product/v1/product';
import { badRequest, problem, violationsOf } from '@tradewind/rpc/failure';
import { checkOf } from '@tradewind/rpc/validate';
import type { ProductFields } from './product.ts';

const NAMES: readonly (keyof ProductFields)[] = [
  'name',
  'description',
  'price',
  'currency',
  'category',
  'brand',
  'thumbnail',
];

/** What a valid request says of a product. */
export function fieldsOf(request: CreateProductRequest): ProductFields {
  const { name, description, price, category, brand, thumbnail } = request;
  return { name, description, price, currency: request.currency || 'USD', category, brand, thumbnail };
}

/**
 * The fields that a mask names, with their new values.
 * @throws ConnectError INVALID_ARGUMENT that names what breaks a rule, as `product.name`, or `update_mask` when that names nothing
 */
export function maskedFields(
  request: CreateProductRequest,
  paths: readonly string[],
): Partial<ProductFields> {
  const names = NAMES.filter((name) => paths.includes(name));
  if (names.length === 0) throw problem('update_mask', `must name at least one of ${NAMES.join(', ')}`);
  // The other fields are not read, so they need not be valid; a product that is asks for no more than a name.
  const picked = Object.fromEntries(names.map((name) => [name, request[name]]));
  const candidate = create(CreateProductRequestSchema, {
    name: 'any',
    ...picked,
  } as MessageInitShape<typeof CreateProductRequestSchema>);
  try {
    checkOf(CreateProductRequestSchema)(candidate);
  } catch (error) {
    if (!(error instanceof ConnectError)) throw error;
    throw badRequest(violationsOf(error).map(({ field, error }) => ({ field: `product.${field}`, error })));
  }
  const fields = fieldsOf(candidate);
  return Object.fromEntries(names.map((name) => [name, fields[name]]));
}
