import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigurationError } from '@tradewind/process/environment';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { whereabouts } from '../dlq/whereabouts.ts';
import { StateFile } from '../start/state.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'tradewind-whereabouts-'));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

test('without a word, everything is where npm start puts it', () => {
  expect(whereabouts(dataDir, {})).toMatchObject({
    log: { url: 'postgres://postgres@127.0.0.1:25432/log' },
    databaseUrls: { order: 'postgres://postgres@127.0.0.1:25432/order' },
    serviceUrls: { product: 'http://127.0.0.1:8080', order: 'http://127.0.0.1:3000' },
    processes: undefined,
  });
});

test('a starter that runs on the data folder has noted its ports and processes; the environment wins', () => {
  const { file } = StateFile.claim(dataDir, { postgres: 1001, order: 1002, stock: 1003, product: 1004 });
  using _ = file;
  file.record('order', process.pid);
  const found = whereabouts(dataDir, { STOCK_PORT: '2003', ORDER_DATABASE_URL: 'postgres://me@db/orders' });
  expect(found).toMatchObject({
    log: { url: 'postgres://postgres@127.0.0.1:1001/log' },
    databaseUrls: { order: 'postgres://me@db/orders', stock: 'postgres://postgres@127.0.0.1:1001/stock' },
    serviceUrls: { order: 'http://127.0.0.1:1002', stock: 'http://127.0.0.1:2003' },
    processes: [{ name: 'order', pid: process.pid, alive: true }],
  });
});

test('names with the prefix APP_ count as for npm start', () => {
  const { file } = StateFile.claim(dataDir, { postgres: 1001, order: 1002, stock: 1003, product: 1004 });
  using _ = file;
  const found = whereabouts(dataDir, {
    APP_STOCK_PORT: '2003',
    STOCK_PORT: '2004',
    APP_ORDER_DATABASE_URL: 'postgres://me@db/orders',
    APP_TRADEWIND_POSTGRES_PORT: '2001',
    APP_PRODUCT_URL: 'http://p:1',
  });
  expect(found).toMatchObject({
    log: { url: 'postgres://postgres@127.0.0.1:2001/log' },
    databaseUrls: { order: 'postgres://me@db/orders' },
    serviceUrls: { order: 'http://127.0.0.1:1002', stock: 'http://127.0.0.1:2003', product: 'http://p:1' },
  });
});

test('Kafka is named by its URL and its own variables, and what is wrong is listed', () => {
  expect(whereabouts(dataDir, { EVENT_LOG_URL: 'kafka://a:1,b:2', KAFKA_SASL: 'plain' }).log).toMatchObject({
    url: 'kafka://a:1,b:2',
    kafka: { sasl: 'plain' },
  });
  expect(() => whereabouts(dataDir, { KAFKA_SASL: 'odd' })).toThrow(ConfigurationError);
});
