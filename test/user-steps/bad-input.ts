import { writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { equal, must } from './check.ts';
import { type Answer, asJson, curl, data, json } from './curl.ts';
import type { Shell } from './shell.ts';
import type { Ports } from './tradewind.ts';

/** What no answer may show: a stack trace, a query, a connection string. */
const inside =
  /\bat .*\(.*:\d+:\d+\)|\.ts:\d+|node_modules|postgres(ql)?:\/\/|\b(SELECT|INSERT INTO|UPDATE) /;

interface Problem {
  readonly status?: number;
  readonly message?: string;
  readonly details?: readonly { readonly field: string; readonly error: string }[];
}

/** Wrong bodies of POST /api/v1/orders, the status that each gets, and the field that the answer names. */
const wrongOrders: readonly (readonly [what: string, body: unknown, field?: string])[] = [
  ['malformed JSON', '{"product_id":1,'],
  ['an empty body', ''],
  ['null', 'null'],
  ['an array', '[]'],
  ['a number', '7'],
  ['nothing in it', {}],
  ['a string for a number', { product_id: '1', total_price: 1, total_quantity: 1 }, 'product_id'],
  ['null for a number', { product_id: null, total_price: 1, total_quantity: 1 }, 'product_id'],
  ['product 0', { product_id: 0, total_price: 1, total_quantity: 1 }, 'product_id'],
  ['a product beyond int32', { product_id: 2 ** 31, total_price: 1, total_quantity: 1 }, 'product_id'],
  ['quantity 0', { product_id: 1, total_price: 1, total_quantity: 0 }, 'total_quantity'],
  ['a negative quantity', { product_id: 1, total_price: 1, total_quantity: -1 }, 'total_quantity'],
  ['half a piece', { product_id: 1, total_price: 1, total_quantity: 0.5 }, 'total_quantity'],
  ['a huge quantity', { product_id: 1, total_price: 1, total_quantity: 1e15 }, 'total_quantity'],
  ['1e400', '{"product_id":1,"total_price":1e400,"total_quantity":1}'],
  ['a negative price', { product_id: 1, total_price: -1, total_quantity: 1 }, 'total_price'],
  [
    'a price beyond the safe integers',
    '{"product_id":1,"total_price":9007199254740993,"total_quantity":1}',
    'total_price',
  ],
  ['no quantity', { product_id: 1, total_price: 1 }, 'quantity'],
  ['no lines', { lines: [] }, 'lines'],
  ['lines that are no list', { lines: 'all' }, 'lines'],
  ['a line that is wrong', { lines: [{ product_id: 1, quantity: 0, unit_price: 1 }] }, 'quantity'],
  [
    'a total that does not add up',
    { lines: [{ product_id: 1, quantity: 2, unit_price: 5 }], total_price: 11 },
    'total_price',
  ],
  [
    '10,000 lines',
    { lines: Array.from({ length: 10_000 }, () => ({ product_id: 1, quantity: 1, unit_price: 1 })) },
    'lines',
  ],
  [
    'an over-long customer',
    { customer_id: 'x'.repeat(10_000), product_id: 1, total_price: 1, total_quantity: 1 },
    'customer_id',
  ],
  ['NUL in a string', '{"customer_id":"a\\u0000b","product_id":1,"total_price":1,"total_quantity":1}'],
  [
    'a currency that is none',
    { currency: 'dollars', product_id: 1, total_price: 1, total_quantity: 1 },
    'currency',
  ],
];

/** Bad input on each face: a clear error, never 500, and the process lives. */
export const badInputSteps = (shell: Shell, ports: Ports) => {
  const file = (name: string, text: string) => {
    const path = join(shell.cwd, '..', name);
    writeFileSync(path, text);
    return path;
  };
  const orders = `localhost:${ports.order}/api/v1/orders`;
  const refused = (answer: Answer, status: number, field?: string) => {
    must(answer.status === status, `${answer.status} instead of ${status}: ${answer.body}`);
    must(!inside.test(answer.body), answer.body);
    const { status: said, message, details } = JSON.parse(answer.body) as Problem;
    must(
      said === status && typeof message === 'string' && message !== '' && Array.isArray(details),
      answer.body,
    );
    if (field !== undefined)
      must(details?.some((detail) => detail.field.includes(field)) ?? false, answer.body);
  };
  const lives = async () => {
    for (const port of [ports.order, ports.product, ports.stock])
      equal([port, (await curl(shell, `-m 5 localhost:${port}/health/ready`)).status], [port, 200]);
  };
  const steps: Record<string, () => Promise<void>> = {};

  for (const [what, body, field] of wrongOrders) {
    steps[`REST, ${what}: 400`] = async () => {
      const text = typeof body === 'string' ? body : JSON.stringify(body);
      refused(
        await curl(shell, `-X POST ${orders} ${asJson} --data-binary @${file('body.json', text)}`),
        400,
        field,
      );
    };
  }
  const others: readonly (readonly [what: string, args: string, status: number])[] = [
    [
      'a body of 10 MB',
      `-X POST ${orders} ${asJson} --data-binary @${file('big.json', `{"customer_id":"${'x'.repeat(10_000_000)}"}`)}`,
      413,
    ],
    ['a wrong content type', `-X POST ${orders} -H 'content-type: text/plain' -d hello`, 415],
    ['no content type', `-X POST ${orders} -H 'content-type:' -d hello`, 415],
    ['an unknown route', `localhost:${ports.order}/api/v1/nothing`, 404],
    ['an unknown method', `-X DELETE ${orders}`, 405],
    ['an order that is not there', `${orders}/0190b7a4-0000-7000-8000-000000000000`, 404],
    ['an id that is none', `${orders}/7`, 400],
    ['a page size that is none', `'${orders}?page_size=many'`, 400],
    ['a page size too large', `'${orders}?page_size=1001'`, 400],
    ['a page token that is none', `'${orders}?page_token=nonsense'`, 400],
    ['a status that is none', `'${orders}?status=LOST'`, 400],
  ];
  for (const [what, args, status] of others)
    steps[`REST, ${what}: ${status}`] = async () => refused(await curl(shell, args), status);

  const connectError = async (args: string, status: number, code: string, field?: string) => {
    const answer = await curl(shell, args);
    must(answer.status === status && !inside.test(answer.body), answer);
    equal((JSON.parse(answer.body) as { code: string }).code, code);
    if (field !== undefined) must(answer.body.includes(field), answer.body);
  };
  const setStock = `localhost:${ports.stock}/tradewind.stock.v1.StockService/SetStock`;
  steps['Connect: malformed JSON, wrong type, negative, unknown method, malformed protobuf'] = async () => {
    await connectError(`${setStock} ${asJson} -d '{"productId":'`, 400, 'invalid_argument');
    await connectError(
      `${setStock} ${asJson} ${data({ productId: 'one', quantity: 1 })}`,
      400,
      'invalid_argument',
    );
    await connectError(
      `${setStock} ${asJson} ${data({ productId: 1, quantity: -1 })}`,
      400,
      'invalid_argument',
      'quantity',
    );
    await connectError(
      `${setStock} -H 'content-type: application/proto' --data-binary '\xff\xff\xff'`,
      400,
      'invalid_argument',
    );
    const unknown = await curl(
      shell,
      `localhost:${ports.stock}/tradewind.stock.v1.StockService/Steal ${asJson} -d '{}'`,
    );
    must([404, 501].includes(unknown.status), unknown);
    await connectError(
      `-H 'connect-protocol-version: 1' -H 'connect-timeout-ms: 1x' ${setStock} ${asJson} ${data({ productId: 1, quantity: 1 })}`,
      400,
      'invalid_argument',
    );
  };

  interface Failed {
    readonly errors?: readonly {
      readonly message: string;
      readonly extensions?: { readonly code?: string };
    }[];
  }
  const graphql = `localhost:${ports.product}/graphql`;
  const deep = `{ products ${'{ products '.repeat(60)}{ id }${' }'.repeat(60)} }`;
  for (const [what, query] of Object.entries({
    'a syntax error': '{ products {',
    'an unknown field': '{ products { id colour } }',
    'a wrong type': '{ productById(id: "one") { id } }',
    'a number beyond int32': '{ productById(id: 99999999999) { id } }',
    'a query that is too deep': deep,
    'a query that costs too much': `{ ${Array.from({ length: 400 }, (_, n) => `p${n}: products { id name stock }`).join(' ')} }`,
  })) {
    steps[`GraphQL, ${what}: errors with a code`] = async () => {
      const answer = await curl(
        shell,
        `${graphql} ${asJson} --data-binary @${file('query.json', JSON.stringify({ query }))}`,
      );
      must([200, 400].includes(answer.status) && !inside.test(answer.body), answer);
      const { errors = [] } = JSON.parse(answer.body) as Failed;
      must(
        errors.length > 0 &&
          errors.every(({ extensions, message }) => extensions?.code !== undefined && message !== ''),
        answer.body,
      );
    };
  }
  steps['GraphQL, malformed JSON: 400; a wrong content type: 415; a body of 10 MB: 413'] = async () => {
    equal((await curl(shell, `${graphql} ${asJson} -d '{"query":'`)).status, 400);
    equal((await curl(shell, `${graphql} -H 'content-type: text/csv' -d a,b`)).status, 415);
    const big = file(
      'big-query.json',
      JSON.stringify({ query: `{ products { id } } #${'x'.repeat(10_000_000)}` }),
    );
    equal((await curl(shell, `${graphql} ${asJson} --data-binary @${big}`)).status, 413);
  };

  for (const port of [ports.order, ports.product, ports.stock]) {
    steps[`port ${port}: one byte and silence, a half-open request, garbage, and everybody else is served`] =
      async () => {
        const sockets = [
          'P',
          'PRI',
          'POST /api/v1/orders HTTP/1.1\r\ncontent-length: 100\r\n\r\n{',
          '\x16\x03\x01\x00\x05hello',
          '\0\0\0\0\0',
        ].map((bytes) => {
          const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
          socket.on('error', () => undefined);
          return socket;
        });
        try {
          for (let turn = 0; turn < 5; turn += 1) {
            const answer = await curl(shell, `-m 5 localhost:${port}/health/ready`);
            must(answer.status === 200 && answer.ms < 2_000, answer);
          }
        } finally {
          for (const socket of sockets) socket.destroy();
        }
      };
  }
  steps['after all of it every service is well, and nothing was answered with 500'] = async () => {
    await lives();
    const { orders: listed } = await json<{ orders: unknown[] }>(shell, `'${orders}?page_size=1'`);
    equal(listed.length, 1);
  };
  return steps;
};
