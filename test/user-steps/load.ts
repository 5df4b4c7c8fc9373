import { eventually, must } from './check.ts';
import { launch, run, type Shell, signalGroup, succeed } from './shell.ts';
import type { Ports } from './tradewind.ts';

/** User step 5. */
export const loadSteps = (shell: Shell, ports: Ports) => {
  const env = {
    ...shell.env,
    ORDER_URL: `http://127.0.0.1:${ports.order}`,
    PRODUCT_URL: `http://127.0.0.1:${ports.product}`,
    STOCK_URL: `http://127.0.0.1:${ports.stock}`,
    RATINGS_URL: `http://127.0.0.1:${ports.ratings}`,
  };
  const there = { ...shell, env };
  const measured = (text: string) => {
    for (const wanted of [
      /orders\/s/,
      /sagas\/s/,
      /p50 .*p95 .*p99/,
      /\d+ confirmed, \d+ cancelled, 0 stuck/,
      /all is as it must be/,
    ])
      must(wanted.test(text), text);
    for (const line of text.split('\n'))
      if (/^(accepted|settled) /.test(line)) process.stdout.write(`    ${line}\n`);
  };
  return {
    async 'npm run load -- --restock 0.9: the whole file, about one order in ten cancelled, a clean audit'() {
      const { stdout } = await succeed(there, 'npm run load -- --restock 0.9', 300_000);
      measured(stdout);
      must(/6919 of 6919 orders/.test(stdout), stdout);
      const [, cancelled = '0'] = /, (\d+) cancelled/.exec(stdout) ?? [];
      must(Number(cancelled) > 6_919 * 0.03 && Number(cancelled) < 6_919 * 0.2, stdout);
    },
    ...Object.fromEntries(
      ['rest', 'grpc', 'connect'].map((protocol) => [
        `npm run load -- --restock 0.9 --limit 1500 --protocol ${protocol}`,
        async () => {
          const line = `npm run load -- --restock 0.9 --limit 1500 --protocol ${protocol}`;
          measured((await succeed(there, line, 300_000)).stdout);
        },
      ]),
    ),
    async 'npm run load -- --rate 200 --clients 8 --repeat 2 --limit 300'() {
      const { stdout } = await succeed(
        there,
        'npm run load -- --rate 200 --clients 8 --repeat 2 --limit 300',
        300_000,
      );
      must(/600 of 600 orders/.test(stdout), stdout);
    },
    async 'a replay that is interrupted goes on where it was, and orders nothing twice'() {
      const load = launch(there, 'npm run load -- --limit 900 --rate 300');
      await eventually(
        async () => load.text(),
        (text) => /accepted .* [1-9]\d*\/900/.test(text),
      );
      signalGroup(load.process, 'SIGINT');
      must((await load.exited) !== 0, load.text());
      const [, tag = ''] = /--run (load-\S+)/.exec(load.text()) ?? [];
      must(tag !== '', load.text());
      const { stdout } = await succeed(there, `npm run load -- --limit 900 --run ${tag}`, 120_000);
      must(/900 of 900 orders/.test(stdout) && /all is as it must be/.test(stdout), stdout);
    },
    async 'npm run load -- --limit 600 --ratings 0.5: customers rate while they order, and every rating is counted'() {
      const { stdout } = await succeed(there, 'npm run load -- --limit 600 --ratings 0.5', 300_000);
      measured(stdout);
      must(/300 of 300 ratings accepted, \d+ of them changed/.test(stdout), stdout);
      must(/ratings +\d+ ratings, .* all is as it must be/.test(stdout), stdout);
    },
    async 'npm run audit'() {
      const { stdout } = await succeed(there, 'npm run audit', 120_000);
      must(/^audit .* all is as it must be$/m.test(stdout), stdout);
      must(/^ratings .* all is as it must be$/m.test(stdout), stdout);
    },
    async 'npm run audit finds what is off: a run that is not there'() {
      const { code, text } = await run(there, 'npm run audit -- --run load-nobody-00000000-1x1');
      must(code === 1, `exit code ${code}\n${text}`);
    },
  };
};
