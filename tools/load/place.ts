import { placeByConnect } from './place-connect.ts';
import { placeByGrpc } from './place-grpc.ts';
import { placeByRest } from './place-rest.ts';
import type { PlannedOrder } from './plan.ts';

export const protocols = ['rest', 'grpc', 'connect'] as const;
export type Protocol = (typeof protocols)[number];

/** What the order service answered. */
export interface Accepted {
  readonly id: string;
  /** The order's created_at in milliseconds since 1970. */
  readonly createdAtMs: number;
}

/** A client that places orders over one protocol, many at a time. */
export interface Placer extends AsyncDisposable {
  /**
   * One attempt, at most `attemptMs` long.
   * @throws ConnectError; whatever the protocol, its code says whether to try again
   */
  place(order: PlannedOrder): Promise<Accepted>;
}

export interface PlacerOptions {
  readonly orderUrl: string;
  /** Requests under way at once. */
  readonly clients: number;
  readonly attemptMs: number;
}

export function createPlacer(protocol: Protocol, options: PlacerOptions): Placer {
  switch (protocol) {
    case 'rest':
      return placeByRest(options);
    case 'grpc':
      return placeByGrpc(options);
    case 'connect':
      return placeByConnect(options);
  }
}
