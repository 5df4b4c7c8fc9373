import { once } from 'node:events';
import { globSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { basename, join } from 'node:path';
import { configOf } from '@tradewind/service/run';
import { freePort } from '@tradewind/testing/port';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { services } from '../tools/start/services.ts';
import { Commands, orderMain, root } from './service-command.ts';

vi.setConfig({ testTimeout: 120_000 });

let commands: Commands;
beforeEach(async () => {
  commands = await Commands.open();
});
afterEach(() => commands[Symbol.asyncDispose]());

describe.each(services)('$name', ({ name, main }) => {
  test('--help names all commands', async () => {
    const { code, output } = await commands.run(main, ['--help']);
    expect(code).toBe(0);
    for (const command of [
      'serve',
      'listen',
      'migrate [up]',
      'migrate down',
      'migrate status',
      'migrate reset',
      'migrate new',
    ])
      expect(output).toContain(`  ${command}`);
    for (const option of ['--config', '--yes', '--help']) expect(output).toContain(`  ${option} `);
  });

  test('takes its settings from a file and from variables with the prefix, logs a call, and stops in order', async () => {
    const { DATABASE_URL, EVENT_LOG_URL } = await commands.addresses();
    const file = join(commands.folder, 'settings.yaml');
    await writeFile(file, 'PORT: 1\nSHUTDOWN: 20s\nDATABASE_POOL: 3\n');
    const port = await freePort();
    // The names without the prefix lead nowhere.
    const env = {
      APP_DATABASE_URL: DATABASE_URL,
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
      APP_EVENT_LOG_URL: EVENT_LOG_URL,
      APP_PORT: String(port),
      PORT: '1',
      APP_CONFIG_FILE: file,
    };
    const migrated = await commands.run(main, ['migrate'], env);
    expect(migrated).toMatchObject({ code: 0, output: expect.stringMatching(/^up: /) });
    const service = commands.start(main, ['serve', 'listen'], env);
    const url = `http://127.0.0.1:${port}`;
    const ready = async () => (await fetch(`${url}/health/ready`).catch(() => undefined))?.status;
    await expect.poll(ready, { timeout: 30_000 }).toBe(200);
    const path = 'tradewind.messaging.v1.InspectionService/GetTrail';
    const answer = await fetch(`${url}/${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'x-request-id': 'a-call' },
      body: JSON.stringify({ key: 'x' }),
    });
    expect(answer.status).toBe(200);
    service.child.kill('SIGTERM');
    const { code, output } = await service.ended;
    expect(code).toBe(0);
    const lines = output
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines).toContainEqual(
      expect.objectContaining({
        service: name,
        method: path,
        request_id: 'a-call',
        code: 'OK',
        peer: expect.any(String),
      }),
    );
    expect(lines.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['SIGTERM: stopping', 'stopped']));
    expect(lines.filter(({ level }) => level === 'error' || level === 'fatal')).toEqual([]);
  });
});

describe('the example of a file', () => {
  test.each(globSync('examples/config/*.yaml', { cwd: root }))(
    '%s is right for the service of its name',
    async (path) => {
      const { service } = await import(join(root, 'services', basename(path, '.yaml'), 'service.ts'));
      const env = { DATABASE_URL: 'postgres://db/x', EVENT_LOG_URL: 'kafka://k' };
      expect(() => configOf(service, { env, file: join(root, path) })).not.toThrow();
    },
  );

  test('serves with what it says, and every command reads it', async () => {
    const env = await commands.addresses();
    const args = ['--config', 'examples/config/order.yaml'];
    const { code } = await commands.run(orderMain, ['migrate', ...args], env, root);
    expect(code).toBe(0);
    const port = await freePort();
    const serve = commands.start(
      orderMain,
      ['serve', 'listen', ...args],
      { ...env, PORT: String(port) },
      root,
    );
    await expect.poll(serve.output, { timeout: 30_000 }).toContain(`:${port}`);
    serve.child.kill('SIGTERM');
    expect((await serve.ended).code).toBe(0);
    const wrong = join(commands.folder, 'wrong.yaml');
    await writeFile(
      wrong,
      (await readFile(join(root, 'examples/config/order.yaml'), 'utf8')).replace(
        'PORT: 3000',
        'PORT: { http: 3000 }',
      ),
    );
    for (const command of [['listen'], ['migrate', 'reset', '--yes']]) {
      const { code, output } = await commands.run(orderMain, [...command, '--config', wrong], env);
      expect(output).toContain(`PORT must be a single value or a list (in ${wrong})`);
      expect(code).toBe(2);
    }
  });
});

describe('OpenTelemetry', () => {
  const none = 'http://127.0.0.1:1';
  test.each([
    [
      'variables with the prefix, which win',
      (url: string) => ({
        APP_OTEL_EXPORTER_OTLP_ENDPOINT: url,
        OTEL_EXPORTER_OTLP_ENDPOINT: none,
        // No setting of ours: the library alone reads it.
        APP_OTEL_EXPORTER_OTLP_HEADERS: 'x-from=prefix',
        OTEL_EXPORTER_OTLP_HEADERS: 'x-from=elsewhere',
      }),
      () => '',
      'prefix',
    ],
    [
      'the file',
      () => ({ OTEL_EXPORTER_OTLP_HEADERS: 'x-from=environment' }),
      (url: string) => `OTEL_EXPORTER_OTLP_ENDPOINT: ${url}\n`,
      'environment',
    ],
  ])('gets its settings from %s', async (_, env, file, from) => {
    await using collector = await openCollector();
    const path = join(commands.folder, 'tracing.yaml');
    await writeFile(path, `PORT: 0\n${file(collector.url)}`);
    const service = commands.start(orderMain, ['serve', '--config', path], {
      ...(await commands.addresses()),
      ...env(collector.url),
    });
    await expect.poll(() => collector.headers[0]?.['x-from'], { timeout: 30_000 }).toBe(from);
    await expect.poll(service.output).toContain('tracing: it works');
    service.child.kill('SIGTERM');
    expect((await service.ended).code).toBe(0);
  });
});

/** Takes whatever comes, and keeps its headers. */
async function openCollector(): Promise<
  { readonly url: string; readonly headers: IncomingHttpHeaders[] } & AsyncDisposable
> {
  const headers: IncomingHttpHeaders[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers);
    request.resume().on('end', () => response.end());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    headers,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
