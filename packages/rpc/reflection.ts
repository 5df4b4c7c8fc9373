import {
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  toBinary,
} from '@bufbuild/protobuf';
import { nestedTypes } from '@bufbuild/protobuf/reflect';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code } from '@connectrpc/connect';
import { file_google_rpc_error_details } from '@tradewind/contracts/third-party/google/rpc/error_details';
import {
  ServerReflection,
  type ServerReflectionRequest,
} from '@tradewind/contracts/third-party/grpc/reflection/v1/reflection';
import { ServerReflection as ServerReflectionAlpha } from '@tradewind/contracts/third-party/grpc/reflection/v1alpha/reflection';
import { type Implementation, implement } from './implement.ts';

type Lookup = {
  services: readonly string[];
  files: Map<string, DescFile>;
  symbols: Map<string, DescFile>;
  /** By `<extended type>#<number>`. */
  extensions: Map<string, DescExtension>;
};

type Question = ServerReflectionRequest['messageRequest'];

/** Server reflection, v1 and v1alpha, of `services` and of itself. */
export function reflectionServices(services: readonly DescService[]): Implementation[] {
  const lookup = lookupOf(
    [...services, ServerReflection, ServerReflectionAlpha],
    [file_google_rpc_error_details],
  );
  return [
    implement(ServerReflection, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests)
          yield { ...echo(request), messageResponse: answer(request.messageRequest, lookup) };
      },
    }),
    // The same messages in another package.
    implement(ServerReflectionAlpha, {
      async *serverReflectionInfo(requests) {
        for await (const request of requests)
          yield { ...echo(request), messageResponse: answer(request.messageRequest as Question, lookup) };
      },
    }),
  ];
}

function echo<R extends { host: string }>(originalRequest: R): { validHost: string; originalRequest: R } {
  return { validHost: originalRequest.host, originalRequest };
}

function answer(question: Question, lookup: Lookup) {
  switch (question.case) {
    case 'listServices':
      return {
        case: 'listServicesResponse' as const,
        value: { service: lookup.services.map((name) => ({ name })) },
      };
    case 'fileByFilename':
      return fileAnswer(lookup.files.get(question.value), question.value);
    case 'fileContainingSymbol':
      return fileAnswer(lookup.symbols.get(question.value.replace(/^\./, '')), question.value);
    case 'fileContainingExtension': {
      const { containingType, extensionNumber } = question.value;
      const name = `${containingType}#${extensionNumber}`;
      return fileAnswer(lookup.extensions.get(name)?.file, name);
    }
    case 'allExtensionNumbersOfType':
      return extensionsAnswer(question.value, lookup);
    default:
      return error(Code.InvalidArgument, 'the question is missing');
  }
}

function extensionsAnswer(baseTypeName: string, lookup: Lookup) {
  if (!lookup.symbols.has(baseTypeName)) return error(Code.NotFound, `unknown type ${baseTypeName}`);
  const extensionNumber = [...lookup.extensions.values()]
    .filter((extension) => extension.extendee.typeName === baseTypeName)
    .map((extension) => extension.number);
  return { case: 'allExtensionNumbersResponse' as const, value: { baseTypeName, extensionNumber } };
}

function fileAnswer(file: DescFile | undefined, name: string) {
  if (file === undefined) return error(Code.NotFound, `not found: ${name}`);
  const fileDescriptorProto = inOrder(file).map((each) => toBinary(FileDescriptorProtoSchema, each.proto));
  return { case: 'fileDescriptorResponse' as const, value: { fileDescriptorProto } };
}

function error(errorCode: Code, errorMessage: string) {
  return { case: 'errorResponse' as const, value: { errorCode, errorMessage } };
}

function withDependencies(file: DescFile, seen: Set<DescFile>): Set<DescFile> {
  if (!seen.has(file)) {
    seen.add(file);
    for (const dependency of file.dependencies) withDependencies(dependency, seen);
  }
  return seen;
}

/** The file and all that it needs, each before what it needs itself, also where two files need the same one. */
function inOrder(file: DescFile): DescFile[] {
  const needed = new Set<DescFile>();
  const add = (one: DescFile): void => {
    if (needed.has(one)) return;
    for (const dependency of one.dependencies) add(dependency);
    needed.add(one);
  };
  add(file);
  return [...needed].reverse();
}

/** `more` are files that no method names, though clients meet their messages, in details of errors. */
function lookupOf(services: readonly DescService[], more: readonly DescFile[]): Lookup {
  const all = new Set<DescFile>(more);
  for (const { file } of services) withDependencies(file, all);
  const lookup: Lookup = {
    services: services.map(({ typeName }) => typeName),
    files: new Map([...all].map((file) => [file.proto.name, file])),
    symbols: new Map(),
    extensions: new Map(),
  };
  for (const file of all) addSymbols(file, lookup);
  return lookup;
}

function addSymbols(file: DescFile, { symbols, extensions }: Lookup): void {
  for (const type of nestedTypes(file)) {
    symbols.set(type.typeName, file);
    if (type.kind === 'extension') extensions.set(`${type.extendee.typeName}#${type.number}`, type);
    for (const member of membersOf(type)) symbols.set(`${type.typeName}.${member}`, file);
  }
}

function membersOf(type: ReturnType<typeof nestedTypes> extends Iterable<infer T> ? T : never): string[] {
  if (type.kind === 'service') return type.methods.map(({ name }) => name);
  if (type.kind === 'message') return (type as DescMessage).fields.map(({ name }) => name);
  return [];
}
