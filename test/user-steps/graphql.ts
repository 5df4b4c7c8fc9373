import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { equal, eventually, must } from './check.ts';
import { asJson, curl, data, json } from './curl.ts';
import type { Shell } from './shell.ts';
import { isAlive, type Ports, pidOf } from './tradewind.ts';

interface Listed {
  readonly data?: {
    readonly products?: readonly { id: number; name: string; price: number; stock: number | null }[];
  };
  readonly errors?: readonly { message: string; extensions?: { code?: string } }[];
}

const query = '{ products { id name price stock } }';

/** User step 4. */
export const graphqlSteps = (shell: Shell, ports: Ports) => {
  const list = (path = '/graphql') =>
    json<Listed>(shell, `localhost:${ports.product}${path} ${asJson} ${data({ query })}`);
  const withoutStock = async () => {
    const began = Date.now();
    const { data: found, errors = [] } = await list();
    return { found, errors, ms: Date.now() - began };
  };
  const mustDoWithout = ({ found, errors, ms }: Awaited<ReturnType<typeof withoutStock>>) => {
    must((found?.products?.length ?? 0) >= 30, found);
    must(found?.products?.every(({ stock, name }) => stock === null && name !== '') ?? false, found);
    must(errors.length > 0 && /stock/.test(errors[0]?.message ?? ''), errors);
    must(ms < 3_000, `it took ${ms} ms`);
  };
  return {
    async 'a playground at /'() {
      const page = await curl(shell, `-H 'accept: text/html' localhost:${ports.product}/`);
      must(
        page.status === 200 && /graph/i.test(page.body) && page.body.includes('<html'),
        page.body.slice(0, 500),
      );
    },

    async 'products with price and stock, by one call to stock for the whole list'() {
      const calls = () => count(shell, 'stock.log', 'StockService/BatchGetStock');
      const before = calls();
      const { data: found, errors } = await list();
      equal(errors, undefined);
      must((found?.products?.length ?? 0) >= 30, found);
      must(
        found?.products?.every(({ stock, price }) => typeof stock === 'number' && price > 0) ?? false,
        found,
      );
      await eventually(
        async () => calls() - before,
        (more) => more >= 1,
      );
      equal(calls() - before, 1);
      equal((await list('/query')).errors, undefined);
    },

    async 'productById, and null for an unknown one'() {
      const both = '{ one: productById(id: 1) { name stock } none: productById(id: 99999999) { name } }';
      const answer = await json<{ data: { one: { name: string }; none: null } }>(
        shell,
        `localhost:${ports.product}/graphql ${asJson} ${data({ query: both })}`,
      );
      must(answer.data.one.name !== '' && answer.data.none === null, answer);
    },

    async 'with stock stopped (it hangs): the list, stock null, an error entry, within the deadline'() {
      const pid = pidOf(shell, 'stock');
      process.kill(pid, 'SIGSTOP');
      try {
        mustDoWithout(await withoutStock());
      } finally {
        process.kill(pid, 'SIGCONT');
      }
      await eventually(list, ({ errors }) => errors === undefined);
    },

    async 'with stock stopped (it is dead): the same; it is started again by itself, and the counts are back'() {
      const pid = pidOf(shell, 'stock');
      process.kill(pid, 'SIGKILL');
      await eventually(
        async () => isAlive(pid),
        (alive) => !alive,
      );
      mustDoWithout(await withoutStock());
      await eventually(list, ({ errors }) => errors === undefined, 30_000);
    },
  };
};

function count(shell: Shell, log: string, text: string): number {
  return readFileSync(join(shell.cwd, '.tradewind', 'logs', log), 'utf8').split(text).length - 1;
}
