import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { RatingsService } from '@tradewind/contracts/ratings/v1/ratings';
import { topicOf } from '@tradewind/messaging/contract';
import { createClient } from '@tradewind/rpc/client';
import { append, deadLettersOf } from '@tradewind/testing/events';
import { readTraces, type Trace, type TraceReader } from '@tradewind/testing/jaeger-traces';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { type LogKind, type Market, startMarket, traceIdOf } from './tracing/market.ts';
import { type ShapeOptions, shape, text } from './tracing/shape.ts';

const TALK = 'flight-of-the-gopher';
const { name: topic } = topicOf(RatedSchema);

/** What every rating's trace has from its fact on, below the span of the call that gave it. */
const COUNTED = `
  ratings · create ratings · producer
    product · process ratings · consumer
    product · receive ratings · client
    ratings · process ratings · consumer
    ratings · receive ratings · client
    ratings · send ratings · client`;
/** Under what took it. */
const below = (lines: string, caller: string) => text(caller) + COUNTED.replaceAll('\n', `\n${lines}`);

describe.each<LogKind>(['postgres', 'kafka'])('one rating, one trace, on %s', (kind) => {
  let market: Market;
  let jaeger: TraceReader;
  beforeAll(async () => {
    const urls = inject('jaeger');
    jaeger = readTraces(urls.query);
    market = await startMarket(kind, { OTEL_EXPORTER_OTLP_ENDPOINT: urls.otlpHttp, RETRY_ATTEMPTS: '2' });
  }, 180_000);
  afterAll(() => market?.[Symbol.asyncDispose]());

  const send = (method: string, path: string, body?: object | string, headers: Record<string, string> = {}) =>
    fetch(`${market.urls.ratings}${path}`, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  /** Sends what must be accepted; its id, and its trace. */
  const made = async (path: string, body: object) => {
    const answer = await send('POST', path, body);
    expect(answer.status).toBe(201);
    const { id } = (await answer.json()) as { id: string };
    return { id, traceId: traceIdOf(answer.headers) };
  };
  const customer = (name: string) =>
    made('/v1/customers', { name, email: `${name.toLowerCase()}-${kind}@example.com` });
  const provider = (name: string) =>
    made('/v1/service-providers', { name, email: `${name.toLowerCase()}-${kind}@example.com` });
  const shaped = async (traceId: string, expected: string, options?: ShapeOptions): Promise<Trace> => {
    const now = async () => shape((await jaeger.trace(traceId))?.spans ?? [], options);
    await expect.poll(now, { timeout: 20_000 }).toBe(expected);
    return await jaeger.until(traceId, (spans) => spans.length > 0);
  };

  test('of a talk by REST, with its statements', async () => {
    // One that nobody has rated: a process remembers which talks are there.
    const talkId = `talk-${Date.now()}`;
    await send('POST', '/tradewind.ratings.v1.RatingsService/CreateTalk', { id: talkId, title: 'A talk' });
    const { traceId } = await made('/ratings', { talkId, value: 5 });
    const { spans } = await shaped(
      traceId,
      text(`
      ratings · POST /ratings · server
        ratings · tradewind.ratings.v1.RatingsService/RateTalk · internal
          ratings · BEGIN · client
          ratings · COMMIT · client
          ratings · create ratings · producer
            product · process ratings · consumer
              product · BEGIN · client
              product · COMMIT · client
              product · INSERT inbox · client
              product · SELECT held_line · client
            product · receive ratings · client
            ratings · process ratings · consumer
              ratings · BEGIN · client
              ratings · COMMIT · client
              ratings · INSERT inbox · client
              ratings · INSERT projection_due · client
              ratings · INSERT tally · client
              ratings · SELECT · client
              ratings · SELECT held_line · client
            ratings · receive ratings · client
            ratings · send ratings · client
          ratings · INSERT outbox · client
          ratings · INSERT rating · client
          ratings · SELECT subject · client`),
      { statements: true },
    );
    expect(spans.find(({ parentId }) => parentId === undefined)?.tags).toMatchObject({
      'http.request.method': 'POST',
      'http.route': '/ratings',
      'http.response.status_code': 201,
    });
    expect(
      spans.find(({ name, service }) => name === 'process ratings' && service === 'ratings')?.tags,
    ).toMatchObject({
      'messaging.system': kind === 'kafka' ? 'kafka' : 'postgresql',
      'messaging.destination.name': topic,
      'messaging.consumer.group.name': 'ratings',
      'messaging.message.conversation_id': talkId,
      'messaging.operation.type': 'process',
    });
  });

  test('of a service provider by REST, and its change', async () => {
    const [{ id: customerId }, { id: serviceProviderId }] = [await customer('Ann'), await provider('Ben')];
    const rating = await made('/v1/ratings', { customerId, serviceProviderId, rating: 2 });
    await shaped(
      rating.traceId,
      below(
        '  ',
        'ratings · POST /v1/ratings · server\n  ratings · tradewind.ratings.v1.RatingsService/CreateRating · internal',
      ),
    );
    const changed = await send('PUT', `/v1/ratings/${rating.id}`, { rating: 4 });
    await shaped(
      traceIdOf(changed.headers),
      below(
        '  ',
        'ratings · PUT /v1/ratings/:id · server\n  ratings · tradewind.ratings.v1.RatingsService/UpdateRating · internal',
      ),
    );
  });

  test('of a product by gRPC, below the trace of its caller', async () => {
    await using client = createClient(RatingsService, { baseUrl: market.urls.ratings });
    const { id: customerId } = await customer('Cid');
    const traceId = '0af7651916cd43dd8448eb211c80319c'.replace(/.{4}$/, kind === 'kafka' ? 'cccc' : 'dddd');
    const subject = { about: { case: 'productId' as const, value: 1 } };
    const headers = { traceparent: `00-${traceId}-b7ad6b7169203331-01` };
    await client.call.createRating({ subject, customerId, value: 3 }, { headers });
    await shaped(traceId, below('', 'ratings · tradewind.ratings.v1.RatingsService/CreateRating · server'));
  });

  test('of a talk by somebody who has no trace: its own begins where it is heard', async () => {
    const value = Buffer.from('{"talkId":"testcontainers-integration-testing","value":4}');
    await append(market.log, { topic, key: null, value, headers: {} });
    const heard = async () => {
      const traces = await jaeger.find({ service: 'ratings', operation: 'process ratings', limit: 1_000 });
      return traces.map(({ spans }) => shape(spans));
    };
    await expect.poll(heard).toContain('ratings · process ratings · consumer');
  });

  test('what a talk is rated, with the statistics function', async () => {
    const answer = await send('GET', `/ratings?talkId=${TALK}`);
    expect(await answer.json()).toHaveProperty('stats');
    await shaped(
      traceIdOf(answer.headers),
      text(`
        ratings · GET /ratings · server
          ratings · tradewind.ratings.v1.RatingsService/GetTalkStatistics · internal
            ratings · POST / · client`),
    );
  });

  test('nothing personal is in spans, metrics and logs', async () => {
    const headers = { 'user-agent': 'zacharias@example.com', cookie: 'a=zacharias@example.com' };
    const { id: customerId } = await customer('Zacharias');
    const { id: serviceProviderId } = await provider('Quintessa');
    const comment = 'Splendiferous';
    const { id } = await made('/v1/ratings', { customerId, serviceProviderId, rating: 4, comment });
    await market.place();
    const person = { name: 'Zacharias', email: `zacharias-${kind}@example.com` };
    const answers = [
      await send('PUT', `/v1/ratings/${id}`, { rating: 1, comment: 'Splendiferous no more' }, headers),
      await send('GET', `/v1/customers/${customerId}`),
      await send('GET', `/v1/ratings/${id}`),
      await send('POST', '/v1/customers', person, headers),
      await send('POST', '/v1/customers', { ...person, email: 'zacharias at example.com' }),
      await send('POST', '/v1/service-providers', { ...person, name: 'Quintessa\u0000' }),
      await send('POST', '/v1/ratings', { customerId, serviceProviderId, rating: 4, comment }),
      await send('POST', '/v1/ratings', { customerId: person.email, serviceProviderId, rating: 4, comment }),
      await send('POST', '/v1/ratings', { customerId, serviceProviderId, rating: 4, comment: [comment] }),
      await send('PUT', `/v1/ratings/${id}`, { rating: 2, comment: comment.repeat(20) }),
      await send('GET', '/v1/ratings?customerId=zacharias@example.com'),
      await send('GET', '/v1/customers/zacharias@example.com'),
      await send('POST', '/ratings', { talkId: 'zacharias@example.com', value: 5 }),
      await send('POST', '/v1/customers', '{"name":"Zacharias","email":"zacharias@example.com"'),
      await send('POST', '/tradewind.ratings.v1.RatingsService/CreateCustomer', person),
      await send('POST', '/tradewind.ratings.v1.RatingsService/CreateCustomer', {
        ...person,
        name: [comment],
      }),
      await send('POST', '/tradewind.ratings.v1.RatingsService/CreateCustomer', '{"name":Zacharias}'),
    ];
    expect(answers.map(({ status }) => status)).toEqual([
      200, 200, 200, 409, 400, 400, 409, 400, 400, 400, 400, 400, 404, 400, 409, 400, 400,
    ]);
    for (const { headers } of answers) await jaeger.until(traceIdOf(headers), (spans) => spans.length > 0);
    // What the database refuses, in words that quote the row.
    await using database = await connected(market.env.RATINGS_DATABASE_URL ?? '');
    await database.query(
      "ALTER TABLE rating ADD CONSTRAINT refuses CHECK (comment <> 'Splendiferous (so to say).')",
    );
    const refused = { rating: 2, comment: 'Splendiferous (so to say).' };
    const { id: other } = await provider('Quentin');
    for (const { status } of [
      await send('PUT', `/v1/ratings/${id}`, refused),
      await send('POST', '/v1/ratings', { ...refused, customerId, serviceProviderId: other }),
    ])
      expect(status).toBe(500);
    // What can't be read, what is refused, and what fails: dead letters that hold all of it.
    const rated = { customerName: 'Zacharias', comment, value: 5, talkId: TALK };
    const json = JSON.stringify(rated);
    const wrong = [
      json.slice(0, -1),
      json.replace('"Splendiferous"', 'Splendiferous'),
      JSON.stringify({ ...rated, value: 6 }),
      JSON.stringify({ ...rated, customerId: 'zacharias@example.com' }),
      JSON.stringify({ ...rated, comment: comment.repeat(20) }),
      JSON.stringify({ ...rated, value: 'Splendiferous' }),
      JSON.stringify({ ...rated, previousValue: 2 }),
    ];
    for (const value of wrong)
      await append(market.log, { topic, key: TALK, value: Buffer.from(value), headers: {} });
    const letters = async () =>
      (await deadLettersOf(market.log, RatedSchema)).filter(({ headers }) => headers.dlq_group === 'ratings');
    await expect.poll(async () => (await letters()).length).toBe(wrong.length);
    for (const service of ['product', 'order', 'stock', 'ratings'] as const) {
      const spans = JSON.stringify(await jaeger.find({ service, limit: 2_000 }));
      expect(spans).toContain(service);
      expect.soft(personal(spans), `spans of ${service}`).toEqual([]);
      const metrics = await (await fetch(`${market.urls[service]}/metrics`)).text();
      expect(metrics).toContain('tradewind_');
      expect.soft(personal(metrics), `metrics of ${service}`).toEqual([]);
    }
    const logs = await market.logs();
    expect(logs).toContain('ratings');
    expect.soft(personal(logs), 'logs').toEqual([]);
  });
});

async function connected(connectionString: string) {
  const client = new Client({ connectionString });
  await client.connect();
  return Object.assign(client, { [Symbol.asyncDispose]: () => client.end() });
}

/** The places of a text that hold what belongs to somebody. */
function personal(of: string): string[] {
  return of.match(/.{0,200}(zacharias|quintessa|quentin|splendif|@example\.com).{0,60}/gi) ?? [];
}
