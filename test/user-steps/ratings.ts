import { equal, eventually, must } from './check.ts';
import { asJson, curl, data, json } from './curl.ts';
import { type Shell, succeed } from './shell.ts';
import type { Ports } from './tradewind.ts';

const TALK = 'flight-of-the-gopher';
/** What is rated is counted within a second. */
const SECOND_MS = 1_000;

interface Named {
  readonly id: string;
}

/** Ratings, with curl, from the talks to the product's own rating in GraphQL. */
export const ratingSteps = (shell: Shell, ports: Ports) => {
  const base = `localhost:${ports.ratings}`;
  const post = <T = Named>(path: string, body: unknown) =>
    json<T>(shell, `-X POST ${base}${path} ${asJson} ${data(body)}`, 201);
  const histogram = async () => (await curl(shell, `'${base}/ratings?talkId=${TALK}'`)).body;
  return {
    async 'a talk is rated: 201, and within a second its histogram and statistics include it'() {
      await post('/ratings', { talkId: TALK, value: 5 });
      await eventually(histogram, (text) => text.startsWith('{"ratings":{"5":"1"}'), SECOND_MS);
      await post(`/talks/${TALK}/ratings`, { score: 4 });
      const found = await eventually(histogram, (text) => text.includes('"4":"1"'), SECOND_MS);
      equal(found, '{"ratings":{"5":"1","4":"1"},"stats":{"avg":4.5,"totalCount":2}}');
      equal((await curl(shell, `${base}/talks/${TALK}/stats`)).body, found);
      const { talks } = await json<{ talks: Named[] }>(shell, `${base}/talks`);
      // The examples have talks of their own.
      equal(
        talks.map(({ id }) => id).filter((id) => !id.startsWith('example-')),
        [TALK, 'testcontainers-integration-testing'],
      );
    },

    async 'the backends are named, without passwords'() {
      const { metadata } = await json<{ metadata: Record<string, string> }>(shell, `${base}/`);
      equal(Object.keys(metadata), ['ratings_lambda', 'ratings', 'streams', 'talks']);
      must(/^http:/.test(metadata.ratings_lambda ?? ''), metadata);
    },

    async 'customers rate a service provider, and once only'() {
      const person = (path: string, name: string) =>
        post(path, { name, email: `${name}-${Date.now()}@example.com` });
      const [alice, bob] = [
        await person('/v1/customers', 'alice'),
        await person('/v1/service-providers', 'bob'),
      ];
      const rating = { customerId: alice.id, serviceProviderId: bob.id, rating: 3, comment: 'Punctual' };
      const { id } = await post('/v1/ratings', rating);
      equal((await curl(shell, `-X POST ${base}/v1/ratings ${asJson} ${data(rating)}`)).status, 409);
      await json(shell, `-X PUT ${base}/v1/ratings/${id} ${asJson} ${data({ rating: 5 })}`);
      await eventually(
        () => json(shell, `${base}/v1/service-providers/${bob.id}/average-rating`),
        ({ averageRating, totalRatings }) => averageRating === 5 && totalRatings === 1,
        SECOND_MS,
      );
      const page = await json<{ items: Named[] }>(shell, `'${base}/v1/ratings?customerId=${alice.id}'`);
      equal(
        page.items.map((item) => item.id),
        [id],
      );
    },

    async "a product's own rating follows within a second, by event"() {
      const { id: customerId } = await post('/v1/customers', {
        name: 'Carol',
        email: `carol-${Date.now()}@example.com`,
      });
      await post('/v1/products/3/ratings', { customerId, rating: 4 });
      const query = data({ query: '{ productById(id: 3) { rating ratingCount } }' });
      const found = await eventually(
        () =>
          json<{ data: { productById: unknown } }>(
            shell,
            `localhost:${ports.product}/graphql ${asJson} ${query}`,
          ),
        (answer) => JSON.stringify(answer).includes('"rating":4'),
        SECOND_MS,
      );
      equal(found.data.productById, { rating: 4, ratingCount: 1 });
    },

    async 'the read model is made again beside the live one, and is the same'() {
      const before = await histogram();
      const { stdout } = await succeed(shell, 'npm run rebuild -w services/ratings', 60_000);
      must(/rebuilt: \d+ events, \d+ subjects, 0 of them/.test(stdout), stdout);
      equal(await histogram(), before);
    },
  };
};
