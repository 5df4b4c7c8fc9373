// A client in a process of its own, of the kind and to the URL given, without any retry but those that its kind has of its own.
// `{ loops: n }` makes it call from n places at once, each with pauses, until `{ loops: 0 }`; each message is answered by what happened since the last.
import { setTimeout as sleep } from 'node:timers/promises';
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import { createClient as createTypedClient, type Transport } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { Client, credentials } from '@grpc/grpc-js';
import {
  GetOrderRequestSchema,
  GetOrderResponseSchema,
  OrderService,
} from '@tradewind/contracts/order/v1/order';
import { createClient } from '../client.ts';
import { orderId } from './orders.ts';

type CallOnce = () => Promise<unknown>;

const path = `/${OrderService.typeName}/GetOrder`;

function typed(transport: Transport): CallOnce {
  const { getOrder } = createTypedClient(OrderService, transport);
  return () => getOrder({ id: orderId }, { timeoutMs: 5_000 });
}

/** Each gives a function that makes one call, always on the same client. */
const kinds: Record<string, (baseUrl: string) => CallOnce> = {
  tradewind(baseUrl) {
    const { call } = createClient(OrderService, { baseUrl });
    return () => call.getOrder({ id: orderId });
  },
  'grpc-js'(baseUrl) {
    const channel = new Client(new URL(baseUrl).host, credentials.createInsecure());
    const request = Buffer.from(
      toBinary(GetOrderRequestSchema, { $typeName: 'tradewind.order.v1.GetOrderRequest', id: orderId }),
    );
    return () =>
      new Promise((resolve, reject) => {
        channel.makeUnaryRequest(
          path,
          (bytes: Buffer) => bytes,
          (bytes) => fromBinary(GetOrderResponseSchema, bytes),
          request,
          { deadline: Date.now() + 5_000 },
          (error, answer) => (error ? reject(error) : resolve(answer)),
        );
      });
  },
  fetch: (baseUrl) => async () => {
    const body = JSON.stringify({ id: orderId });
    const headers = { 'content-type': 'application/json' };
    const answer = await fetch(`${baseUrl}${path}`, { method: 'POST', headers, body });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    await answer.json();
  },
  'connect-node gRPC': (baseUrl) => typed(createGrpcTransport({ baseUrl })),
  'connect-node Connect': (baseUrl) => typed(createConnectTransport({ baseUrl, httpVersion: '1.1' })),
  'connect-node Connect over HTTP/2': (baseUrl) =>
    typed(createConnectTransport({ baseUrl, httpVersion: '2' })),
};

const [, , kind = '', baseUrl = ''] = process.argv;
const make = kinds[kind];
if (!make) throw new Error(`no kind "${kind}"`);

const one = make(baseUrl);
let calls = 0;
let failed: string[] = [];
let round = 0;

async function call(once: CallOnce): Promise<void> {
  calls += 1;
  await once().catch((error: unknown) => {
    failed.push(String(error) + String((error as Error).cause ?? ''));
  });
}

async function loop(once: CallOnce, mine: number): Promise<void> {
  while (mine === round) {
    await call(once);
    // Sometimes at once, so that calls meet the end of a connection at every point.
    await sleep(Math.random() * 30);
  }
}

process.on('message', async ({ loops }: { loops?: number }) => {
  if (loops === undefined) await call(one);
  else {
    round += 1;
    // Clients of their own, for the connection is what ends.
    for (let index = 0; index < loops; index += 1) void loop(make(baseUrl), round);
  }
  process.send?.({ calls, failed });
  calls = 0;
  failed = [];
});
process.on('disconnect', () => process.exit(0));
process.send?.('here');
