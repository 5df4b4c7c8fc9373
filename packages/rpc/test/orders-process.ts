// A server of orders in a process of its own, to be killed: `orders-process.ts <port>`.
import { serveOrders } from './orders.ts';

const server = await serveOrders({}, { port: Number(process.argv[2]) });
process.send?.({ port: server.address.port });
