import { Code } from '@connectrpc/connect';
import { ProductDeletedSchema, ProductUpdatedSchema } from '@tradewind/contracts/product/v1/events';
import { RatedSchema } from '@tradewind/contracts/ratings/v1/events';
import { append, eventsOf, recordOf } from '@tradewind/testing/events';
import { expect, test } from 'vitest';
import { startRatings, TALK } from './ratings-service.ts';

const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057';

test('customers and service providers are made known and shown; an address is taken whatever its case', async () => {
  await using ratings = await startRatings({ listen: false });
  for (const path of ['/v1/customers', '/v1/service-providers']) {
    const made = await ratings.post(path, { name: 'Alice', email: 'Alice@Example.com' });
    expect(made).toMatchObject({
      status: 201,
      json: { id: expect.stringMatching(/^[0-9a-f-]{36}$/), name: 'Alice', email: 'Alice@Example.com' },
    });
    expect(made.json.created_at).toBe(made.json.updated_at);
    expect(made.headers.get('location')).toBe(`${path}/${made.json.id}`);
    expect(await ratings.get(`${path}/${made.json.id}`)).toMatchObject({ status: 200, json: made.json });
    expect(await ratings.post(path, { name: 'Bob', email: 'aLICE@example.COM' })).toMatchObject({
      status: 409,
      json: { details: [{ field: 'email', error: 'is taken' }] },
    });
    expect((await ratings.get(`${path}/${NOBODY}`)).status).toBe(404);
    expect(await ratings.get(`${path}/7`)).toMatchObject({
      status: 400,
      json: { details: [{ field: 'id' }] },
    });
  }
});

test('a service provider is rated, once a customer; average, list and pages follow', async () => {
  await using ratings = await startRatings();
  const provider = await ratings.provider();
  const [alice, bob] = [await ratings.customer('Alice'), await ratings.customer('Bob')];
  const average = () => ratings.get(`/v1/service-providers/${provider}/average-rating`);
  expect((await average()).text).toBe(
    `{"serviceProviderId":"${provider}","averageRating":0,"totalRatings":0,"lastUpdated":null}`,
  );
  const first = await ratings.post('/v1/ratings', {
    customerId: alice,
    serviceProviderId: provider.toUpperCase(),
    rating: 5,
    comment: 'Great',
  });
  expect(first).toMatchObject({
    status: 201,
    json: { customerId: alice, serviceProviderId: provider, rating: 5, comment: 'Great', revision: 1 },
  });
  expect(await ratings.get(first.headers.get('location') ?? '')).toMatchObject({
    status: 200,
    json: first.json,
  });
  const second = await ratings.post('/v1/ratings', {
    customerId: bob,
    serviceProviderId: provider,
    rating: 2,
  });
  expect(second).toMatchObject({ status: 201, json: { rating: 2, comment: '' } });
  expect(
    await ratings.post('/v1/ratings', { customerId: alice, serviceProviderId: provider, rating: 1 }),
  ).toMatchObject({
    status: 409,
    json: { details: [{ field: 'customerId', error: expect.stringContaining('has rated') }] },
  });
  await expect
    .poll(async () => (await average()).json)
    .toMatchObject({ averageRating: 3.5, totalRatings: 2 });
  expect((await average()).json.lastUpdated).toBe(second.json.created_at);
  const page = await ratings.get(`/v1/ratings?page=2&per_page=1&serviceProviderId=${provider}`);
  expect(page.json).toEqual({ page: 2, per_page: 1, page_count: 2, total_count: 2, items: [first.json] });
  expect((await ratings.get(`/v1/ratings?customerId=${bob}`)).json.items).toEqual([second.json]);
  expect((await ratings.get('/v1/ratings?page=7')).json).toMatchObject({
    page: 7,
    total_count: 2,
    items: [],
  });
});

test('a rating is changed; its event tells what it was, and the counts follow', async () => {
  await using ratings = await startRatings();
  const product = await ratings.product();
  const customerId = await ratings.customer();
  const { json } = await ratings.post(`/v1/products/${product}/ratings`, { customerId, rating: 2 });
  expect(json).toMatchObject({ productId: product, rating: 2, revision: 1 });
  const changed = await ratings.put(`/v1/ratings/${json.id}`, { rating: 4, comment: 'Better', revision: 1 });
  expect(changed).toMatchObject({ status: 200, json: { rating: 4, comment: 'Better', revision: 2 } });
  const again = await ratings.put(`/v1/ratings/${json.id}`, { rating: 4, comment: 'Better' });
  expect(again.json).toEqual(changed.json);
  expect((await ratings.put(`/v1/ratings/${json.id}`, { rating: 1, revision: 1 })).status).toBe(409);
  await expect.poll(() => ratings.counts('product/1')).toBe('0 1 0 0 0');
  expect(await eventsOf(ratings.log, RatedSchema)).toMatchObject([
    { value: 2, subject: 'product/1', customerId, customerName: 'Alice', revision: 1n },
    { value: 4, previousValue: 2, comment: 'Better', ratingId: json.id, revision: 2n },
  ]);
  const { json: average } = await ratings.get('/v1/products/1/average-rating');
  expect(average).toMatchObject({ productId: 1, averageRating: 4, totalRatings: 1 });
});

test('products are known by their events: renamed they keep their ratings, deleted they get no more', async () => {
  await using ratings = await startRatings();
  await ratings.product(7);
  const [alice, bob] = [await ratings.customer('Alice'), await ratings.customer('Bob')];
  const rate = (customerId: string) => ratings.post('/v1/products/7/ratings', { customerId, rating: 3 });
  const { json } = await rate(alice);
  await append(
    ratings.log,
    recordOf(ProductUpdatedSchema, { productId: 7, name: 'Large desk', revision: 2n }),
  );
  const name = async () => (await ratings.query("SELECT name FROM subject WHERE id = 'product/7'"))[0].name;
  await expect.poll(name).toBe('Large desk');
  await append(ratings.log, recordOf(ProductDeletedSchema, { productId: 7, revision: 3n }));
  await expect
    .poll(() => ratings.query("SELECT deleted FROM subject WHERE id = 'product/7'"))
    .toEqual([{ deleted: true }]);
  expect((await rate(bob)).json.details).toEqual([{ field: 'id', error: 'product 7 was deleted' }]);
  expect((await ratings.put(`/v1/ratings/${json.id}`, { rating: 1 })).status).toBe(409);
  // What was told before comes late, and changes nothing.
  await append(ratings.log, recordOf(ProductUpdatedSchema, { productId: 7, name: 'Old', revision: 2n }));
  await expect.poll(ratings.lag).toBe(0);
  expect(await ratings.query("SELECT name, deleted FROM subject WHERE id = 'product/7'")).toEqual([
    { name: 'Large desk', deleted: true },
  ]);
  expect((await ratings.get('/v1/products/7/average-rating')).json).toMatchObject({ totalRatings: 1 });
});

test('a repeat under an Idempotency-Key gives the first answer, on every face, also after the product went', async () => {
  await using ratings = await startRatings();
  await ratings.product();
  const customerId = await ratings.customer();
  const key = { 'idempotency-key': 'k' };
  const rate = (rating: number) => ratings.post('/v1/products/1/ratings', { customerId, rating }, key);
  const twins = await Promise.all(Array.from({ length: 5 }, () => rate(4)));
  expect(new Set(twins.map(({ text }) => text)).size).toBe(1);
  expect(twins[0]?.status).toBe(201);
  expect((await rate(5)).status).toBe(409);
  await append(ratings.log, recordOf(ProductDeletedSchema, { productId: 1, revision: 2n }));
  await expect
    .poll(async () => (await ratings.post('/v1/products/1/ratings', { customerId, rating: 4 })).status)
    .toBe(409);
  expect((await rate(4)).text).toBe(twins[0]?.text);
  const request = { subject: { about: { case: 'productId' as const, value: 1 } }, customerId, value: 4 };
  const { rating } = await ratings.call.createRating(request, { headers: key });
  expect(rating?.id).toBe(twins[0]?.json.id);
  // What failed is not remembered: the key is free for the one that is right.
  const free = { 'idempotency-key': 'free' };
  const wrong = { talkId: 'no-such-talk', value: 1 };
  expect((await ratings.post('/ratings', wrong, free)).status).toBe(404);
  expect(
    (await ratings.post('/v1/ratings', { customerId, serviceProviderId: NOBODY, rating: 1 }, free)).status,
  ).toBe(404);
  const serviceProviderId = await ratings.provider();
  expect((await ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 1 }, free)).status).toBe(
    201,
  );
});

test('many rate at once, some of them twice: each customer counts once, whoever shares a commit', async () => {
  await using ratings = await startRatings();
  const provider = await ratings.provider();
  const customers = await Promise.all(Array.from({ length: 20 }, (_, n) => ratings.customer(`C${n}x`)));
  const rate = (customerId: string) =>
    ratings.post('/v1/ratings', { customerId, serviceProviderId: provider, rating: 4 });
  const answers = await Promise.all([...customers, ...customers, NOBODY].map(rate));
  const statuses = Map.groupBy(answers, ({ status }) => status);
  expect([201, 409, 404].map((status) => statuses.get(status)?.length)).toEqual([20, 20, 1]);
  await expect.poll(() => ratings.counts(`service-provider/${provider}`)).toBe('0 20 0 0 0');
});

test('pages by token: no rating twice or left out while others come, and a token is for its filter', async () => {
  await using ratings = await startRatings({ listen: false });
  for (let n = 0; n < 5; n++) await ratings.call.rateTalk({ talkId: TALK, value: 1 + n });
  const subject = { about: { case: 'talkId' as const, value: TALK } };
  const first = await ratings.call.listRatings({ pageSize: 2, subject, includeTotalSize: true });
  await ratings.call.rateTalk({ talkId: TALK, value: 5 });
  const rest = await ratings.call.listRatings({ pageSize: 5, pageToken: first.nextPageToken, subject });
  expect([first, rest].flatMap(({ ratings }) => ratings.map(({ value }) => value))).toEqual([5, 4, 3, 2, 1]);
  expect(first).toMatchObject({ totalSize: 5n });
  expect(rest).toMatchObject({ nextPageToken: '' });
  for (const pageToken of [first.nextPageToken, 'AAAA', `${first.nextPageToken}x`]) {
    await expect(ratings.call.listRatings({ pageToken })).rejects.toMatchObject({
      code: Code.InvalidArgument,
    });
  }
});

test('summaries in a batch: in the order asked for, unknown ones left out, and a store that is not there is said', async () => {
  await using ratings = await startRatings();
  await ratings.call.createTalk({ id: 'other', title: 'Other' });
  await ratings.call.rateTalk({ talkId: TALK, value: 4 });
  const talk = (value: string) => ({ about: { case: 'talkId' as const, value } });
  const subjects = [talk('other'), talk('nobody-knows'), talk(TALK), talk('other')];
  await expect
    .poll(async () => {
      const { summaries } = await ratings.call.batchGetSummaries({ subjects, store: 1 });
      return summaries.map(({ subject, count }) => [subject?.about.value, count]);
    })
    .toEqual([
      ['other', 0n],
      [TALK, 1n],
    ]);
  await expect(ratings.call.batchGetSummaries({ subjects, store: 2 })).rejects.toMatchObject({
    code: Code.FailedPrecondition,
  });
});

test('averages are exact however they came about', async () => {
  await using ratings = await startRatings();
  await ratings.call.createTalk({ id: 'thirds', title: 'Thirds' });
  for (const value of [5, 4, 4]) await ratings.call.rateTalk({ talkId: 'thirds', value });
  const subject = { about: { case: 'talkId' as const, value: 'thirds' } };
  const average = async () => (await ratings.call.getSummary({ subject })).summary?.average;
  await expect.poll(average).toBe(13 / 3);
});

test('the backends are named, passwords masked', async () => {
  await using ratings = await startRatings({ listen: false });
  const { json } = await ratings.get('/');
  expect(Object.keys(json.metadata)).toEqual(['ratings_lambda', 'ratings', 'streams', 'talks']);
  expect(json.metadata.talks).toMatch(/^postgres(ql)?:\/\//);
  const { password } = new URL(ratings.databaseUrl);
  if (password) expect(JSON.stringify(json)).not.toContain(password);
});
