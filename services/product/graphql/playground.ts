import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';
import { gunzip } from 'node:zlib';
import type { FastifyInstance } from 'fastify';

/** Everything that the page needs is in the page; a browser that tried to fetch more from elsewhere would be stopped by this. */
const POLICY = [
  "default-src 'none'",
  "script-src 'unsafe-inline' blob:",
  'worker-src blob:',
  "style-src 'unsafe-inline'",
  'font-src data:',
  'img-src data:',
  "connect-src 'self'",
].join('; ');

/** GraphiQL at `/`, made when somebody first asks for it. */
export function playground(app: FastifyInstance): void {
  let making: Promise<Uint8Array> | undefined;
  app.get('/', async (request, reply) => {
    making ??= makePage();
    const zipped = await making.catch((error: unknown) => {
      making = undefined;
      throw error;
    });
    const zips = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    if (zips) void reply.header('content-encoding', 'gzip');
    return reply
      .headers({ 'content-security-policy': POLICY, vary: 'accept-encoding', 'cache-control': 'no-cache' })
      .type('text/html; charset=utf-8')
      .send(zips ? Buffer.from(zipped) : await promisify(gunzip)(zipped));
  });
}

/** The page, zipped. */
function makePage(): Promise<Uint8Array> {
  const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
  const worker = new Worker(new URL('./playground-page.ts', import.meta.url));
  worker.once('message', resolve);
  worker.once('error', reject);
  worker.once('exit', (code) => reject(new Error(`the playground's page was not made: exit code ${code}`)));
  worker.unref();
  return promise;
}
