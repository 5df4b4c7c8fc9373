import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { answerParent } from './worker.ts';

/** Takes spans by OTLP over HTTP and drops them: what recording and sending them costs, without a Collector's own work. */
let requests = 0;
let bytes = 0;
const server = createServer((request, response) => {
  requests += 1;
  request.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
  });
  request.on('end', () => response.writeHead(200, { 'content-type': 'application/x-protobuf' }).end());
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));

export interface SinkAnswer {
  readonly url: string;
  readonly requests: number;
  readonly bytes: number;
}

answerParent(async (): Promise<SinkAnswer> => {
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, requests, bytes };
});
