/**
 * What is used of kafkajs beneath its public clients: one connection, and Kafka's requests. Its consumer and its producer can't keep the
 * port's promises (docs/decisions/0008-kafka-adapter.md); its protocol can. The version is pinned, and what is used is looked for at start.
 */
import { createRequire } from 'node:module';
import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';

export interface Status {
  readonly errorCode: number;
}
export interface PartitionStatus extends Status {
  readonly partition: number;
}
interface ByTopic<P> {
  readonly topic: string;
  readonly partitions: readonly P[];
}
interface Answers<P> {
  readonly responses: readonly ByTopic<P>[];
}

export interface FetchedPartition extends PartitionStatus {
  /** Transactions that were aborted among these records. */
  readonly aborted: readonly { readonly producerId: bigint; readonly firstOffset: bigint }[];
  /** Record batches, the last perhaps not whole. */
  readonly bytes: Buffer;
}

export interface ProducedPartition extends PartitionStatus {
  readonly baseOffset: string;
}

interface Group {
  readonly groupId: string;
}
interface Member extends Group {
  readonly memberId: string;
}

/** Kafka's requests, by their names at kafkajs: what goes in, what comes back. No answer throws: error codes are the caller's to read. */
export interface Api {
  ApiVersions: { ask: undefined; answer: Status & { apiVersions: readonly ApiVersion[] } };
  Metadata: { ask: { topics: readonly string[]; allowAutoTopicCreation: boolean }; answer: MetadataAnswer };
  CreateTopics: {
    ask: {
      topics: readonly {
        topic: string;
        numPartitions: number;
        replicationFactor: number;
        configEntries: readonly { name: string; value: string }[];
      }[];
      validateOnly: boolean;
      timeout: number;
    };
    answer: { topicErrors: readonly (Status & { topic: string; errorMessage?: string | null })[] };
  };
  DescribeConfigs: {
    ask: {
      resources: readonly { type: number; name: string; configNames: readonly string[] }[];
      includeSynonyms: boolean;
    };
    answer: {
      resources: readonly (Status & {
        resourceName: string;
        configEntries: readonly { configName: string; configValue: string | null }[];
      })[];
    };
  };
  InitProducerId: {
    ask: { transactionTimeout: number };
    answer: Status & { producerId: string; producerEpoch: number };
  };
  Produce: {
    ask: {
      acks: number;
      timeout: number;
      topicData: readonly ByTopic<{ partition: number; batch: Buffer }>[];
    };
    answer: { topics: readonly { topicName: string; partitions: readonly ProducedPartition[] }[] };
  };
  Fetch: {
    ask: {
      isolationLevel: number;
      maxWaitTime: number;
      minBytes: number;
      maxBytes: number;
      topics: readonly ByTopic<{ partition: number; fetchOffset: string; maxBytes: number }>[];
    };
    answer: Status & {
      responses: readonly { topicName: string; partitions: readonly FetchedPartition[] }[];
    };
  };
  ListOffsets: {
    ask: {
      isolationLevel: number;
      topics: readonly ByTopic<{ partition: number; timestamp: number }>[];
    };
    answer: Answers<PartitionStatus & { offset: string }>;
  };
  GroupCoordinator: { ask: Group; answer: Status & { coordinator: { nodeId: number } } };
  DescribeGroups: {
    ask: { groupIds: readonly string[] };
    answer: { groups: readonly (Status & { state: string; members: readonly unknown[] })[] };
  };
  JoinGroup: {
    ask: Member & {
      sessionTimeout: number;
      rebalanceTimeout: number;
      protocolType: string;
      groupProtocols: readonly { name: string; metadata: Buffer }[];
    };
    answer: Status & {
      generationId: number;
      leaderId: string;
      memberId: string;
      members: readonly { memberId: string; memberMetadata: Buffer }[];
    };
  };
  SyncGroup: {
    ask: Member & {
      generationId: number;
      groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[];
    };
    answer: Status & { memberAssignment: Buffer };
  };
  Heartbeat: { ask: Member & { groupGenerationId: number }; answer: Status };
  LeaveGroup: { ask: Member & { members: readonly { memberId: string }[] }; answer: Status };
  OffsetCommit: {
    ask: Member & {
      groupGenerationId: number;
      topics: readonly ByTopic<{ partition: number; offset: string }>[];
    };
    answer: Answers<PartitionStatus>;
  };
  OffsetFetch: {
    ask: Group & { topics: readonly ByTopic<{ partition: number }>[] };
    answer: Answers<PartitionStatus & { offset: string }> & { errorCode?: number };
  };
}

export type ApiName = keyof Api;

export interface ApiVersion {
  readonly apiKey: number;
  readonly minVersion: number;
  readonly maxVersion: number;
}

export interface MetadataAnswer {
  readonly clusterId: string;
  readonly controllerId: number;
  readonly brokers: readonly { readonly nodeId: number; readonly host: string; readonly port: number }[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[];
  }[];
}

/** One request with the way to read its answer. */
export interface Exchange {
  readonly request: { readonly apiVersion: number; readonly encode: () => Promise<unknown> };
  readonly response: {
    readonly decode: (raw: Buffer) => Promise<unknown>;
    readonly parse: (decoded: unknown) => Promise<unknown>;
  };
  readonly logResponseError?: boolean;
}

export interface Definition {
  readonly versions: readonly string[];
  readonly protocol: (choice: { readonly version: number }) => (ask?: object) => Exchange;
}

interface SocketRequest {
  readonly host: string;
  readonly port: number;
  readonly ssl: ConnectionOptions | null;
  readonly onConnect: () => void;
}

export interface ConnectionSettings {
  readonly host: string;
  readonly port: number;
  readonly clientId: string;
  readonly ssl: ConnectionOptions | null;
  readonly sasl: object | null;
  readonly connectionTimeout: number;
  readonly requestTimeout: number;
  readonly enforceRequestTimeout: boolean;
  readonly socketFactory: (request: SocketRequest) => Socket;
  readonly logger: KafkajsLogger;
}

export interface KafkajsLogger {
  namespace(name: string): KafkajsLogger;
  debug(message: string, extra?: object): void;
  info(message: string, extra?: object): void;
  warn(message: string, extra?: object): void;
  error(message: string, extra?: object): void;
}

/** kafkajs's connection to one broker. */
export interface Connection {
  connect(): Promise<unknown>;
  disconnect(): Promise<unknown>;
  authenticate(): Promise<void>;
  isAuthenticated(): boolean;
  setVersions(versions: object): void;
  setSupportAuthenticationProtocol(supported: boolean): void;
  rejectRequests(error: Error): void;
  send(exchange: Exchange): Promise<unknown>;
  readonly requestQueue: {
    readonly pending: readonly unknown[];
    scheduleCheckPendingRequests(): void;
    destroy(): void;
  };
}

interface KafkajsParts {
  readonly Connection: new (settings: ConnectionSettings) => Connection;
  readonly requests: Readonly<Record<ApiName | 'SaslAuthenticate', Definition>>;
  readonly apiKeys: Readonly<Record<ApiName | 'SaslAuthenticate', number>>;
  readonly createErrorFromCode: (
    code: number,
  ) => Error & { readonly type: string; readonly retriable: boolean };
}

const METHODS = [
  'connect',
  'disconnect',
  'authenticate',
  'isAuthenticated',
  'setVersions',
  'setSupportAuthenticationProtocol',
  'rejectRequests',
  'send',
] as const satisfies (keyof Connection)[];

/** Every request that is used. A record, so that none can be forgotten. */
const USED: Readonly<Record<ApiName, true>> = {
  ApiVersions: true,
  Metadata: true,
  CreateTopics: true,
  DescribeConfigs: true,
  InitProducerId: true,
  Produce: true,
  Fetch: true,
  ListOffsets: true,
  GroupCoordinator: true,
  DescribeGroups: true,
  JoinGroup: true,
  SyncGroup: true,
  Heartbeat: true,
  LeaveGroup: true,
  OffsetCommit: true,
  OffsetFetch: true,
};

const require = createRequire(import.meta.url);

/** @throws Error that says what this kafkajs lacks */
function load(): KafkajsParts {
  const { version }: { version: string } = require('kafkajs/package.json');
  const parts: KafkajsParts = {
    Connection: require('kafkajs/src/network/connection.js'),
    requests: require('kafkajs/src/protocol/requests/index.js').requests,
    apiKeys: require('kafkajs/src/protocol/requests/apiKeys.js'),
    createErrorFromCode: require('kafkajs/src/protocol/error.js').createErrorFromCode,
  };
  const missing = [
    ...METHODS.filter((name) => typeof parts.Connection.prototype?.[name] !== 'function'),
    ...Object.keys(USED).filter((name) => parts.requests[name as ApiName]?.versions.length === undefined),
    ...(typeof parts.createErrorFromCode === 'function' ? [] : ['createErrorFromCode']),
  ];
  if (missing.length > 0)
    throw new Error(`kafkajs ${version} lacks what the Kafka adapter uses: ${missing.join(', ')}`);
  return parts;
}

export const kafkajs = load();
