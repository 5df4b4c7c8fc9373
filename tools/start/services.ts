import { fileURLToPath } from 'node:url';

/** A service as the starter sees it. */
export interface ServiceSpec {
  readonly name: string;
  /** Its main module, run as `node <main> serve listen`, `node <main> migrate`. A `listen` of its own answers /health/ready on HEALTH_PORT. */
  readonly main: string;
  readonly roles: readonly ('serve' | 'listen')[];
  readonly defaultPort: number;
  /** Names of services and functions whose address it takes, as `<NAME>_URL`. */
  readonly calls?: readonly string[];
  /** For people: what is to be found on its port. */
  readonly faces: readonly { readonly path: string; readonly what: string }[];
}

/** A function that is deployed elsewhere and runs here too: one process that answers over HTTP, without database, event log and schema. */
export interface FunctionSpec {
  readonly name: string;
  /** Its main module, run as `node <main> serve`. All of PORT is the function's; it answers /health/ready on HEALTH_PORT. */
  readonly main: string;
  readonly defaultPort: number;
  /** For people: what it does. */
  readonly what: string;
}

const main = (name: string) => fileURLToPath(new URL(`../../services/${name}/main.ts`, import.meta.url));
const RPC = 'gRPC, Connect, gRPC-Web';

/** All services, in the order in which they are shown. */
export const services: readonly ServiceSpec[] = [
  {
    name: 'product',
    main: main('product'),
    roles: ['serve', 'listen'],
    defaultPort: 8080,
    calls: ['stock'],
    faces: [
      { path: '/', what: 'GraphQL playground' },
      { path: '/graphql', what: `GraphQL; ${RPC} on the same port` },
    ],
  },
  {
    name: 'order',
    main: main('order'),
    roles: ['serve', 'listen'],
    defaultPort: 3000,
    calls: ['stock'],
    faces: [
      { path: '/docs', what: 'REST, documented' },
      { path: '/api/v1/orders', what: `REST; ${RPC} on the same port` },
    ],
  },
  {
    name: 'stock',
    main: main('stock'),
    roles: ['serve', 'listen'],
    defaultPort: 50051,
    faces: [{ path: '', what: RPC }],
  },
  {
    name: 'ratings',
    main: main('ratings'),
    roles: ['serve', 'listen'],
    defaultPort: 8082,
    calls: ['ratings-lambda'],
    faces: [
      { path: '/docs', what: 'REST, documented' },
      { path: '/ratings?talkId=flight-of-the-gopher', what: `REST; ${RPC} on the same port` },
    ],
  },
];

/** All functions, in the order in which they are shown. */
export const functions: readonly FunctionSpec[] = [
  {
    name: 'ratings-lambda',
    main: fileURLToPath(new URL('../../services/ratings/lambda/serve.ts', import.meta.url)),
    defaultPort: 8089,
    what: 'statistics of ratings, POST; speaks as an AWS Lambda function URL',
  },
];

/** The variables of a service have its name in front: `ORDER_PORT`. So have those of a function. */
export function variable(service: string, name: string): string {
  return `${service.toUpperCase().replaceAll('-', '_')}_${name}`;
}
