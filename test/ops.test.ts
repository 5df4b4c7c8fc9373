import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { ProductService } from '@tradewind/contracts/product/v1/product';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { createClient } from '@tradewind/rpc/client';
import { type Scrape, scrape } from '@tradewind/testing/metrics';
import { startService } from '@tradewind/testing/service';
import { expect, test } from 'vitest';
import { service as productService } from '../services/product/service.ts';
import { service as ratingsService } from '../services/ratings/service.ts';
import { dashboardFaults, dashboardsIn } from '../tools/ops/dashboards.ts';
import { missingRecords, namedMetrics, rulesIn } from '../tools/ops/named-metrics.ts';
import { startSaga } from './running-saga.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Of what Prometheus itself adds to each series. */
const ADDED = new Set(['job', 'instance', 'service', 'le']);

/** All series that a family may have. */
function nameOf(family: string, type: string | undefined): string[] {
  return type === 'histogram' ? ['_bucket', '_sum', '_count', ''].map((part) => family + part) : [family];
}

let asked: Promise<readonly Scrape[]> | undefined;

/** What the processes of all services tell, once each has something to tell. */
function told(): Promise<readonly Scrape[]> {
  asked ??= tell();
  return asked;
}

async function tell(): Promise<readonly Scrape[]> {
  await using saga = await startSaga();
  await using product = await startService(productService, { env: { STOCK_URL: saga.stock.url } });
  await using client = createClient(ProductService, { baseUrl: product.url });
  await client.call.createProduct({ name: 'Lamp', price: 100n, currency: 'USD' });
  await using ratings = await startService(ratingsService, { logUrl: saga.order.logUrl });
  await using rating = createClient(RatingsService, { baseUrl: ratings.url });
  await rating.call.createTalk({ id: 'talk', title: 'A talk' });
  await rating.call.rateTalk({ talkId: 'talk', value: 5 });
  const query = '{ products(first: 1) { name stock } }';
  const headers = { 'content-type': 'application/json' };
  await fetch(`${product.url}/graphql`, { method: 'POST', headers, body: JSON.stringify({ query }) });
  await saga.put(1, 5);
  await saga.place([1, 1]);
  await saga.atRest();
  const all = () => Promise.all([saga.order, saga.stock, product, ratings].map(({ url }) => scrape(url)));
  const lags = async () => (await all()).map((one) => one.labelsOf('tradewind_consumer_lag_records').size);
  await expect.poll(lags).toEqual([3, 3, 3, 3]);
  const counted = async () => (await scrape(ratings.url)).value('tradewind_ratings_counted_seconds_count');
  await expect.poll(counted).toBe(1);
  return await all();
}

test('every metric that a rule, a dashboard or docs/metrics.md names is told by a process', async () => {
  const series = new Set(
    (await told()).flatMap(({ families }) => [...families].flatMap(([name, type]) => nameOf(name, type))),
  );
  const named = namedMetrics(root);
  expect(named.length).toBeGreaterThan(100);
  const missing = named
    .filter(({ name }) => !series.has(name))
    .map(({ name, where }) => `${where} names ${name}`);
  expect(missing).toEqual([]);
});

test('every label that a rule or a dashboard asks for is told', async () => {
  const all = await told();
  const wrong = namedMetrics(root).flatMap(({ name, where, labels }) => {
    const known = new Set(all.flatMap((one) => [...one.labelsOf(name)]));
    return labels
      .filter((label) => !known.has(label) && !ADDED.has(label))
      .map((label) => `${where}: ${name}{${label}}`);
  });
  expect(wrong).toEqual([]);
});

test('docs/metrics.md says what each metric of ours is, and what to do at each alert', async () => {
  const all = await told();
  const page = readFileSync(`${root}/docs/metrics.md`, 'utf8');
  const ours = [...new Set(all.flatMap(({ families }) => [...families.keys()]))].filter((name) =>
    /^(tradewind|rpc)_/.test(name),
  );
  expect(ours.filter((name) => !page.includes(`| \`${name}\` |`))).toEqual([]);
  const alerts = rulesIn(root).flatMap(({ alert }) => alert ?? []);
  expect(alerts.filter((alert) => !page.includes(`| \`${alert}\` |`))).toEqual([]);
  const rows = [...page.matchAll(/^\| `([A-Z]\w+)` \|/gm)].map(([, name]) => name);
  expect(rows.toSorted()).toEqual(alerts.toSorted());
});

test('every alert fires in a test', () => {
  const tests = readFileSync(`${root}/ops/prometheus/alerts.test.yml`, 'utf8');
  const fire = new Set([...tests.matchAll(/alertname: (\w+)\n\s+exp_alerts:\n/g)].map(([, name]) => name));
  expect(rulesIn(root).flatMap(({ alert = '' }) => (alert === '' || fire.has(alert) ? [] : alert))).toEqual(
    [],
  );
});

test('records that rules and dashboards ask for are made', () => {
  expect(missingRecords(root)).toEqual([]);
});

test('the dashboard has a shape that Grafana takes, and Grafana comes to it', () => {
  expect(dashboardFaults(root)).toEqual([]);
});

test('what is wrong with a dashboard is found', () => {
  const [[path, good] = []] = dashboardsIn(root);
  if (!path || !good) throw new Error('there is no dashboard');
  const [row, first, ...rest] = good.panels;
  if (!row || !first) throw new Error('there are no panels');
  const faults = (panel: object) =>
    dashboardFaults(
      root,
      new Map([[path, { ...good, panels: [row, { ...first, ...panel }, ...rest] }]]),
    ).join('\n');
  const target = first.targets?.[0];
  expect(faults({ id: row.id })).toMatch(/two panels have the id/);
  expect(faults({ targets: [] })).toMatch(/asks for nothing/);
  expect(faults({ gridPos: { ...first.gridPos, x: 22 } })).toMatch(/24 columns/);
  expect(faults({ gridPos: { ...first.gridPos, w: 8 } })).toMatch(/lie on each other/);
  expect(faults({ datasource: { uid: 'other' } })).toMatch(/nobody provisions the source other/);
  expect(faults({ targets: [{ ...target, expr: 'up{a="$nobody"}' }] })).toMatch(/no variable nobody/);
});
