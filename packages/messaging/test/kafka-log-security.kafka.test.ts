/** TLS and logins, at brokers that ask for them. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { type Broker, startBroker } from '@tradewind/testing/kafka';
import { type Certificates, makeCertificates, securedKafka } from '@tradewind/testing/kafka-security';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type KafkaLogOptions, openKafkaLog } from '../kafka-log.ts';
import { append, newTopic, receive, record, text, unique } from './log-conformance/steps.ts';

const user = { name: 'trader', password: 'p@ss:w/rd?' };
const login = `${user.name}:${encodeURIComponent(user.password)}`;
let folder: string;
let certificates: Certificates;
let broker: Broker;
const logged: string[] = [];
const logger = pino(
  { level: 'trace' },
  new Writable({
    write(chunk, _, done) {
      logged.push(String(chunk));
      done();
    },
  }),
);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-tls-'));
  certificates = await makeCertificates();
  for (const [name, pem] of Object.entries(certificates)) await writeFile(join(folder, name), pem);
  broker = await startBroker(securedKafka({ user, tls: certificates }));
});
afterAll(async () => {
  await broker[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const address = () => new URL(broker.url).host;

async function use(options: Omit<KafkaLogOptions, 'logger'>): Promise<void> {
  await using log = await openKafkaLog({ ...options, logger });
  const topic = await newTopic(log, 1);
  await using consumer = await log.consumer({ group: unique('group'), topics: [topic] });
  await append(log, [record(topic, 'k', 'secret')]);
  expect((await receive(consumer, 1)).map(text)).toEqual(['secret']);
}

test.each(['plain', 'scram-sha-256', 'scram-sha-512'])('logs in by %s over TLS', async (mechanism) => {
  await use({ url: `kafkas://${login}@${address()}?sasl=${mechanism}&ca=${join(folder, 'ca')}` });
  await use({
    url: `kafkas://${address()}`,
    settings: {
      sasl: mechanism as 'plain',
      username: user.name,
      password: user.password,
      ca: join(folder, 'ca'),
    },
  });
});

test('a wrong password is said at once, and no password is ever said', async () => {
  for (const mechanism of ['plain', 'scram-sha-512']) {
    const url = `kafkas://${user.name}:wr0ng-s3cret@${address()}?sasl=${mechanism}&ca=${join(folder, 'ca')}`;
    const error: Error = await openKafkaLog({ url, logger }).then(
      () => expect.unreachable(),
      (reason) => reason,
    );
    expect(error.message).toMatch(/unauthenticated/i);
    expect(error.message).not.toContain('wr0ng-s3cret');
  }
  expect(logged.join('')).not.toContain(user.password);
  expect(logged.join('')).not.toContain('wr0ng-s3cret');
});

test('a broker that nobody vouches for is not talked to', async () => {
  await expect(openKafkaLog({ url: `kafkas://${login}@${address()}`, logger })).rejects.toThrow(
    /certificate/,
  );
});

test('a broker may ask for a certificate too', async () => {
  await using mutual = await startBroker(securedKafka({ tls: certificates, clientCertificate: true }));
  const host = new URL(mutual.url).host;
  const [ca, cert, key] = ['ca', 'clientCert', 'clientKey'].map((name) => join(folder, name));
  await use({ url: `kafkas://${host}?ca=${ca}&cert=${cert}&key=${key}` });
  await expect(openKafkaLog({ url: `kafkas://${host}?ca=${ca}`, logger })).rejects.toThrow();
});
