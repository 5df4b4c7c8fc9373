import type { DescMessage, DescMethodUnary, MessageInitShape, MessageShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Product, ProductService } from '@tradewind/contracts/product/v1/product';
import type { ActiveCall } from '@tradewind/rpc/call';
import type { Invoke } from '@tradewind/rpc/serve';
import DataLoader from 'dataloader';
import { type StockSource, stockLevels } from './stock-levels.ts';

export interface DoorOptions {
  readonly invoke: Invoke;
  /** A new call on behalf of the HTTP request. */
  readonly call: () => ActiveCall;
  readonly stock: StockSource;
  /** What the request may cost, over all of its operations. */
  readonly maxCost: number;
}

/** What one HTTP request asks of the service and of its neighbour, each thing once. */
export class Door {
  readonly #options: DoorOptions;
  readonly #reading = new Set<Promise<unknown>>();
  readonly #products: DataLoader<number, Product | null>;
  readonly #levels: DataLoader<number, number | null>;
  #cost = 0;

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#products = new DataLoader((ids) => this.#readProducts(ids), { maxBatchSize: 1_000 });
    this.#levels = stockLevels(options.stock, options.call, () => this.#settled());
  }

  /** Runs an RPC of this service, as any other face would. */
  ask<I extends DescMessage, O extends DescMessage>(
    method: DescMethodUnary<I, O>,
    request: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    return this.#track(this.#options.invoke(method, request, this.#options.call()));
  }

  /** A product, or null when there is none. */
  product(id: number): Promise<Product | null> {
    return this.#track(this.#products.load(id));
  }

  /** Pieces left, or null for a product that stock does not know. Rejects when stock can't be reached in time. */
  stock(id: number): Promise<number | null> {
    return this.#levels.load(id);
  }

  /** @throws ConnectError RESOURCE_EXHAUSTED when the request's operations cost more than one may */
  spend(cost: number): void {
    const { maxCost } = this.#options;
    this.#cost += cost;
    if (this.#cost <= maxCost) return;
    throw new ConnectError(
      `the request costs ${this.#cost}, more than ${maxCost}: ask for fewer fields or smaller pages`,
      Code.ResourceExhausted,
    );
  }

  async #readProducts(ids: readonly number[]): Promise<(Product | null)[]> {
    const { products } = await this.ask(ProductService.method.batchGetProducts, { ids: [...ids] });
    const byId = new Map(products.map((product) => [product.id, product]));
    return ids.map((id) => byId.get(id) ?? null);
  }

  #track<T>(reading: Promise<T>): Promise<T> {
    this.#reading.add(reading);
    const done = () => void this.#reading.delete(reading);
    reading.then(done, done);
    return reading;
  }

  /** Resolves once nothing is read any more and what was read last has been resolved down to its fields. */
  async #settled(): Promise<void> {
    do {
      await Promise.allSettled(this.#reading);
      await new Promise(setImmediate);
    } while (this.#reading.size > 0);
  }
}
