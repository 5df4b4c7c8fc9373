import { once } from 'node:events';
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Duplex } from 'node:stream';

type Peer = {
  readonly name: string;
  readonly socket: Duplex;
  /**
   * Streams that are open, counted for clients of connect-es only. Of a GOAWAY on a connection without one their process dies
   * (connect-es issue 1768), so they are told while one is open, or not at all.
   */
  open: number | undefined;
  told: boolean;
};

/** A GOAWAY that refuses nothing yet: no error, the highest stream there can be. */
const goaway = Buffer.from('0000080700000000007fffffff00000000', 'hex');

/** The HTTP/2 connections of a server, and how they are taken leave of. */
export class Peers {
  readonly #peers = new Map<ServerHttp2Session, Peer>();
  #leaving = false;

  add(session: ServerHttp2Session, socket: Duplex): void {
    const { remoteAddress, remotePort } = session.socket;
    const name = `${remoteAddress}:${remotePort}`;
    this.#peers.set(session, { name, socket, open: undefined, told: false });
    session.on('close', () => this.#peers.delete(session));
    // Without a listener a broken connection would end the process.
    session.on('error', () => {});
  }

  /** To be called for each new stream. Who it comes from, `<address>:<port>`. */
  opened(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): string {
    const session = stream.session as ServerHttp2Session;
    const peer = this.#peers.get(session);
    if (peer === undefined) return 'unknown';
    if (headers['user-agent']?.startsWith('connect-es/')) {
      peer.open = (peer.open ?? 0) + 1;
      stream.once('close', () => {
        peer.open = (peer.open ?? 1) - 1;
      });
      if (this.#leaving) tell(session, peer);
    }
    return peer.name;
  }

  /** From now on, who must be told while a stream is open is told with the next one. */
  prepare(): void {
    this.#leaving = true;
  }

  /**
   * Tells all to open no new streams here, takes those that come nevertheless for `graceMs`, then closes. Streams that are open go
   * on. Resolves when all have ended.
   */
  async drain(graceMs: number): Promise<void> {
    this.prepare();
    for (const [session, peer] of this.#peers) if (peer.open !== 0) tell(session, peer);
    // One round trip: what was sent before the GOAWAY arrived is still taken.
    await new Promise((resolve) => setTimeout(resolve, graceMs));
    const closed = [...this.#peers].map(([session, peer]) => {
      if (peer.open === 0 && !peer.told) peer.socket.destroy();
      else if (!session.closed) session.close();
      return session.destroyed ? undefined : once(session, 'close');
    });
    await Promise.all(closed);
  }

  /** Ends all that is left. */
  destroy(): void {
    for (const session of this.#peers.keys()) session.destroy();
  }
}

function tell(session: ServerHttp2Session, peer: Peer): void {
  if (peer.told || session.closed || session.destroyed) return;
  peer.told = true;
  // `session.goaway` lets nghttp2 ignore what the client sent before it knew, so the frame is written by hand, between frames. Over TLS
  // nobody but the session may write; there such calls are refused, which gRPC clients take as "not seen" and send again.
  if ('encrypted' in peer.socket) session.goaway(0, 0x7fffffff);
  else peer.socket.write(goaway);
}
