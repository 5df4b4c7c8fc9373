import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { equal, eventually, must } from './check.ts';
import { run, type Shell, succeed } from './shell.ts';
import type { Ports } from './tradewind.ts';

/** User step 3: the examples make every call of every service; here is what they do not look at. */
export const rpcSteps = (shell: Shell, ports: Ports) => {
  const addresses = [ports.order, ports.product, ports.stock, ports.ratings].map(
    (port) => `127.0.0.1:${port}`,
  );
  // The examples bring grpcurl.
  const cache = shell.env.TRADEWIND_CACHE ?? join(shell.env.HOME ?? '/', '.cache', 'tradewind');
  const grpcurl = join(cache, 'bin', 'grpcurl');
  const all = {
    order: ['tradewind.order.v1.OrderService', 'tradewind.order.v1.Order'],
    product: ['tradewind.product.v1.ProductService', 'tradewind.product.v1.Product'],
    stock: ['tradewind.stock.v1.StockService', 'tradewind.stock.v1.Stock'],
    ratings: ['tradewind.ratings.v1.RatingsService', 'tradewind.ratings.v1.Rating'],
  };
  const scripts = readdirSync(join(shell.cwd, 'examples'), { recursive: true, encoding: 'utf8' })
    .filter((name) => /(^|\/)(run|grpcurl|buf-curl)\.sh$/.test(name) && !name.includes('node_modules'))
    .toSorted((a, b) => Number(b === 'grpcurl.sh') - Number(a === 'grpcurl.sh') || a.localeCompare(b));
  const steps: Record<string, () => Promise<void>> = {
    async 'there are examples in Go, Python, TypeScript, grpcurl and buf curl'() {
      for (const name of ['go/run.sh', 'python/run.sh', 'typescript/run.sh', 'grpcurl.sh', 'buf-curl.sh'])
        must(scripts.includes(name), scripts);
    },
  };
  for (const script of scripts) {
    const takes = script.endsWith('run.sh') ? addresses.slice(0, 1) : addresses;
    steps[`examples/${script}`] = async () => {
      await succeed(shell, `examples/${script} ${takes.join(' ')}`, 600_000);
    };
  }
  for (const [name, [service = '', message]] of Object.entries(all)) {
    const port = ports[name as keyof typeof all];
    steps[`grpcurl -plaintext localhost:${port}: list, describe, health`] = async () => {
      const list = await succeed(shell, `${grpcurl} -plaintext localhost:${port} list`);
      const found = list.stdout.trim().split('\n').toSorted();
      equal(
        found,
        [
          service,
          'grpc.health.v1.Health',
          'grpc.reflection.v1.ServerReflection',
          'grpc.reflection.v1alpha.ServerReflection',
          'tradewind.messaging.v1.InspectionService',
        ].toSorted(),
      );
      for (const symbol of [service, message])
        must(
          (await succeed(shell, `${grpcurl} -plaintext localhost:${port} describe ${symbol}`)).stdout.length >
            40,
          symbol,
        );
      const health = await succeed(
        shell,
        `${grpcurl} -plaintext localhost:${port} grpc.health.v1.Health/Check`,
      );
      must(health.stdout.includes('SERVING'), health.text);
    };
  }
  steps['gRPC: an unknown method, an unknown service, a deadline of 1 ms, a field that is wrong'] =
    async () => {
      const call = (line: string) => run(shell, `${grpcurl} -plaintext ${line}`);
      const proto = `-import-path proto -proto tradewind/order/v1/order.proto`;
      // Order's contract sent to stock's port: a service that is not there.
      const unknown = await call(
        `${proto} -d '{"id":"0190b7a4-0000-7000-8000-000000000000"}' localhost:${ports.stock} tradewind.order.v1.OrderService/GetOrder`,
      );
      must(unknown.text.includes('Unimplemented'), unknown.text);
      const wrong = await call(
        `-d '{"lines":[{"product_id":1,"quantity":-5,"total_price":1}]}' localhost:${ports.order} tradewind.order.v1.OrderService/CreateOrder`,
      );
      must(wrong.text.includes('InvalidArgument') && wrong.text.includes('lines[0].quantity'), wrong.text);
      // Reflection has no deadline of its own there, so the contract comes from the file.
      const late = await call(
        `${proto} -rpc-header 'grpc-timeout: 1n' -max-time 0.001 -d '{}' localhost:${ports.order} tradewind.order.v1.OrderService/ListOrders`,
      );
      must(/DeadlineExceeded|deadline/i.test(late.text) && late.code !== 0, late.text);
      await eventually(
        () => run(shell, `${grpcurl} -plaintext localhost:${ports.order} list`),
        ({ code }) => code === 0,
      );
    };
  return steps;
};
