import { expect, test } from 'vitest';
import { parseKafkaUrl } from '../kafka-log/address.ts';

test('a URL names one broker or several, with 9092 as the port', () => {
  expect(parseKafkaUrl('kafka://localhost').seeds).toEqual([{ host: 'localhost', port: 9092 }]);
  expect(parseKafkaUrl('kafka://a:1,b,[::1]:3/').seeds).toEqual([
    { host: 'a', port: 1 },
    { host: 'b', port: 9092 },
    { host: '::1', port: 3 },
  ]);
  expect(parseKafkaUrl('kafka://a').security).toEqual({ tls: null, sasl: null });
  expect(parseKafkaUrl('kafkas://a').security).toEqual({ tls: {}, sasl: null });
});

test('a login may stand in it, or in the settings; what stands in it wins', () => {
  const sasl = (url: string, settings = {}) => parseKafkaUrl(url, settings).security.sasl;
  expect(sasl('kafka://me:p%40ss:w%2Frd@a')).toEqual({
    mechanism: 'plain',
    username: 'me',
    password: 'p@ss:w/rd',
  });
  expect(sasl('kafka://a?username=me&password=x&sasl=SCRAM-SHA-256')).toEqual({
    mechanism: 'scram-sha-256',
    username: 'me',
    password: 'x',
  });
  const settings = { sasl: 'scram-sha-512', username: 'they', password: 'theirs' } as const;
  expect(sasl('kafka://a', settings)).toEqual({
    mechanism: 'scram-sha-512',
    username: 'they',
    password: 'theirs',
  });
  expect(sasl('kafka://me:mine@a?sasl=plain', settings)).toEqual({
    mechanism: 'plain',
    username: 'me',
    password: 'mine',
  });
  expect(sasl('kafka://me@a', { password: 'theirs' })).toEqual({
    mechanism: 'plain',
    username: 'me',
    password: 'theirs',
  });
});

test('numbers and compression are read', () => {
  expect(parseKafkaUrl('kafka://a?partitions=12&replication=3&compression=zstd&session=10000')).toMatchObject(
    {
      partitions: 12,
      replication: 3,
      compression: 'zstd',
      sessionMs: 10_000,
    },
  );
  expect(parseKafkaUrl('kafka://a?partitions=12', { partitions: 3, compression: 'gzip' })).toMatchObject({
    partitions: 12,
    compression: 'gzip',
  });
});

test.each([
  ['kafka://', /reads kafka/],
  ['kafka://a:1b', /host:port/],
  ['kafka://a:70000', /host:port/],
  ['kafka://a,,b', /host:port/],
  ['kafka://me:s3cret@a?nonsense=s3cret&more=1', /nonsense, more/],
  ['kafka://me@a', /password/],
  ['kafka://a?sasl=plain', /user name/],
  ['kafka://me:s3cret@a?sasl=kerberos', /sasl .*scram-sha-512/],
  ['kafka://me:s3cret@a?compression=rar', /compression .*zstd/],
  ['kafka://me:s3cret@a?partitions=many', /partitions/],
  ['kafka://me:s3cret@a?ca=/x', /kafkas/],
  ['kafkas://me:s3cret@a?cert=/x', /cert and key/],
])('%s is a mistake that is named, without its secrets', (url, message) => {
  expect(() => parseKafkaUrl(url)).toThrow(message);
  try {
    parseKafkaUrl(url);
  } catch (error) {
    expect(String(error)).not.toContain('s3cret');
  }
});
