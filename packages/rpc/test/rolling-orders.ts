// A server of orders in a process of its own, that drains at SIGTERM as services do: `rolling-orders.ts <port>`.
import { serveOrders } from './orders.ts';

const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
const server = await serveOrders(
  {},
  {
    port: Number(process.argv[2]),
    reusePort: process.argv[3] === 'share',
    signal: stop.signal,
    limits: { drainDelayMs: 100, goawayMs: 100 },
  },
);
process.send?.({ port: server.address.port });
await server.closed;
process.disconnect?.();
