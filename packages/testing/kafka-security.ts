import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { BrokerOptions } from './kafka.ts';

const run = promisify(execFile);

/** PEM texts. */
export interface Certificates {
  /** The authority that signed both. */
  readonly ca: string;
  /** Of the server, for 127.0.0.1 and localhost. */
  readonly cert: string;
  readonly key: string;
  /** Of a client, for mutual TLS. */
  readonly clientCert: string;
  readonly clientKey: string;
}

export interface SecuredOptions {
  /** SASL with PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 for this user; without it, clients need not log in. */
  readonly user?: { readonly name: string; readonly password: string };
  /** TLS with this certificate; without it, connections are plain. */
  readonly tls?: Certificates;
  /** Whether clients must show a certificate of that authority. */
  readonly clientCertificate?: boolean;
}

/** Options for `startBroker`, so that its clients must log in, speak TLS, or both. */
export function securedKafka({
  user,
  tls,
  clientCertificate = false,
}: SecuredOptions): Pick<BrokerOptions, 'protocol' | 'properties' | 'scramUsers'> {
  const client = (name: string) => `listener.name.client.${name}`;
  const properties: Record<string, string> = {};
  if (tls) {
    properties[client('ssl.keystore.type')] = 'PEM';
    properties[client('ssl.keystore.certificate.chain')] = tls.cert;
    properties[client('ssl.keystore.key')] = tls.key;
    properties[client('ssl.truststore.type')] = 'PEM';
    properties[client('ssl.truststore.certificates')] = tls.ca;
    properties[client('ssl.client.auth')] = clientCertificate ? 'required' : 'none';
  }
  if (user) {
    const quoted = (value: string) => `"${value.replaceAll(/["\\]/g, '\\$&')}"`;
    const login = 'org.apache.kafka.common.security';
    properties[client('sasl.enabled.mechanisms')] = 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512';
    properties[client('plain.sasl.jaas.config')] =
      `${login}.plain.PlainLoginModule required user_${user.name}=${quoted(user.password)};`;
    for (const mechanism of ['scram-sha-256', 'scram-sha-512'])
      properties[client(`${mechanism}.sasl.jaas.config`)] = `${login}.scram.ScramLoginModule required;`;
  }
  const protocol = user ? (tls ? 'SASL_SSL' : 'SASL_PLAINTEXT') : tls ? 'SSL' : 'PLAINTEXT';
  return { protocol, properties, scramUsers: user ? [user] : [] };
}

/** Makes an authority and what it signs, good for a day, with openssl. */
export async function makeCertificates(): Promise<Certificates> {
  const folder = await mkdtemp(join(tmpdir(), 'tradewind-certificates-'));
  const openssl = (...args: string[]) => run('openssl', args, { cwd: folder });
  const sign = (name: string, more: readonly string[]) =>
    openssl(
      ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', `/CN=${name}`],
      ...['-keyout', `${name}.key`, '-out', `${name}.pem`, ...more],
    );
  const byAuthority = [
    '-CA',
    'authority.pem',
    '-CAkey',
    'authority.key',
    '-addext',
    'basicConstraints=CA:FALSE',
  ];
  try {
    await sign('authority', []);
    await sign('server', [...byAuthority, '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost']);
    await sign('client', byAuthority);
    const text = (name: string) => readFile(join(folder, name), 'utf8');
    return {
      ca: await text('authority.pem'),
      cert: await text('server.pem'),
      key: await text('server.key'),
      clientCert: await text('client.pem'),
      clientKey: await text('client.key'),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
