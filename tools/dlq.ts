import { openLog } from '@tradewind/messaging/open-log';
import { ConfigurationError } from '@tradewind/process/environment';
import { reasonOf } from '@tradewind/process/wait-for';
import { createLogger, maskText } from '@tradewind/telemetry/logger';
import { type DlqOptions, parseDlq, usage } from './dlq/command-line.ts';
import { type Answer, type Context, discard, list, redrive, show, watchLetters } from './dlq/commands.ts';
import { Inboxes } from './dlq/inboxes.ts';
import { type Whereabouts, whereabouts } from './dlq/whereabouts.ts';
import { type Command, UsageError } from './load/command-line.ts';
import { runTool } from './load/tool.ts';

type Located = DlqOptions & { readonly where: Whereabouts };

function parse(): Command<Located> {
  const command = parseDlq(process.argv.slice(2));
  if (command === 'help') return command;
  try {
    const { options } = command;
    const where = whereabouts(options.dataDir, process.env);
    // A payload goes out byte for byte, and nothing behind it; watch prints as it goes.
    const quiet = options.command === 'watch' || (options.command === 'show' && options.raw);
    return { options: { ...options, where }, json: command.json && !quiet };
  } catch (error) {
    throw error instanceof ConfigurationError ? new UsageError(error.message) : error;
  }
}

async function run(options: Located, signal: AbortSignal, print: (text: string) => void): Promise<Answer> {
  const { log: named, databaseUrls } = options.where;
  const logger = createLogger({ service: 'dlq', level: 'silent' });
  await using log = await openLog({ ...named, logger }).catch((error: unknown) => {
    throw new Error(
      `${maskText(reasonOf(error))}\nEVENT_LOG_URL (now ${maskText(named.url)}) says where the event log is`,
      {
        cause: error,
      },
    );
  });
  await using inboxes = new Inboxes(databaseUrls);
  const note = (text: string) => void process.stderr.write(`${text}\n`);
  const context: Context = { log, inboxes, signal, print, note };
  switch (options.command) {
    case 'list':
      return await list(options, context);
    case 'show':
      return await show(options, context);
    case 'redrive':
      return await redrive(options, context);
    case 'discard':
      return await discard(options, context);
    case 'watch':
      return await watchLetters(options, context);
  }
}

await runTool({ usage, parse, run });
