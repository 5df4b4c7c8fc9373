import { connect } from 'node:tls';
import type { SASLOptions } from 'kafkajs';
import { expect, test } from 'vitest';
import { startBroker } from '../kafka.ts';
import { makeCertificates, securedKafka } from '../kafka-security.ts';
import { administering, clientOf, put } from './kafka-clients.ts';

const user = { name: 'alice', password: 'open "sesame"\\' };
const login = (mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512', password = user.password) =>
  ({ mechanism, username: user.name, password }) as SASLOptions;

test('SASL over TLS lets in whoever knows the password and the authority, by each mechanism', async () => {
  const tls = await makeCertificates();
  await using broker = await startBroker(securedKafka({ user, tls }));
  const address = `127.0.0.1:${broker.port}`;
  await administering(clientOf(broker.internalAddress), (admin) =>
    admin.createTopics({ topics: [{ topic: 'facts', numPartitions: 1 }] }),
  );
  const ssl = { ca: [tls.ca], servername: 'localhost' };
  for (const mechanism of ['plain', 'scram-sha-256', 'scram-sha-512'] as const) {
    await put(clientOf(address, { ssl, sasl: login(mechanism) }), 'facts', mechanism);
    await expect(
      put(clientOf(address, { ssl, sasl: login(mechanism, 'wrong') }), 'facts', 'x'),
      mechanism,
    ).rejects.toThrow(/authentication|credentials/i);
  }
  await expect(put(clientOf(address, { ssl }), 'facts', 'x'), 'no login').rejects.toThrow();
  await expect(
    put(clientOf(address, { ssl: true, sasl: login('plain') }), 'facts', 'x'),
    'unknown authority',
  ).rejects.toThrow(/certificate|self-signed/i);
  await expect(put(clientOf(address, { sasl: login('plain') }), 'facts', 'x'), 'not TLS').rejects.toThrow();
});

test('SASL without TLS, and TLS that wants a certificate of the client', async () => {
  const tls = await makeCertificates();
  await using plain = await startBroker(securedKafka({ user }));
  const describe = (kafka: ReturnType<typeof clientOf>) =>
    administering(kafka, async (admin) => (await admin.describeCluster()).brokers.length);
  expect(await describe(clientOf(`127.0.0.1:${plain.port}`, { sasl: login('scram-sha-512') }))).toBe(1);
  await expect(describe(clientOf(`127.0.0.1:${plain.port}`))).rejects.toThrow();

  await using mutual = await startBroker(securedKafka({ tls, clientCertificate: true }));
  const known = { ca: [tls.ca], cert: tls.clientCert, key: tls.clientKey, servername: 'localhost' };
  expect(await describe(clientOf(`127.0.0.1:${mutual.port}`, { ssl: known }))).toBe(1);
  await expect(
    describe(clientOf(`127.0.0.1:${mutual.port}`, { ssl: { ca: [tls.ca], servername: 'localhost' } })),
  ).rejects.toThrow();
});

test('the certificate is good for 127.0.0.1 as well as for localhost', async () => {
  const tls = await makeCertificates();
  await using broker = await startBroker(securedKafka({ tls }));
  for (const servername of ['127.0.0.1', 'localhost']) {
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const socket = connect({
      host: '127.0.0.1',
      port: broker.port,
      ca: tls.ca,
      servername: servername === 'localhost' ? servername : '',
    });
    socket.once('secureConnect', () => resolve(socket.authorized)).once('error', reject);
    expect(await promise.finally(() => socket.destroy()), servername).toBe(true);
  }
});
