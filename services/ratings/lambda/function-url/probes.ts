import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * Answers `/health/live` and `/health/ready` as every service does, on a port of its own: on the function's port all paths are the function's.
 * @param port 0 lets the system choose
 */
export async function serveProbes(
  host: string,
  port: number,
): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((request, response) => {
    const known = request.url === '/health/live' || request.url === '/health/ready';
    const body = known
      ? { status: 'ready', dependencies: {} }
      : { status: 404, message: 'Not Found', details: [] };
    response
      .writeHead(known ? 200 : 404, { 'content-type': 'application/json; charset=utf-8' })
      .end(JSON.stringify(body));
  });
  server.listen(port, host);
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}
