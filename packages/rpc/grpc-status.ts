import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { type Code, ConnectError } from '@connectrpc/connect';
import { Metadata, type ServiceError, type status } from '@grpc/grpc-js';
import { StatusSchema } from '@tradewind/contracts/third-party/google/rpc/status';

const detailsHeader = 'grpc-status-details-bin';

type GrpcStatus = { code: status & Code; details: string; metadata: Metadata };

/** A ConnectError as grpc-js sends it, its details in `grpc-status-details-bin`, with `headers` among the trailers. */
export function statusOf(error: ConnectError, headers: Metadata = new Metadata()): GrpcStatus {
  const message = error.rawMessage;
  const metadata = headers;
  if (!(error as { isWireError?: boolean }).isWireError) {
    error.metadata.forEach((value, name) => {
      metadata.set(name, value);
    });
  }
  if (error.details.length > 0) {
    const details = error.details.map((detail) =>
      'desc' in detail
        ? anyPack(detail.desc, create(detail.desc, detail.value))
        : { typeUrl: `type.googleapis.com/${detail.type}`, value: detail.value },
    );
    const status = create(StatusSchema, { code: error.code, message, details });
    metadata.set(detailsHeader, Buffer.from(toBinary(StatusSchema, status)));
  }
  return { code: error.code as status & Code, details: message, metadata };
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
