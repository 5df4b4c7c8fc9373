// CPU a unary call: our gRPC port with everything on, against a bare grpc-js server, interleaved in one run.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { Client, credentials } from '@grpc/grpc-js';
import { CreateOrderRequestSchema } from '@tradewind/contracts/order/v1/order';

export type BenchResult = {
  name: string;
  /** Lower quartile of the rounds, microseconds of CPU a call: neighbours on the machine only ever add to it. */
  oursMicros: number;
  bareMicros: number;
  /** oursMicros / bareMicros. */
  ratio: number;
  /** The same of the medians. */
  medianRatio: number;
  calls: number;
  logBytes: number;
};

type Options = { rounds?: number; callsPerRound?: number; concurrency?: number };

const request = create(CreateOrderRequestSchema, {
  customerId: 'customer-7',
  lines: [{ productId: 7, quantity: 2, unitPrice: 5_000n }],
  currency: 'USD',
});

/** Runs the benchmark; about 20 s. Each server is a process of its own, a third one (this) asks both in turn. */
export async function rpcBench({
  rounds = 60,
  callsPerRound = 1_000,
  concurrency = 32,
}: Options = {}): Promise<BenchResult> {
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-rpc-bench-'));
  const logFile = join(folder, 'access.log');
  const ours = await start('ours', logFile);
  const bare = await start('bare');
  try {
    // The first calls pay for the compilers.
    for (const server of [ours, bare, ours, bare]) await measure(server, 4_000, concurrency);
    const micros = { ours: [] as number[], bare: [] as number[] };
    for (let round = 0; round < rounds; round += 1) {
      const order = round % 2 === 0 ? (['ours', 'bare'] as const) : (['bare', 'ours'] as const);
      for (const name of order) {
        micros[name].push(await measure(name === 'ours' ? ours : bare, callsPerRound, concurrency));
      }
    }
    return await resultOf(micros, rounds * callsPerRound, logFile);
  } finally {
    for (const { child, client } of [ours, bare]) {
      client.close();
      child.disconnect();
    }
    await rm(folder, { recursive: true, force: true });
  }
}

async function resultOf(
  { ours, bare }: { ours: number[]; bare: number[] },
  calls: number,
  logFile: string,
): Promise<BenchResult> {
  const oursMicros = quantile(ours, 0.25);
  const bareMicros = quantile(bare, 0.25);
  return {
    name: 'rpc: CPU a gRPC call',
    oursMicros,
    bareMicros,
    ratio: oursMicros / bareMicros,
    medianRatio: quantile(ours, 0.5) / quantile(bare, 0.5),
    calls,
    logBytes: (await stat(logFile)).size,
  };
}

type Target = { child: ChildProcess; client: Client };

async function start(...args: string[]): Promise<Target> {
  const child = fork(join(import.meta.dirname, 'rpc-server.ts'), args);
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  return { child, client: new Client(`127.0.0.1:${port}`, credentials.createInsecure()) };
}

/** Microseconds of the server's CPU a call. */
async function measure({ child, client }: Target, calls: number, concurrency: number): Promise<number> {
  const before = await usage(child);
  let left = calls;
  const worker = async () => {
    while (left > 0) {
      left -= 1;
      await callOnce(client);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, worker));
  const after = await usage(child);
  if (after.calls - before.calls !== calls) throw new Error('the server has not handled every call');
  return (after.cpuMicros - before.cpuMicros) / calls;
}

const body = Buffer.from(toBinary(CreateOrderRequestSchema, request));
const asIs = (bytes: Buffer) => bytes;

function callOnce(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/tradewind.order.v1.OrderService/CreateOrder', asIs, asIs, body, (error) => {
      if (error) reject(error);
      else resolve();
    });
  });
}

async function usage(child: ChildProcess): Promise<{ cpuMicros: number; calls: number }> {
  child.send('usage');
  const [message] = await once(child, 'message');
  return message as { cpuMicros: number; calls: number };
}

function quantile(values: number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length * part)] ?? Number.NaN;
}

if (import.meta.main) {
  const result = await rpcBench();
  const { oursMicros, bareMicros, ratio } = result;
  console.log(
    `ours ${oursMicros.toFixed(1)} µs, bare grpc-js ${bareMicros.toFixed(1)} µs, ratio ${ratio.toFixed(2)}`,
  );
  console.log(JSON.stringify(result));
}
