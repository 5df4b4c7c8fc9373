import { readFileSync } from 'node:fs';
import { COMPRESSIONS, type Compression } from './codecs.ts';
import type { Address, Security } from './wire.ts';

export const MECHANISMS = ['plain', 'scram-sha-256', 'scram-sha-512'] as const;
export type Mechanism = (typeof MECHANISMS)[number];

/** What can be said of a Kafka besides its address; the URL's own parameters win. */
export interface KafkaSettings {
  readonly sasl?: Mechanism | undefined;
  readonly username?: string | undefined;
  readonly password?: string | undefined;
  /** PEM files: whom to trust, and who this is. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
  readonly partitions?: number | undefined;
  readonly replication?: number | undefined;
  readonly compression?: Compression | undefined;
  /** Milliseconds. */
  readonly session?: number | undefined;
}

/** Where a Kafka is and how to use it. */
export interface KafkaAddress {
  readonly seeds: readonly Address[];
  readonly security: Security;
  readonly partitions: number | undefined;
  readonly replication: number | undefined;
  readonly compression: Compression | undefined;
  readonly sessionMs: number | undefined;
}

const SHAPE = /^(kafkas?):\/\/(?:([^@/?#]*)@)?([^@/?#]+)\/?(?:\?([^#]*))?$/;
const HOST = /^(\[[0-9a-fA-F:.]+\]|[^:[\]\s]+)(?::(\d{1,5}))?$/;
const PORT = 9092;
const PARAMETERS: readonly (keyof KafkaSettings)[] = [
  'sasl',
  'username',
  'password',
  'ca',
  'cert',
  'key',
  'partitions',
  'replication',
  'compression',
  'session',
];

/**
 * Reads `kafka://[user:password@]host[:9092][,host…][?parameters]`; `kafkas://` is TLS. Parameters are the names of `KafkaSettings`.
 * @throws Error that names what is wrong, without any of its secrets
 */
export function parseKafkaUrl(url: string, settings: KafkaSettings = {}): KafkaAddress {
  const [, protocol, login = '', hosts = '', query = ''] = SHAPE.exec(url) ?? [];
  if (!protocol) throw new Error('a Kafka URL reads kafka://[user:password@]host:9092[,host…][?…]');
  const parameters = new URLSearchParams(query);
  const unknown = [...new Set(parameters.keys())].filter(
    (name) => !PARAMETERS.some((known) => known === name),
  );
  if (unknown.length > 0)
    throw new Error(
      `the Kafka URL has unknown parameters: ${unknown.join(', ')}; known are ${PARAMETERS.join(', ')}`,
    );
  const text = (name: keyof KafkaSettings) => parameters.get(name) ?? settings[name]?.toString();
  const number = (name: keyof KafkaSettings) => {
    const value = text(name);
    if (value === undefined) return undefined;
    if (!/^\d{1,9}$/.test(value) || Number(value) < 1)
      throw new Error(`${name} of the Kafka URL must be a whole number from 1`);
    return Number(value);
  };
  const seeds = hosts.split(',').map(seed);
  const [user = '', password] = login.split(/:(.*)/s).map(decodeURIComponent);
  return {
    seeds,
    security: {
      tls: tlsOf(protocol === 'kafkas', text),
      sasl: saslOf(
        user || text('username'),
        password ?? text('password'),
        choice(text('sasl'), MECHANISMS, 'sasl'),
      ),
    },
    partitions: number('partitions'),
    replication: number('replication'),
    compression: choice(text('compression'), Object.keys(COMPRESSIONS) as Compression[], 'compression'),
    sessionMs: number('session'),
  };
}

function seed(text: string): Address {
  const [, host, port = String(PORT)] = HOST.exec(text) ?? [];
  if (!host || Number(port) > 65_535)
    throw new Error(`${JSON.stringify(text)} of the Kafka URL is not a host:port`);
  return { host: host.replace(/^\[|\]$/g, ''), port: Number(port) };
}

function choice<T extends string>(
  value: string | undefined,
  choices: readonly T[],
  name: string,
): T | undefined {
  if (value === undefined) return undefined;
  const found = choices.find((one) => one === value.toLowerCase());
  if (!found) throw new Error(`${name} of the Kafka URL must be one of ${choices.join(', ')}`);
  return found;
}

function saslOf(
  username: string | undefined,
  password: string | undefined,
  mechanism: Mechanism | undefined,
): Security['sasl'] {
  if (username === undefined && password === undefined && mechanism === undefined) return null;
  if (!username || !password) throw new Error('a login at Kafka needs both a user name and a password');
  return { mechanism: mechanism ?? 'plain', username, password };
}

function tlsOf(on: boolean, text: (name: 'ca' | 'cert' | 'key') => string | undefined): Security['tls'] {
  const files = { ca: text('ca'), cert: text('cert'), key: text('key') };
  if (!on) {
    const given = Object.entries(files).filter(([, path]) => path !== undefined);
    if (given.length > 0)
      throw new Error(`${given.map(([name]) => name).join(', ')} given, but the URL is not kafkas://`);
    return null;
  }
  if ((files.cert === undefined) !== (files.key === undefined))
    throw new Error('cert and key of the Kafka URL go together');
  const contents = Object.entries(files).flatMap(([name, path]) =>
    path === undefined ? [] : [[name, readFileSync(path)] as const],
  );
  return Object.fromEntries(contents);
}
