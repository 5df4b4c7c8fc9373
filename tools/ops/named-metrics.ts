import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { dashboardsIn, expressionsOf } from './dashboards.ts';

/** A name of a metric, and where it stands. */
export interface Named {
  readonly name: string;
  readonly where: string;
  /** Labels that are asked for, in braces behind it. */
  readonly labels: readonly string[];
}

interface RuleFile {
  readonly groups: readonly {
    readonly rules: readonly { readonly record?: string; readonly alert?: string; readonly expr: string }[];
  }[];
}

/** Ours, and what Node and prom-client tell of a process. A colon means a record of ours. */
const NAME = /(?<![\w:.])((?:tradewind|rpc_server|nodejs|process)_[a-z0-9_]+)(?![\w:]*:)(?:\{([^}]*)\})?/g;

function namesIn(text: string, where: string): Named[] {
  return [...text.matchAll(NAME)].map(([, name = '', selector = '']) => ({
    name,
    where,
    labels: [...selector.matchAll(/(\w+)\s*(?:=~|!~|!=|=)\s*"/g)].map(([, label = '']) => label),
  }));
}

export function rulesIn(root: string) {
  return globSync('ops/prometheus/{records,alerts}.yml', { cwd: root }).flatMap((path) =>
    (parse(readFileSync(join(root, path), 'utf8')) as RuleFile).groups.flatMap(({ rules }) => rules),
  );
}

/** The metrics that rules, dashboards and the page about metrics name. */
export function namedMetrics(root: string): Named[] {
  const rules = rulesIn(root);
  const page = readFileSync(join(root, 'docs/metrics.md'), 'utf8');
  return [
    ...rules.flatMap(({ record, alert, expr }) => namesIn(expr, `the rule ${record ?? alert}`)),
    ...[...dashboardsIn(root)].flatMap(([path, dashboard]) =>
      expressionsOf(dashboard).flatMap((expr) => namesIn(expr, path)),
    ),
    ...namesIn(page, 'docs/metrics.md'),
  ];
}

/** Records that rules and dashboards ask for and no rule makes. */
export function missingRecords(root: string): string[] {
  const rules = rulesIn(root);
  const made = new Set(rules.flatMap(({ record }) => record ?? []));
  const asked = [
    ...rules.map(({ expr }) => expr),
    ...[...dashboardsIn(root).values()].flatMap(expressionsOf),
  ];
  const records = asked.flatMap((expr) => expr.match(/\b[a-z_]+:[a-z_]+:[a-z0-9_]+\b/g) ?? []);
  return [...new Set(records)].filter((record) => !made.has(record));
}
