import { relative } from 'node:path';
import { maskUrl } from '@tradewind/telemetry/logger';
import { POSTGRES } from './orphans.ts';
import type { Running } from './tradewind.ts';

/** What a person needs to know once everything runs; its last line begins with `ready`. */
export function summary({ options, addresses, pids }: Running, tookMs: number): string {
  const rows = options.services.flatMap(({ name, faces }) =>
    faces.map(({ path, what }, index) => [
      index === 0 ? name : '',
      `${addresses.serviceUrls[name]}${path}`,
      what,
    ]),
  );
  for (const { name, what } of options.functions) {
    const elsewhere = options.functionUrls[name] !== undefined;
    rows.push([name, maskUrl(addresses.functionUrls[name] ?? ''), elsewhere ? `${what}; of your own` : what]);
  }
  const databases = Object.values(addresses.databaseUrls).map(maskUrl);
  const server = pids()[POSTGRES] === undefined ? 'of your own' : 'from npm';
  for (const [index, url] of databases.entries()) {
    rows.push([
      index === 0 ? 'databases' : '',
      url,
      `of ${options.services[index]?.name}; PostgreSQL ${server}`,
    ]);
  }
  rows.push(
    [
      'event log',
      maskUrl(addresses.eventLogUrl),
      `topics, in ${/^kafkas?:/.test(addresses.eventLogUrl) ? 'Kafka' : 'PostgreSQL'}`,
    ],
    ['data, logs', shown(options.dataDir), 'postgres/ and logs/ in there'],
  );
  const order = addresses.serviceUrls.order ?? 'http://127.0.0.1:3000';
  const stock = new URL(addresses.serviceUrls.stock ?? 'http://127.0.0.1:50051').host;
  return [
    '',
    ...table(rows),
    '',
    'Try:',
    `  curl -X POST ${order}/api/v1/orders -H 'content-type: application/json' -d '{"product_id":1,"total_price":10000,"total_quantity":1}'`,
    `  grpcurl -plaintext ${stock} list`,
    '  npm run load',
    '',
    'There is no authentication yet: whoever reaches a port may do everything. Ctrl-C ends all of it.',
    `ready after ${(tookMs / 1000).toFixed(1)} s`,
    '',
  ].join('\n');
}

/** As a person would type it. */
function shown(folder: string): string {
  const path = relative(process.cwd(), folder);
  return path.startsWith('..') ? folder : path || '.';
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = rows.reduce<number[]>(
    (widest, row) => row.map((cell, column) => Math.max(widest[column] ?? 0, cell.length)),
    [],
  );
  return rows.map((row) =>
    `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  );
}
