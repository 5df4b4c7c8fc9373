import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { type Code, ConnectError } from '@connectrpc/connect';
import type { Metadata, ServiceError, status } from '@grpc/grpc-js';
import { StatusSchema } from '@tradewind/contracts/third-party/google/rpc/status';

const detailsHeader = 'grpc-status-details-bin';

/** A ConnectError as gRPC's headers of an answer without a body: code, message, details, and what it carries itself. */
export function statusHeaders(error: ConnectError): Record<string, string> {
  const details = packedDetails(error);
  return {
    ...ownHeaders(error),
    'grpc-status': String(error.code),
    'grpc-message': encodeURI(error.rawMessage),
    ...(details && { [detailsHeader]: details.toString('base64') }),
  };
}

/** A ConnectError as grpc-js sends it; `metadata` becomes its trailers. */
export function statusOf(
  error: ConnectError,
  metadata: Metadata,
): { code: status & Code; details: string; metadata: Metadata } {
  for (const [name, value] of Object.entries(ownHeaders(error))) metadata.set(name, value);
  const details = packedDetails(error);
  if (details) metadata.set(detailsHeader, details);
  return { code: error.code as status & Code, details: error.rawMessage, metadata };
}

function ownHeaders(error: ConnectError): Record<string, string> {
  // What another server sent with its error is not ours to send.
  return (error as { isWireError?: boolean }).isWireError ? {} : Object.fromEntries(error.metadata);
}

function packedDetails({ code, rawMessage: message, details }: ConnectError): Buffer | undefined {
  if (details.length === 0) return undefined;
  const packed = details.map((detail) =>
    'desc' in detail
      ? anyPack(detail.desc, create(detail.desc, detail.value))
      : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
  );
  return Buffer.from(toBinary(StatusSchema, create(StatusSchema, { code, message, details: packed })));
}

/** What grpc-js's client rejects with, as a ConnectError with its details. */
export function errorOf({ code, details, metadata }: ServiceError): ConnectError {
  const headers = new Headers();
  for (const [name, values] of Object.entries(metadata?.toJSON() ?? {})) {
    for (const value of values) if (typeof value === 'string') headers.append(name, value);
  }
  const error = new ConnectError(details, code as number as Code, headers);
  // Keeps a server that passes this error on from sending the other's headers as its own.
  (error as { isWireError?: boolean }).isWireError = true;
  const packed = metadata?.get(detailsHeader)[0];
  if (packed instanceof Buffer) error.details = unpack(packed);
  return error;
}

function unpack(packed: Buffer): { type: string; value: Uint8Array<ArrayBuffer> }[] {
  try {
    return fromBinary(StatusSchema, packed).details.map(({ typeUrl, value }) => ({
      type: typeUrl.slice(typeUrl.lastIndexOf('/') + 1),
      value: Uint8Array.from(value),
    }));
  } catch {
    // Details that can't be read must not hide the error that they belong to.
    return [];
  }
}
