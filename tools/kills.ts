import { killsUsage, parseKills } from './kills/command-line.ts';
import { runKills } from './kills/run.ts';
import { runTool } from './load/tool.ts';

await runTool({
  usage: killsUsage,
  parse: () => parseKills(process.argv.slice(2)),
  async run(options, signal, print) {
    const report = await runKills(options, { say: print, signal });
    const victims = new Set(report.rounds.map(({ strike }) => strike.victim));
    print(
      `${report.kills} kills of ${victims.size} kinds of victims hit open orders or ratings: ${report.ok ? 'all is as it must be' : 'NOT as it must be'}`,
    );
    return { ok: report.ok, json: report };
  },
});
