// One server of the RPC benchmark, in a process of its own: `ours <log file>` or `bare`. Talks with its parent by IPC.
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { Server, ServerCredentials, type ServerUnaryCall, type sendUnaryData } from '@grpc/grpc-js';
import {
  type CreateOrderRequest,
  CreateOrderRequestSchema,
  type CreateOrderResponse,
  CreateOrderResponseSchema,
  OrderService,
  OrderStatus,
} from '@tradewind/contracts/order/v1/order';
import { implement } from '@tradewind/rpc/implement';
import { serve } from '@tradewind/rpc/serve';
import { createLogger } from '@tradewind/telemetry/logger';

let calls = 0;

/** The same on both servers: an answer made of the request, with no I/O. */
async function createOrder({ customerId, lines, currency }: CreateOrderRequest) {
  calls += 1;
  const total = lines.reduce((sum, line) => sum + (line.unitPrice ?? 0n) * BigInt(line.quantity), 0n);
  const order = {
    id: '0193f6d2-0000-7000-8000-000000000001',
    customerId,
    status: OrderStatus.PENDING,
    lines: lines.map(({ productId, quantity }) => ({ productId, quantity })),
    totalPrice: total,
    currency,
    revision: 1n,
  };
  return { order };
}

const unused = async (): Promise<never> => {
  throw new Error('not part of the benchmark');
};

async function ours(logFile: string): Promise<number> {
  const handlers = {
    createOrder,
    getOrder: unused,
    listOrders: unused,
    cancelOrder: unused,
    getSaga: unused,
  };
  const server = await serve({
    name: 'order',
    version: '0',
    host: '127.0.0.1',
    port: 0,
    implementations: [implement(OrderService, handlers)],
    health: { check: async () => ({ status: 'ready', dependencies: {} }) },
    logger: createLogger({ service: 'order', version: '0', destination: logFile }),
  });
  return server.address.port;
}

function bare(): Promise<number> {
  const server = new Server();
  const handler = (
    call: ServerUnaryCall<CreateOrderRequest, CreateOrderResponse>,
    reply: sendUnaryData<CreateOrderResponse>,
  ) => {
    createOrder(call.request).then(
      (response) => reply(null, create(CreateOrderResponseSchema, response)),
      (error: Error) => reply(error),
    );
  };
  server.register(
    '/tradewind.order.v1.OrderService/CreateOrder',
    handler,
    (response: CreateOrderResponse) => Buffer.from(toBinary(CreateOrderResponseSchema, response)),
    (bytes: Buffer) => fromBinary(CreateOrderRequestSchema, bytes),
    'unary',
  );
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
      if (error) reject(error);
      else resolve(port);
    });
  });
}

const [kind, logFile = ''] = process.argv.slice(2);
const port = kind === 'ours' ? await ours(logFile) : await bare();
process.on('message', () => {
  const { user, system } = process.cpuUsage();
  process.send?.({ cpuMicros: user + system, calls });
});
// Ends with its parent, however that ends.
process.on('disconnect', () => process.exit(0));
process.send?.({ port });
