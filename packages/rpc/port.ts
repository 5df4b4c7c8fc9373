import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Server as NetServer, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import { errorBodyOf, rawError } from './http-error.ts';
import type { Limits } from './limits.ts';

export type Tls = { cert: string | Buffer; key: string | Buffer };

export type PortOptions = {
  limits: Limits;
  tls?: Tls | undefined;
  /** Takes a connection that speaks HTTP/2; none of its bytes have been lost. */
  onHttp2: (socket: Socket) => void;
};

const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export type Port = {
  readonly server: Server;
  /** Ends connections that have not said their protocol within `graceMs`; resolves when each has said it or is ended. */
  endUndecided(graceMs: number): Promise<void>;
};

/**
 * An HTTP/1.1 server (without a request listener) whose port takes HTTP/2 too: in plaintext by the connection's first
 * bytes, with TLS by ALPN, which prefers HTTP/1.1 where the client offers both.
 */
export function createPort({ limits, tls, onHttp2 }: PortOptions): Port {
  const options = {
    headersTimeout: Math.min(limits.headersMs, limits.requestMs),
    requestTimeout: limits.requestMs,
    keepAliveTimeout: limits.keepAliveMs,
    connectionsCheckingInterval: Math.min(1_000, limits.headersMs),
    // Node would refuse without a body; `refused` does it.
    requireHostHeader: false,
  };
  if (tls === undefined) {
    const server = createServer(options);
    server.on('checkExpectation', refuseExpectation);
    const http1 = takeOver(server, 'connection');
    const undecided = new Set<Socket>();
    let allDecided = (): void => {};
    server.on('connection', (socket: Socket) => {
      undecided.add(socket);
      peek(socket, limits.peekMs, (protocol) => {
        undecided.delete(socket);
        if (undecided.size === 0) allDecided();
        if (protocol === 'http2') onHttp2(socket);
        else if (protocol === 'http1') http1(socket);
      });
    });
    const endUndecided = async (graceMs: number) => {
      if (undecided.size === 0) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      allDecided = resolve;
      // Who has just connected is about to ask, and would only learn that the connection was reset.
      const timer = setTimeout(() => {
        for (const socket of undecided) socket.destroy();
      }, graceMs);
      await promise;
      clearTimeout(timer);
    };
    return { server, endUndecided };
  }
  const server = createTlsServer({
    ...options,
    ...tls,
    minVersion: 'TLSv1.2',
    handshakeTimeout: limits.peekMs,
    ALPNCallback: ({ protocols }) => ['http/1.1', 'h2'].find((protocol) => protocols.includes(protocol)),
  });
  server.on('checkExpectation', refuseExpectation);
  const http1 = takeOver(server, 'secureConnection');
  server.on('secureConnection', (socket: TLSSocket) => {
    if (socket.alpnProtocol === 'h2') onHttp2(socket);
    else http1(socket);
  });
  // TLS says the protocol while it shakes hands, for which it has its own timeout.
  return { server, endUndecided: async () => {} };
}

function refuseExpectation(_request: IncomingMessage, response: ServerResponse): void {
  sendRefusal(response, 417);
}

/** Answers an HTTP/1.1 request that does not say to whom it is, and tells that it did. */
export function refusedWithoutHost(request: IncomingMessage, response: ServerResponse): boolean {
  if (request.httpVersion !== '1.1' || request.headers.host !== undefined) return false;
  sendRefusal(response, 400);
  return true;
}

function sendRefusal(response: ServerResponse, status: number): void {
  const body = errorBodyOf(status);
  const head = {
    connection: 'close',
    'content-type': 'application/json; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  };
  response.writeHead(status, head).end(body);
}

/** Node's own listener, to be called for the connections that are HTTP/1.1 after all. */
function takeOver(server: NetServer, event: 'connection' | 'secureConnection'): (socket: Socket) => void {
  const listeners = server.listeners(event) as ((socket: Socket) => void)[];
  // A TLS server starts the handshake in a listener for 'connection', which stays.
  server.removeAllListeners(event);
  return (socket) => {
    for (const listener of listeners) listener.call(server, socket);
  };
}

type Decide = (protocol: 'http1' | 'http2' | 'none') => void;

/**
 * Looks at the first bytes of a connection, puts them back all at once, and decides once what they are. Ends a
 * connection that does not say enough in time.
 */
function peek(socket: Socket, timeoutMs: number, decide: Decide): void {
  let head: Buffer = Buffer.alloc(0);
  const leave = () => {
    clearTimeout(timer);
    socket.off('data', onData);
    socket.off('end', onEnd);
    socket.off('close', onClose);
    socket.off('error', ignore);
  };
  const timer = setTimeout(() => {
    // Who said nothing at all gets no answer.
    if (head.length > 0 && socket.writable) socket.write(rawError(408));
    socket.destroy();
  }, timeoutMs);
  const onEnd = () => socket.destroy();
  const onClose = () => {
    leave();
    decide('none');
  };
  const onData = (chunk: Buffer) => {
    head = head.length === 0 ? chunk : Buffer.concat([head, chunk]);
    const known = Math.min(head.length, preface.length);
    const http2 = head.compare(preface, 0, known, 0, known) === 0;
    if (http2 && known < preface.length) return;
    leave();
    socket.pause();
    socket.unshift(head);
    decide(http2 ? 'http2' : 'http1');
    // The HTTP/1.1 parser listens for data, but a paused socket stays so until told; HTTP/2 reads by itself.
    if (!http2) socket.resume();
  };
  socket.on('data', onData);
  socket.on('end', onEnd);
  socket.on('close', onClose);
  socket.on('error', ignore);
}

// 'close' follows.
const ignore = (): void => {};
