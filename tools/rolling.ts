import { runTool } from './load/tool.ts';
import { parseRolling, rollingUsage } from './rolling/command-line.ts';
import { formatRolling, runRolling } from './rolling/run.ts';

await runTool({
  usage: rollingUsage,
  parse: () => parseRolling(process.argv.slice(2)),
  async run(options, signal, print) {
    const report = await runRolling(options, { say: print, signal });
    print(formatRolling(report));
    return { ok: report.ok, json: report };
  },
});
