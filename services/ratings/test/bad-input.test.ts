import { expect, test } from 'vitest';
import { startRatings, TALK } from './ratings-service.ts';

const NOBODY = '01890a5d-ac96-774b-bcce-b302099a8057';

test('a value that is none is refused, naming the field, and counts nothing', async () => {
  await using ratings = await startRatings({ listen: false });
  const customerId = await ratings.customer();
  const serviceProviderId = await ratings.provider();
  const range = 'must be between 1 and 5';
  const cases: [unknown, string][] = [
    [0, range],
    [6, range],
    [-1, range],
    [1e9, range],
    [4e9, range],
    [3.5, 'must be integer'],
    ['5', 'must be integer'],
    [null, 'must be integer'],
    [[5], 'must be integer'],
    [undefined, 'is required'],
  ];
  for (const [value, error] of cases) {
    const refused = (field: string) => ({ status: 400, json: { status: 400, details: [{ field, error }] } });
    expect(await ratings.post('/ratings', { talkId: TALK, value })).toMatchObject(refused('value'));
    expect(await ratings.post(`/talks/${TALK}/ratings`, { score: value })).toMatchObject(refused('score'));
    expect(await ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: value })).toMatchObject(
      refused('rating'),
    );
    expect(await ratings.put(`/v1/ratings/${NOBODY}`, { rating: value })).toMatchObject(refused('rating'));
  }
  expect(await ratings.query('SELECT FROM rating')).toEqual([]);
});

test('the example of the contract, word for word', async () => {
  await using ratings = await startRatings({ listen: false });
  const customerId = await ratings.customer();
  const serviceProviderId = await ratings.provider();
  const { json } = await ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 6 });
  const { trace_id, ...body } = json;
  expect(trace_id).toMatch(/^[0-9a-f]{32}$/);
  expect(body).toEqual({
    status: 400,
    message: 'There is some problem with the data you submitted.',
    details: [{ field: 'rating', error: 'must be between 1 and 5' }],
  });
});

test('who or what nobody knows is 404, with the field', async () => {
  await using ratings = await startRatings({ listen: false });
  const customerId = await ratings.customer();
  const serviceProviderId = await ratings.provider();
  const of = (field: string) => ({ status: 404, json: { details: [{ field }] } });
  for (const talkId of [
    'no-such-talk',
    'product/1',
    'Größe',
    '../x',
    'a b',
    'a\nb',
    '\x7f',
    'x'.repeat(200),
  ]) {
    expect(await ratings.post('/ratings', { talkId, value: 5 })).toMatchObject(of('talkId'));
    expect(await ratings.get(`/ratings?talkId=${encodeURIComponent(talkId)}`)).toMatchObject(of('talkId'));
    expect(await ratings.post(`/talks/${encodeURIComponent(talkId)}/ratings`, { score: 5 })).toMatchObject(
      of('id'),
    );
    expect(await ratings.get(`/talks/${encodeURIComponent(talkId)}/stats`)).toMatchObject(of('id'));
  }
  const rate = (body: object) =>
    ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 5, ...body });
  expect(await rate({ customerId: NOBODY })).toMatchObject(of('customerId'));
  expect(await rate({ serviceProviderId: NOBODY })).toMatchObject(of('serviceProviderId'));
  expect(await ratings.post('/v1/products/999/ratings', { customerId, rating: 5 })).toMatchObject(of('id'));
  expect(await ratings.get(`/v1/service-providers/${NOBODY}/average-rating`)).toMatchObject(of('id'));
  expect(await ratings.get('/v1/products/999/average-rating')).toMatchObject(of('id'));
  for (const path of [`/v1/ratings/${NOBODY}`, '/nowhere'])
    expect((await ratings.get(path)).status).toBe(404);
});

test('what can not be right is 400, with the field', async () => {
  await using ratings = await startRatings({ listen: false });
  const customerId = await ratings.customer();
  const serviceProviderId = await ratings.provider();
  const of = (field: string) => ({ status: 400, json: { details: [{ field }] } });
  const rate = (body: object) =>
    ratings.post('/v1/ratings', { customerId, serviceProviderId, rating: 5, ...body });
  expect(await rate({ customerId: '7' })).toMatchObject(of('customerId'));
  expect(await rate({ serviceProviderId: 'bob' })).toMatchObject(of('serviceProviderId'));
  expect(await rate({ serviceProviderId: undefined })).toMatchObject(of('serviceProviderId'));
  expect(await rate({ comment: 'x'.repeat(101) })).toMatchObject(of('comment'));
  expect(await rate({ comment: '😀'.repeat(101) })).toMatchObject(of('comment'));
  expect(await rate({ comment: 'a\0b' })).toMatchObject(of('comment'));
  expect(await rate({ comment: 5 })).toMatchObject(of('comment'));
  expect(await ratings.get('/ratings')).toMatchObject(of('talkId'));
  expect(await ratings.get('/ratings?talkId=')).toMatchObject(of('talkId'));
  for (const [query, field] of [
    ['page=0', 'page'],
    ['page=x', 'page'],
    ['page=-1', 'page'],
    ['page=10000000&per_page=1000', 'page'],
    ['per_page=0', 'per_page'],
    ['per_page=100000', 'per_page'],
    ['serviceProviderId=bob', 'serviceProviderId'],
    ['customerId=7', 'customerId'],
    ['productId=0', 'productId'],
    [`productId=1&serviceProviderId=${serviceProviderId}`, 'productId'],
  ] as const)
    expect(await ratings.get(`/v1/ratings?${query}`), query).toMatchObject(of(field));
  const people: [object, string][] = [
    [{ name: 'A' }, 'email'],
    [{ email: 'a@example.com' }, 'name'],
    [{ name: '', email: 'a@example.com' }, 'name'],
    [{ name: '  ', email: 'a@example.com' }, 'name'],
    [{ name: 'x'.repeat(201), email: 'a@example.com' }, 'name'],
    [{ name: 'a\nb', email: 'a@example.com' }, 'name'],
    [{ name: 7, email: 'a@example.com' }, 'name'],
    ...['', 'alice', 'alice@', '@example.com', 'a b@example.com', `${'x'.repeat(250)}@example.com`].map(
      (email): [object, string] => [{ name: 'A', email }, 'email'],
    ),
  ];
  for (const path of ['/v1/customers', '/v1/service-providers'])
    for (const [body, field] of people)
      expect(await ratings.post(path, body), JSON.stringify(body)).toMatchObject(of(field));
  for (const text of ['{', '', 'null', '[]', '"x"'])
    expect((await ratings.post('/ratings', text)).status, text).toBe(400);
  expect((await ratings.send('PUT', '/ratings', { talkId: TALK })).status).toBe(405);
  expect((await ratings.post('/ratings', 'x', { 'content-type': 'text/csv' })).status).toBe(415);
});

test('a comment of a hundred characters is kept as it is: emoji, markup, other scripts', async () => {
  await using ratings = await startRatings({ listen: false });
  for (const comment of [
    '😀'.repeat(100),
    '<script>alert("x")</script>',
    "Größe ﷽ \u202e'; DROP TABLE rating; --",
    '',
  ]) {
    const customerId = await ratings.customer();
    const serviceProviderId = await ratings.provider();
    const { status, json } = await ratings.post('/v1/ratings', {
      customerId,
      serviceProviderId,
      rating: 1,
      comment,
      unknown: { field: true },
    });
    expect(status).toBe(201);
    expect((await ratings.get(`/v1/ratings/${json.id}`)).json.comment).toBe(comment);
  }
});

test('talks: ids and titles have their rules, and an id is taken once', async () => {
  await using ratings = await startRatings({ listen: false });
  for (const id of ['', 'A', 'a--b', '-a', 'a/b', 'ä', 'x'.repeat(101)])
    await expect(ratings.call.createTalk({ id, title: 'T' })).rejects.toMatchObject({ code: 3 });
  await expect(ratings.call.createTalk({ id: TALK, title: 'T' })).rejects.toMatchObject({ code: 6 });
  await ratings.call.createTalk({ id: 'b', title: 'B' });
  await ratings.call.createTalk({ id: 'a', title: 'A' });
  const first = await ratings.get('/talks?page_size=2');
  expect(first.json.talks).toMatchObject([{ id: 'a', title: 'A' }, { id: 'b' }]);
  const rest = await ratings.get(`/talks?page_token=${first.json.next_page_token}`);
  expect(rest.json).toMatchObject({ talks: [{ id: TALK }], next_page_token: '' });
});
