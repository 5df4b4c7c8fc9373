import { type AuditOptions, audit } from './load/audit.ts';
import { auditUsage, type Command, parseAudit } from './load/command-line.ts';
import { createProgress } from './load/progress.ts';
import { formatAudit } from './load/report.ts';
import { runTool } from './load/tool.ts';

await runTool({
  usage: auditUsage,
  parse: (): Command<AuditOptions> => parseAudit(process.argv.slice(2), process.env),
  async run(options, signal, print) {
    const progress = createProgress(process.stderr);
    try {
      const report = await audit({
        ...options,
        signal,
        onProgress: (text, pending) => progress.show(pending ? `${text} (${pending})` : text, 0, 0),
      });
      progress.clear();
      print(formatAudit(report));
      return { ok: report.ok, json: report };
    } finally {
      progress.clear();
    }
  },
});
