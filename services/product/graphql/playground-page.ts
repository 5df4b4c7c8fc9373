import { promisify } from 'node:util';
import { parentPort } from 'node:worker_threads';
import { gzip } from 'node:zlib';
import { renderGraphiQL } from '@graphql-yoga/render-graphiql';

// Runs in a worker: GraphiQL's 9 MB, and the time that it takes to pack them, stay out of the process that answers.
const EXAMPLE = `# The catalogue of this Tradewind.
# Ctrl+Enter runs a query.
{
  products(first: 10, sort: NAME) {
    id
    name
    price
    currency
    category
    stock
  }
}
`;

const page = renderGraphiQL({ endpoint: '/graphql', title: 'Tradewind products', defaultQuery: EXAMPLE });
parentPort?.postMessage(await promisify(gzip)(page));
