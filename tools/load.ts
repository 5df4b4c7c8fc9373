import { type Command, loadUsage, parseLoad } from './load/command-line.ts';
import { createProgress } from './load/progress.ts';
import { type Phase, type ReplayOptions, replay } from './load/replay.ts';
import { formatLoad } from './load/report.ts';
import { runTool } from './load/tool.ts';

const labels: Record<Phase, string> = { placing: 'accepted', settling: 'settled', auditing: 'auditing' };

await runTool({
  usage: loadUsage,
  parse: (): Command<ReplayOptions> => parseLoad(process.argv.slice(2), process.env),
  async run(options, signal, print) {
    const progress = createProgress(process.stderr);
    let run: string | undefined;
    try {
      const report = await replay({
        ...options,
        signal,
        onRun: (tag) => {
          run = tag;
        },
        onProgress: (phase, done, total) => progress.show(labels[phase], done, total),
      });
      progress.clear();
      print(formatLoad(report));
      const { expected: _, expectedRatings: __, ...json } = report;
      return { ok: report.ok, json };
    } catch (error) {
      progress.clear();
      if (signal.aborted && run !== undefined) {
        const file = options.file === undefined ? '' : ` --file ${options.file}`;
        print(`interrupted; to go on: npm run load -- --run ${run}${file}`);
      }
      throw error;
    }
  },
});
