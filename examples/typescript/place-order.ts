// Places an order over Connect (JSON, HTTP/1.1) and over gRPC-Web with one and the same client code.
// Usage: node place-order.ts [host:port]
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { toJsonString } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { OrderSchema, OrderService, OrderStatus } from '@tradewind/contracts/order/v1/order';
import { BadRequestSchema } from '@tradewind/contracts/third-party/google/rpc/error_details';

const baseUrl = `http://${process.argv[2] ?? '127.0.0.1:3000'}`;
const timeoutMs = 5_000;
const settledWithinMs = 30_000;

async function placeOrder(transport: Transport) {
  const orders = createClient(OrderService, transport);
  const line = { productId: 1, quantity: 2, unitPrice: 5_000n };
  // With a key, a repeat after a lost answer gives the first answer again.
  const headers = { 'idempotency-key': randomUUID() };
  let { order } = await orders.createOrder(
    { customerId: 'example-typescript', lines: [line] },
    { headers, timeoutMs },
  );
  const deadline = Date.now() + settledWithinMs;
  while (order?.status === OrderStatus.PENDING) {
    if (Date.now() > deadline) throw new Error(`order ${order.id} is still pending`);
    await sleep(50);
    ({ order } = await orders.getOrder({ id: order.id }, { timeoutMs }));
  }
  if (!order) throw new Error('an answer without an order');
  console.log(toJsonString(OrderSchema, order, { useProtoFieldName: true, prettySpaces: 2 }));
}

async function placeWrongOrder(transport: Transport) {
  const orders = createClient(OrderService, transport);
  try {
    await orders.createOrder({ lines: [{ productId: 1, quantity: 0, unitPrice: 5_000n }] }, { timeoutMs });
  } catch (raw) {
    const error = ConnectError.from(raw);
    const violations = error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
    if (error.code !== Code.InvalidArgument || violations.length === 0) throw error;
    for (const { field, description } of violations) console.log(`refused: ${field}: ${description}`);
    return;
  }
  throw new Error('an order of 0 pieces was accepted');
}

for (const [name, transport] of Object.entries({
  'Connect, JSON over HTTP/1.1': createConnectTransport({ baseUrl }),
  'gRPC-Web': createGrpcWebTransport({ baseUrl }),
})) {
  console.log(`# ${name}`);
  await placeOrder(transport);
  await placeWrongOrder(transport);
}
