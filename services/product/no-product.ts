import { Code, ConnectError } from '@connectrpc/connect';

/** NOT_FOUND for an id that names no product. */
export function noProduct(id: number): ConnectError {
  return new ConnectError(`there is no product ${id}`, Code.NotFound);
}
