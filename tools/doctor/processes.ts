import { get } from 'node:http';
import { ask } from '@tradewind/process/ask';
import type { Whereabouts } from '../dlq/whereabouts.ts';
import type { ProcessReport } from './report.ts';

interface Health {
  readonly status: 'ready' | 'degraded' | 'unavailable';
  readonly dependencies: Readonly<Record<string, string>>;
}

/** Asks every process that has a known address, and looks for those that a starter noted without one. */
export async function lookAtProcesses(
  { serviceUrls, processes = [] }: Whereabouts,
  more: readonly string[],
  limitMs: number,
): Promise<ProcessReport[]> {
  const addresses = [
    ...Object.entries(serviceUrls),
    ...more.map((url) => [`process at ${url}`, url] as const),
  ];
  const asked = await Promise.all(
    addresses.map(async ([name, url]): Promise<ProcessReport> => {
      const noted = processes.find((process) => process.name === name || process.name === `${name} serve`);
      const base = { name, url, ...(noted && { pid: noted.pid, alive: noted.alive }) };
      const health = await ask(limitMs, () => healthOf(url, limitMs));
      if ('why' in health) return { ...base, status: 'no answer', dependencies: {}, why: health.why };
      return { ...base, ...health.answer };
    }),
  );
  const noted = processes
    .filter(({ name }) => name !== 'postgres' && !name.endsWith('migrate'))
    .filter(({ pid }) => !asked.some((process) => process.pid === pid))
    .map(
      ({ name, pid, alive }): ProcessReport => ({
        name,
        pid,
        status: alive ? 'runs' : 'ended',
        dependencies: {},
      }),
    );
  return [...asked, ...noted];
}

/** What `/health/ready` answers. @throws Error when nothing of Tradewind answers there */
async function healthOf(url: string, timeout: number): Promise<Health> {
  const { promise, resolve, reject } = Promise.withResolvers<Health>();
  const request = get(new URL('/health/ready', url), { agent: false, timeout }, (response) => {
    let body = '';
    response.setEncoding('utf8').on('data', (chunk: string) => {
      body += chunk;
      if (body.length > 100_000) request.destroy(new Error('what answers there is no service of ours'));
    });
    response.on('error', reject);
    response.on('end', () => {
      const health = parse(body);
      if (health) resolve(health);
      else reject(new Error(`what answers there is no service of ours: HTTP ${response.statusCode}`));
    });
  });
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', reject);
  return await promise;
}

function parse(body: string): Health | undefined {
  try {
    const { status, dependencies } = JSON.parse(body) as Partial<Health>;
    const known = status === 'ready' || status === 'degraded' || status === 'unavailable';
    return known && typeof dependencies === 'object' ? { status, dependencies } : undefined;
  } catch {
    return undefined;
  }
}
