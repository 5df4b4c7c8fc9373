import type { DescMessage, DescMethod, MessageShape } from '@bufbuild/protobuf';
import type { Metrics } from '@tradewind/telemetry/metrics';
import type { AccessLog, WriteLine } from './access-log.ts';
import type { Face } from './call.ts';
import { type Durations, methodDurations } from './metrics.ts';
import { type Check, checkOf } from './validate.ts';

export type AnyMessage = MessageShape<DescMessage>;

/** Makes of a response what a face sends. */
export type Encode<T> = (response: AnyMessage, route: Route) => T;

export const asItIs: Encode<AnyMessage> = (response) => response;

/** A method with all that a call of it needs, made once. */
export type Route = {
  readonly method: DescMethod;
  /** `tradewind.order.v1.OrderService/CreateOrder` */
  readonly name: string;
  readonly handler: unknown;
  readonly check: Check;
  readonly metrics: Record<Face, Durations>;
  /** Writes the access log line of a call that succeeded. */
  readonly succeeded: Record<Face, WriteLine>;
};

const faces: readonly Face[] = ['grpc', 'grpc-web', 'connect', 'http'];

export function routeOf(method: DescMethod, handler: unknown, metrics: Metrics, log: AccessLog): Route {
  const name = `${method.parent.typeName}/${method.name}`;
  const byFace = <T>(make: (face: Face) => T) =>
    Object.fromEntries(faces.map((face) => [face, make(face)])) as Record<Face, T>;
  return {
    method,
    name,
    handler,
    check: checkOf(method.input),
    metrics: byFace((face) => methodDurations(metrics, name, face)),
    succeeded: byFace((face) => log.writer({ method: name, face, code: 'OK' })),
  };
}
