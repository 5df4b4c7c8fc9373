import { create, createFileRegistry, fromBinary } from '@bufbuild/protobuf';
import {
  type FileDescriptorProto,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from '@bufbuild/protobuf/wkt';
import { Code, createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport } from '@connectrpc/connect-node';
import { OrderService } from '@tradewind/contracts/order/v1/order';
import { ServerReflection } from '@tradewind/contracts/third-party/grpc/reflection/v1/reflection';
import { ServerReflection as ServerReflectionAlpha } from '@tradewind/contracts/third-party/grpc/reflection/v1alpha/reflection';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Server } from '../serve.ts';
import { serveOrders } from './orders.ts';

let server: Server;
beforeAll(async () => {
  server = await serveOrders();
});
afterAll(() => server.close());

const transports = {
  gRPC: (baseUrl: string) => createGrpcTransport({ baseUrl }),
  // Streaming both ways needs HTTP/2 in Connect, too.
  Connect: (baseUrl: string) => createConnectTransport({ baseUrl, httpVersion: '2' }),
};

type Question =
  | {
      case: 'listServices' | 'fileByFilename' | 'fileContainingSymbol' | 'allExtensionNumbersOfType';
      value: string;
    }
  | { case: 'fileContainingExtension'; value: { containingType: string; extensionNumber: number } };

describe.each([
  ['v1', 'gRPC', ServerReflection],
  ['v1', 'Connect', ServerReflection],
  ['v1alpha', 'gRPC', ServerReflectionAlpha],
] as const)('reflection %s by %s', (_version, transport, service) => {
  async function ask(...questions: Question[]) {
    const client = createClient(service as typeof ServerReflection, transports[transport](server.url));
    async function* requests() {
      for (const messageRequest of questions) yield { messageRequest };
    }
    const answers = [];
    for await (const { messageResponse } of client.serverReflectionInfo(requests()))
      answers.push(messageResponse);
    return answers;
  }

  it('lists what is there', async () => {
    const [answer] = await ask({ case: 'listServices', value: '*' });
    if (answer?.case !== 'listServicesResponse') throw new Error('no list');
    expect(answer.value.service.map(({ name }) => name).sort()).toEqual([
      'grpc.health.v1.Health',
      'grpc.reflection.v1.ServerReflection',
      'grpc.reflection.v1alpha.ServerReflection',
      'tradewind.order.v1.OrderService',
    ]);
  });

  it('describes all that a client needs to call a service', async () => {
    const names = [
      OrderService.typeName,
      'tradewind.order.v1.OrderService.GetOrder',
      'tradewind.order.v1.Order',
    ];
    const answers = await ask(...names.map((value) => ({ case: 'fileContainingSymbol' as const, value })));
    for (const answer of answers) {
      if (answer.case !== 'fileDescriptorResponse') throw new Error('no file');
      const file = answer.value.fileDescriptorProto.map(
        (bytes): FileDescriptorProto => fromBinary(FileDescriptorProtoSchema, bytes),
      );
      expect(file[0]?.name).toBe('tradewind/order/v1/order.proto');
      // Dependencies come before what needs them in a descriptor set.
      const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: file.reverse() }));
      expect(registry.getService(OrderService.typeName)?.methods.map(({ name }) => name)).toEqual([
        'CreateOrder',
        'GetOrder',
        'ListOrders',
        'CancelOrder',
        'GetSaga',
      ]);
    }
  });

  it('describes the details of errors', async () => {
    const [answer] = await ask({ case: 'fileContainingSymbol', value: 'google.rpc.BadRequest' });
    if (answer?.case !== 'fileDescriptorResponse') throw new Error('no file');
    const [file = new Uint8Array()] = answer.value.fileDescriptorProto;
    expect(fromBinary(FileDescriptorProtoSchema, file).name).toBe('google/rpc/error_details.proto');
  });

  it('finds files and extensions, and says what it does not find', async () => {
    const [file, extension, numbers, none] = await ask(
      { case: 'fileByFilename', value: 'google/protobuf/timestamp.proto' },
      {
        case: 'fileContainingExtension',
        value: { containingType: 'google.protobuf.FieldOptions', extensionNumber: 1159 },
      },
      { case: 'allExtensionNumbersOfType', value: 'google.protobuf.FieldOptions' },
      { case: 'fileContainingSymbol', value: 'nobody.Nothing' },
    );
    expect(file?.case).toBe('fileDescriptorResponse');
    expect(extension?.case).toBe('fileDescriptorResponse');
    expect(numbers).toMatchObject({
      case: 'allExtensionNumbersResponse',
      value: { extensionNumber: expect.arrayContaining([1159]) },
    });
    expect(none).toMatchObject({ case: 'errorResponse', value: { errorCode: Code.NotFound } });
  });
});
