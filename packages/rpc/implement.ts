import type {
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
} from '@bufbuild/protobuf';
import type { BidiStreaming, ClientStreaming, ServerStreaming, Unary } from './call.ts';

/** The handler that a method of a contract asks for. */
export type Handler<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? Unary<I, O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? ServerStreaming<I, O>
      : M extends DescMethodClientStreaming<infer I, infer O>
        ? ClientStreaming<I, O>
        : M extends DescMethodBiDiStreaming<infer I, infer O>
          ? BidiStreaming<I, O>
          : never;

/** One handler for each method of a service; a missing one is a type error. */
export type Handlers<S extends DescService> = { readonly [M in keyof S['method']]: Handler<S['method'][M]> };

/** A service of a contract with its handlers, by the methods' local names (`createOrder`). */
export type Implementation = {
  readonly service: DescService;
  readonly handlers: Readonly<Record<string, unknown>>;
};

/** Ties handlers to a service of a contract. A service's routes are a list of these. */
export function implement<S extends DescService>(service: S, handlers: Handlers<S>): Implementation {
  for (const method of service.methods) {
    if (typeof handlers[method.localName as keyof Handlers<S>] !== 'function') {
      throw new TypeError(`${service.typeName}.${method.name} has no handler`);
    }
  }
  return { service, handlers: handlers as Readonly<Record<string, unknown>> };
}
