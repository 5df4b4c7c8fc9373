import { faultsUsage, parseFaults } from './faults/command-line.ts';
import { runFaults } from './faults/run.ts';
import { runTool } from './load/tool.ts';

await runTool({
  usage: faultsUsage,
  parse: () => parseFaults(process.argv.slice(2)),
  async run(options, signal, print) {
    const report = await runFaults(options, { say: print, signal });
    return { ok: report.ok, json: report };
  },
});

// Whatever a client of the ill-treated services left open must not keep a run from its end.
process.exit();
