import { ConfigurationError } from '@tradewind/process/environment';
import { type Whereabouts, whereabouts } from './dlq/whereabouts.ts';
import { type DoctorOptions, parseDoctor, usage } from './doctor/command-line.ts';
import { examine } from './doctor/examine.ts';
import { formatReport } from './doctor/format.ts';
import { type Command, UsageError } from './load/command-line.ts';
import { runTool } from './load/tool.ts';

type Located = DoctorOptions & { readonly where: Whereabouts };

function parse(): Command<Located> {
  const command = parseDoctor(process.argv.slice(2));
  if (command === 'help') return command;
  try {
    const { options, json } = command;
    return { options: { ...options, where: whereabouts(options.dataDir, process.env) }, json };
  } catch (error) {
    throw error instanceof ConfigurationError ? new UsageError(error.message) : error;
  }
}

await runTool({
  usage,
  parse,
  async run(options: Located, _, print) {
    const report = await examine(options.where, options);
    if (!options.json) print(formatReport(report));
    return { ok: report.healthy, json: report };
  },
});
// What was asked and does not answer is still waited for by its connection; nobody waits for that.
process.stdout.write('', () => process.exit());
