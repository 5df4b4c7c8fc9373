import { sagaJson } from '@tradewind/order-service/rest/saga-json.ts';
import { drawSaga } from '@tradewind/order-service/saga/drawing.ts';
import type { Command } from './load/command-line.ts';
import { runTool } from './load/tool.ts';
import { parseSaga, type SagaOptions, sagaUsage } from './saga/command-line.ts';
import { isWell, viewSaga } from './saga/view.ts';

/** Moves a terminal to its beginning and forgets what was there. */
const CLEAR = '\u001b[H\u001b[2J';

await runTool({
  usage: sagaUsage,
  parse: (): Command<SagaOptions> => parseSaga(process.argv.slice(2), process.env),
  async run(options, signal, print) {
    const clear = options.watch && process.stdout.isTTY ? CLEAR : '';
    const saga = await viewSaga(options, signal, (seen) => {
      if (!options.json) print(`${clear}${drawSaga(seen, options.tracesUrl)}`);
    });
    return { ok: isWell(saga), json: sagaJson(saga) };
  },
});
