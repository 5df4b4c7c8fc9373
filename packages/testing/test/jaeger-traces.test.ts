import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readTraces, tree } from '../jaeger-traces.ts';

const TRACE = '5b8efff798038103d269b633813fc60c';
let server: Server;
let url = '';
let asked: string[] = [];
let answer = (): { status?: number; body: unknown } => ({ body: { data: [] } });

beforeEach(async () => {
  asked = [];
  server = createServer((request, response) => {
    asked.push(decodeURIComponent(request.url ?? '').replaceAll('+', ' '));
    const { status = 200, body } = answer();
    response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body));
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => void server.close());

const traces = () => readTraces(url);

interface Given {
  readonly id: string;
  readonly name: string;
  readonly at: number;
  readonly parent?: string;
  readonly service?: string;
  readonly error?: boolean;
}

function given(...spans: readonly Given[]): { body: unknown } {
  const processes = { p1: { serviceName: 'order', tags: [] }, p2: { serviceName: 'stock', tags: [] } };
  const data = spans.map(({ id, name, at, parent, service = 'order', error }) => ({
    traceID: TRACE,
    spanID: id,
    operationName: name,
    references: parent ? [{ refType: 'CHILD_OF', traceID: TRACE, spanID: parent }] : [],
    startTime: 1_000 + at,
    duration: 1_500,
    tags: [
      { key: 'span.kind', type: 'string', value: 'server' },
      ...(error ? [{ key: 'error', type: 'bool', value: true }] : []),
    ],
    logs: [],
    processID: service === 'order' ? 'p1' : 'p2',
    warnings: null,
  }));
  return { body: { data: [{ traceID: TRACE, spans: data, processes }] } };
}

const notFound = { status: 404, body: { data: null, errors: [{ code: 404, msg: 'trace not found' }] } };

test('a trace is drawn by start, each span under its parent', async () => {
  answer = () =>
    given(
      { id: 'c', name: 'process', at: 9, parent: 'b', service: 'stock', error: true },
      { id: 'd', name: 'insert', at: 2, parent: 'a' },
      { id: 'b', name: 'send', at: 4, parent: 'a' },
      { id: 'a', name: 'POST', at: 0 },
    );
  const trace = await traces().trace(TRACE);
  expect(trace?.spans.map(({ name }) => name)).toEqual(['POST', 'insert', 'send', 'process']);
  expect(trace && tree(trace)).toBe(
    [
      'order · POST · server · 1.5 ms',
      '  order · insert · server · 1.5 ms',
      '  order · send · server · 1.5 ms',
      '    stock · process · server · error · 1.5 ms',
    ].join('\n'),
  );
});

test('every span is drawn once: without its parent, given twice, and in a circle', async () => {
  answer = () =>
    given(
      { id: 'a', name: 'orphan', at: 0, parent: 'x' },
      { id: 'b', name: 'twice', at: 1 },
      { id: 'b', name: 'twice', at: 1 },
      { id: 'c', name: 'child', at: 2, parent: 'b' },
      { id: 'e', name: 'hen', at: 3, parent: 'f' },
      { id: 'f', name: 'egg', at: 4, parent: 'e' },
    );
  const trace = await traces().trace(TRACE);
  expect(trace && tree(trace, { ms: false })).toBe(
    [
      'order · orphan · server · parent missing',
      'order · twice · server',
      '  order · child · server',
      'order · twice · server',
      'order · hen · server',
      '  order · egg · server',
    ].join('\n'),
  );
});

test('a trace that Jaeger does not have is undefined; any other refusal is told', async () => {
  answer = () => notFound;
  expect(await traces().trace(TRACE)).toBeUndefined();
  answer = () => ({ status: 404, body: '404 page not found' });
  await expect(traces().trace(TRACE)).rejects.toThrow(/answers 404: 404 page not found/);
  answer = () => ({ status: 500, body: 'search depth' });
  await expect(traces().find({ service: 'order', limit: 9 })).rejects.toThrow(/answers 500: search depth/);
});

test('until waits for the spans, through whatever Jaeger says meanwhile', async () => {
  const answers = [
    notFound,
    { status: 503, body: 'starting' },
    given({ id: 'a', name: 'POST', at: 0 }),
    given({ id: 'a', name: 'POST', at: 0 }, { id: 'b', name: 'send', at: 1, parent: 'a' }),
  ];
  answer = () => answers[Math.min(asked.length, answers.length) - 1] ?? notFound;
  const trace = await traces().until(TRACE, (spans) => spans.some(({ name }) => name === 'send'));
  expect(trace.spans).toHaveLength(2);
  expect(asked).toHaveLength(4);
});

test('at the deadline until shows what was there, and what stood in the way', async () => {
  answer = () => given({ id: 'a', name: 'POST', at: 0 });
  const wait = (holds: () => boolean) => traces().until(TRACE, holds, { deadlineMs: 60 });
  await expect(wait(() => false)).rejects.toThrow(
    `trace ${TRACE} is not as awaited after 60 ms:\norder · POST · server · 1.5 ms`,
  );
  const two = () => {
    throw new Error('expected two');
  };
  await expect(wait(two)).rejects.toThrow('expected two\norder · POST');
  server.close();
  server.closeAllConnections();
  await expect(wait(() => true)).rejects.toThrow('Jaeger gave no span of it');
});

test('find asks for a service, a name and tags as texts', async () => {
  answer = () => given({ id: 'a', name: 'POST', at: 0 });
  const found = await traces().find({
    service: 'order',
    operation: 'POST /orders',
    tags: { 'order.lines': 2, ok: true },
    limit: 5,
  });
  expect(found.map(({ traceId }) => traceId)).toEqual([TRACE]);
  expect(asked).toEqual([
    '/api/traces?service=order&operation=POST /orders&tags={"order.lines":"2","ok":"true"}&limit=5',
  ]);
});
