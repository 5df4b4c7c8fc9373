import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { checkContainers, type FileName } from '../containers/check.ts';
import { isIgnored } from '../containers/dockerfile.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const original = (name: FileName) => readFileSync(join(root, name), 'utf8');

/** The faults after a change to one file; the change must hit something. */
async function faultsWith(name: FileName, from: string | RegExp, to: string): Promise<string[]> {
  const changed = original(name).replace(from, to);
  expect(changed, `${from} is in ${name}`).not.toBe(original(name));
  return await checkContainers(root, { [name]: changed });
}

test('the files as they are have no faults', async () => {
  expect(await checkContainers(root)).toEqual([]);
});

describe('docker-compose.yml', () => {
  test('may name settings with the prefix', async () => {
    expect(
      await faultsWith('docker-compose.yml', "HEALTH_PORT: '9464' }", "APP_HEALTH_PORT: '9464' }"),
    ).toEqual([]);
  });

  test.each<[what: string, from: string | RegExp, to: string, fault: RegExp]>([
    [
      'a key that the specification does not know',
      'stop_grace_period: 15s',
      'stop_grace: 15s',
      /unevaluated properties: stop_grace$/,
    ],
    [
      'a duration that is none',
      'start_period: 90s',
      'start_period: ninety',
      /kafka: start_period must be a duration/,
    ],
    ['broken YAML', 'services:\n', 'services: [\n', /./],
    [
      'a variable that no service knows, with the prefix',
      "HEALTH_PORT: '9464' }",
      "APP_HEALT_PORT: '9464' }",
      /product knows no setting APP_HEALT_PORT/,
    ],
    [
      'a wrong value under a name with the prefix',
      "HEALTH_PORT: '9464' }",
      "HEALTH_PORT: '9464', APP_SHUTDOWN: soon }",
      /APP_SHUTDOWN must be a duration/,
    ],
    [
      'an image without a version',
      'apache/kafka:4.3.1',
      'apache/kafka:latest',
      /apache\/kafka:latest is not pinned/,
    ],
    ['a third party as root', "user: '472'", "user: '0'", /grafana: it runs as root/],
    [
      'a third party without a health check',
      /healthcheck:\n\s+test: \[CMD, redis-cli.*\n.*\n.*\n.*\n/,
      '',
      /redis: it has no health check/,
    ],
    [
      'a command whose file is gone',
      'services/order/main.ts, serve',
      'services/orders/main.ts, serve',
      /order-serve: .*there is no services\/orders/,
    ],
    [
      'a command that the service does not know',
      'services/order/main.ts, listen',
      'services/order/main.ts, consume',
      /there is no command "consume"/,
    ],
    [
      'a program of a service that is not told what to do',
      'services/ratings/lambda/serve.ts, serve]',
      'services/ratings/lambda/serve.ts]',
      /ratings-lambda: .*does not say what it runs as/,
    ],
    [
      'a command that the image does not hold',
      'tools/containers/seed.ts',
      'bench/run.ts',
      /seed: .*the image does not hold bench\/run\.ts/,
    ],
    [
      'an npm script that does not exist',
      '[node, tools/containers/seed.ts]',
      '[npm, run, seed]',
      /package\.json has no script "seed"/,
    ],
    [
      'a variable that no service knows',
      "HEALTH_PORT: '9464' }",
      "HEALT_PORT: '9464' }",
      /product knows no setting HEALT_PORT/,
    ],
    ['a value that the service refuses', /LOG_LEVEL: .*/, 'LOG_LEVEL: loud', /LOG_LEVEL must be one of/],
    ['a required setting that is missing', / {2}EVENT_LOG_URL: .*\n/, '', /EVENT_LOG_URL is missing/],
    [
      'a host that is not there',
      'kafka://kafka:29092',
      'kafka://broker:29092',
      /EVENT_LOG_URL: there is no service broker/,
    ],
    [
      'a port where Kafka does not listen',
      'kafka://kafka:29092',
      'kafka://kafka:9999',
      /kafka does not listen on 9999/,
    ],
    [
      'a port where a service does not listen',
      'http://stock-serve:50051',
      'http://stock-serve:50052',
      /STOCK_URL: stock-serve does not listen on 50052/,
    ],
    ['a database that nobody makes', '5432/stock', '5432/stocks', /nobody makes a database stocks/],
    [
      'a port published to the world',
      "'127.0.0.1:9090:9090'",
      "'9090:9090'",
      /prometheus: port "9090:9090" is not published on 127\.0\.0\.1/,
    ],
    [
      'a published port that leads nowhere',
      ':-3000}:3000',
      ':-3000}:3001',
      /leads to 3001, and it listens on 3000/,
    ],
    [
      'a port published twice',
      /\$\{GRAFANA_PORT:-3001\}/,
      `\${GRAFANA_PORT:-3000}`,
      /port 3000 is order-serve's already/,
    ],
    [
      'a port that the image does not expose',
      "PORT: '8080'",
      "PORT: '8081'",
      /the Dockerfile does not expose 8081/,
    ],
    [
      'a variable without a default',
      /\$\{KAFKA_PORT:-9092\}/,
      `\${KAFKA_PORT}`,
      /\$\{KAFKA_PORT\} has no default/,
    ],
    [
      'a file to mount that is gone',
      './ops/postgres/databases.sql',
      './ops/postgres/gone.sql',
      /there is no \.\/ops\/postgres\/gone\.sql/,
    ],
    ['a volume that is not declared', 'grafana:/var', 'graphs:/var', /grafana: there is no volume graphs/],
    [
      'a dependency that is not there',
      'postgres: { condition',
      'postgresql: { condition',
      /waits for postgresql, which is not there/,
    ],
    [
      'one that is only waited for to start',
      'kafka: { condition: service_healthy }',
      'kafka: { condition: service_started }',
      /not to be healthy/,
    ],
    ['the end of one that never ends', "restart: 'no'", 'restart: always', /which is started again/],
    [
      'a circle',
      'prometheus: { condition: service_healthy }',
      'grafana: { condition: service_healthy }',
      /grafana: it waits for itself/,
    ],
    [
      'one that runs on and does not say where its health is',
      "{ PORT: '8089', HEALTH_PORT: '9464' }",
      '{}',
      /ratings-lambda: neither PORT nor HEALTH_PORT says/,
    ],
    [
      'an address beside the one where the statistics function listens',
      'http://ratings-lambda:8089',
      'http://ratings-lambda:9001',
      /RATINGS_LAMBDA_URL: ratings-lambda does not listen on 9001/,
    ],
    ['a service that nobody starts', /\n {2}order-listen:[\s\S]*?\n\n/, '\n', /nothing runs order listen/],
  ])('%s is a fault', async (_what, from, to, fault) => {
    expect(await faultsWith('docker-compose.yml', from, to)).toContainEqual(expect.stringMatching(fault));
  });
});

describe('Dockerfile', () => {
  test.each<[what: string, from: string | RegExp, to: string, fault: RegExp]>([
    [
      'a base without a version',
      /FROM node:24\.21\.0-bookworm-slim\n/,
      'FROM node:24-slim\n',
      /FROM node:24-slim is not pinned/,
    ],
    ['root', 'USER node\n', '', /the last stage runs as root/],
    [
      'a source that is gone',
      'COPY examples/data',
      'COPY examples/dat',
      /COPY examples\/dat: there is no such file/,
    ],
    [
      'a source that is left out',
      'COPY examples/data examples',
      'COPY docs docs',
      /COPY docs: \.dockerignore leaves it out/,
    ],
    ['a stage that is not there', '--from=dependencies', '--from=builder', /there is no such stage/],
    [
      'a health check whose file is gone',
      'tools/containers/health.ts',
      'tools/health.ts',
      /there is no tools\/health\.ts/,
    ],
    ['a command by a shell', /\nCMD .*/, '\nCMD node services/order/main.ts serve', /CMD is no list/],
    [
      'what a service needs left out',
      'COPY services services\nCOPY tools tools\nCOPY examples',
      'COPY tools tools\nCOPY examples',
      /the image does not hold services\/order\/main\.ts/,
    ],
  ])('%s is a fault', async (_what, from, to, fault) => {
    expect(await faultsWith('Dockerfile', from, to)).toContainEqual(expect.stringMatching(fault));
  });

  test('a workspace whose manifest does not reach the build is a fault, for npm refuses the lockfile then', async () => {
    expect(await faultsWith('.dockerignore', '!bench/package.json\n', '')).toContainEqual(
      expect.stringMatching(/COPY bench\/package\.json: \.dockerignore leaves it out/),
    );
  });
});

test('Prometheus asks only who is there', async () => {
  const name = 'ops/prometheus/prometheus.yml';
  expect(await faultsWith(name, 'order-listen:9464', 'order-listen:9465')).toEqual([
    'prometheus.yml: order-listen:9465: order-listen does not listen on 9465',
  ]);
  expect(await faultsWith(name, 'stock-serve:50051', 'stocks:50051')).toEqual([
    'prometheus.yml: stocks:50051: there is no service stocks',
    'prometheus.yml: nobody asks stock-serve',
  ]);
  expect(await faultsWith(name, ", 'ratings-listen:9464'", '')).toEqual([
    'prometheus.yml: nobody asks ratings-listen',
  ]);
});

test('the last line of .dockerignore that matches decides', () => {
  const ignore = '*\n!packages\n**/test\n# !docs\n';
  expect(isIgnored('packages/rpc/serve.ts', ignore)).toBe(false);
  expect(isIgnored('packages/rpc/test/drain.test.ts', ignore)).toBe(true);
  expect(isIgnored('docs/architecture.md', ignore)).toBe(true);
});
