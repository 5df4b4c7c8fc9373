import type { MessageInitShape } from '@bufbuild/protobuf';
import { timestampDate } from '@bufbuild/protobuf/wkt';
import { type CreateOrderRequestSchema, type Order, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { problem } from '@tradewind/rpc/failure';

const id = { type: 'string', format: 'uuid', description: 'A UUID of version 7.' } as const;
const productId = { type: 'integer', minimum: 1, maximum: 2_147_483_647 } as const;
const quantity = { type: 'integer', minimum: 1, maximum: 1_000_000 } as const;
const money = (description: string) =>
  ({ type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, description }) as const;
const minor = "in the currency's minor unit";

/** The statuses by their names on this face. */
export const statuses = ['PENDING', 'CONFIRMED', 'CANCELED'] as const;
export type StatusName = (typeof statuses)[number];

/** The body of POST /api/v1/orders: one product (`product_id`, `total_quantity`, `total_price`), or `lines`. */
export const newOrderSchema = {
  type: 'object',
  description: 'One product with its quantity and total price, or lines.',
  properties: {
    product_id: productId,
    total_quantity: quantity,
    total_price: money(`Total ${minor}. Lines, when given, must add up to it.`),
    lines: {
      type: 'array',
      minItems: 1,
      maxItems: 1_000,
      items: {
        type: 'object',
        description: 'unit_price, total_price, or both if they agree.',
        required: ['product_id', 'quantity'],
        properties: {
          product_id: productId,
          quantity,
          unit_price: money(`Price of one piece ${minor}.`),
          total_price: money(`The line's total ${minor}.`),
        },
      },
    },
    customer_id: { type: 'string', maxLength: 128 },
    currency: { type: 'string', pattern: '^([A-Z]{3})?$', description: 'ISO 4217 code; USD when left out.' },
  },
  examples: [{ product_id: 1, total_price: 10000, total_quantity: 1 }],
} as const;

const orderLineSchema = {
  type: 'object',
  required: ['product_id', 'quantity', 'unit_price', 'total_price'],
  properties: {
    product_id: { type: 'integer' },
    quantity: { type: 'integer' },
    unit_price: { type: ['integer', 'null'], description: 'Null when the total does not divide.' },
    total_price: { type: 'integer' },
  },
} as const;

/** An order as every answer shows it. */
export const orderSchema = {
  type: 'object',
  properties: {
    id,
    customer_id: { type: 'string' },
    status: { type: 'string', enum: statuses },
    is_canceled: { type: 'boolean' },
    reason: { type: 'string', description: 'Why it was canceled; empty while it stands.' },
    lines: { type: 'array', items: orderLineSchema },
    total_price: { type: 'integer', description: `Total ${minor}.` },
    currency: { type: 'string' },
    created_at: { type: 'string', format: 'date-time' },
    updated_at: { type: 'string', format: 'date-time' },
    revision: { type: 'integer', description: 'Grows by one with each change, from 1.' },
  },
  required: [
    ...['id', 'customer_id', 'status', 'is_canceled', 'reason', 'lines', 'total_price', 'currency'],
    ...['created_at', 'updated_at', 'revision'],
  ],
} as const;

export interface NewOrderLineJson {
  readonly product_id: number;
  readonly quantity: number;
  readonly unit_price?: number;
  readonly total_price?: number;
}

/** The body of POST /api/v1/orders, once it fits `newOrderSchema`. */
export interface NewOrderJson {
  readonly product_id?: number;
  readonly total_quantity?: number;
  readonly total_price?: number;
  readonly lines?: readonly NewOrderLineJson[];
  readonly customer_id?: string;
  readonly currency?: string;
}

type NewOrder = MessageInitShape<typeof CreateOrderRequestSchema>;

/** @throws ConnectError INVALID_ARGUMENT naming the field that is missing or too much */
export function newOrderMessage(body: NewOrderJson): NewOrder {
  const { lines, customer_id: customerId = '', currency = '' } = body;
  if (!lines) return { customerId, currency, lines: [onlyLine(body)] };
  for (const field of ['product_id', 'total_quantity'] as const) {
    if (body[field] !== undefined) throw problem(field, 'must not be given together with lines');
  }
  return {
    customerId,
    currency,
    lines: lines.map((line) => ({
      productId: line.product_id,
      quantity: line.quantity,
      ...price('unitPrice', line.unit_price),
      ...price('totalPrice', line.total_price),
    })),
    ...price('totalPrice', body.total_price),
  };
}

/** What `newOrderMessage` made of the short form's fields, for errors to name the caller's. */
export const shortFormFields = {
  'lines[0].product_id': 'product_id',
  'lines[0].quantity': 'total_quantity',
  'lines[0].total_price': 'total_price',
} as const;

function onlyLine({ product_id, total_quantity, total_price }: NewOrderJson) {
  if (product_id === undefined) throw problem('product_id', 'is required, or lines');
  if (total_quantity === undefined) throw problem('total_quantity', 'is required');
  if (total_price === undefined) throw problem('total_price', 'is required');
  return { productId: product_id, quantity: total_quantity, totalPrice: BigInt(total_price) };
}

function price<Name extends string>(name: Name, value: number | undefined) {
  return value === undefined ? {} : ({ [name]: BigInt(value) } as Record<Name, bigint>);
}

const statusNames = new Map<OrderStatus, StatusName>(statuses.map((name) => [OrderStatus[name], name]));

export function statusMessage(name: StatusName): OrderStatus {
  return OrderStatus[name];
}

/** The order as this face shows it; money is stored within the safe range only. */
export function orderJson(order: Order) {
  return {
    id: order.id,
    customer_id: order.customerId,
    status: statusNames.get(order.status),
    is_canceled: order.status === OrderStatus.CANCELED,
    reason: order.reason,
    lines: order.lines.map(({ productId, quantity, unitPrice, totalPrice }) => ({
      product_id: productId,
      quantity,
      unit_price: unitPrice === undefined ? null : Number(unitPrice),
      total_price: Number(totalPrice),
    })),
    total_price: Number(order.totalPrice),
    currency: order.currency,
    created_at: timeJson(order.createdAt),
    updated_at: timeJson(order.updatedAt),
    revision: Number(order.revision),
  };
}

function timeJson(time: Order['createdAt']): string {
  return time ? timestampDate(time).toISOString() : '';
}
