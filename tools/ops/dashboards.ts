import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly datasource?: { readonly uid: string };
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly {
    readonly refId: string;
    readonly expr: string;
    readonly datasource: { uid: string };
  }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string }[] };
}

interface Provisioning {
  readonly sources: ReadonlySet<string>;
  /** Folders in Grafana's container in which it looks for dashboards. */
  readonly folders: readonly string[];
}

export function dashboardsIn(root: string): ReadonlyMap<string, Dashboard> {
  const files = globSync('ops/grafana/dashboards/*.json', { cwd: root });
  return new Map(
    files.map((path) => [path, JSON.parse(readFileSync(join(root, path), 'utf8')) as Dashboard]),
  );
}

/** PromQL of a dashboard as Prometheus gets it, with something in the place of Grafana's variables. */
export function expressionsOf({ panels, annotations }: Dashboard): string[] {
  const all = [...panels.flatMap(({ targets = [] }) => targets), ...annotations.list];
  return all.map(({ expr }) => expr.replaceAll('$__rate_interval', '1m').replaceAll('$service', '.*'));
}

/** What is wrong with the dashboards and with how Grafana comes to them, a line each. */
export function dashboardFaults(root: string, dashboards = dashboardsIn(root)): string[] {
  const provisioned = provisioningIn(root);
  const compose = readFileSync(join(root, 'docker-compose.yml'), 'utf8');
  const mounted = provisioned.folders.filter((folder) =>
    compose.includes(`./ops/grafana/dashboards:${folder}:ro`),
  );
  return [
    ...(dashboards.size > 0 ? [] : ['there is no dashboard']),
    ...(mounted.length > 0
      ? []
      : ['no provider looks where docker-compose.yml mounts ops/grafana/dashboards']),
    ...[...dashboards].flatMap(([path, dashboard]) =>
      faultsOf(dashboard, provisioned).map((fault) => `${path}: ${fault}`),
    ),
  ];
}

function provisioningIn(root: string): Provisioning {
  const read = (path: string) =>
    parse(readFileSync(join(root, 'ops/grafana/provisioning', path), 'utf8')) as unknown;
  const { datasources } = read('datasources/datasources.yml') as { datasources: { uid?: string }[] };
  const { providers } = read('dashboards/dashboards.yml') as { providers: { options: { path: string } }[] };
  return {
    sources: new Set(datasources.flatMap(({ uid }) => uid ?? [])),
    folders: providers.map(({ options }) => options.path),
  };
}

function faultsOf(dashboard: Dashboard, { sources }: Provisioning): string[] {
  const { uid, title, panels, templating } = dashboard;
  const variables = new Set(templating.list.map(({ name }) => name));
  return [
    ...(uid && title ? [] : ['it needs a uid and a title']),
    ...twice(panels.map(({ id }) => id)).map((id) => `two panels have the id ${id}`),
    ...panels.flatMap((panel) =>
      panelFaults(panel, sources, variables).map((fault) => `"${panel.title}": ${fault}`),
    ),
    ...overlaps(panels),
  ];
}

function panelFaults(
  { type, title, targets = [], gridPos: { x, w, h }, datasource }: Panel,
  sources: ReadonlySet<string>,
  variables: ReadonlySet<string>,
): string[] {
  const asked = targets.map(({ datasource: { uid } }) => uid);
  const used = [...asked, ...(datasource ? [datasource.uid] : [])];
  const unknown = targets.flatMap(({ expr }) =>
    [...expr.matchAll(/\$(?!__)(\w+)/g)].map(([, name = '']) => name).filter((name) => !variables.has(name)),
  );
  return [
    ...(title ? [] : ['it has no title']),
    ...(type === 'row' || targets.length > 0 ? [] : ['it asks for nothing']),
    ...(w > 0 && h > 0 && x >= 0 && x + w <= 24 ? [] : ['it does not fit the 24 columns']),
    ...twice(targets.map(({ refId }) => refId)).map((refId) => `two targets are ${refId}`),
    ...used.filter((uid) => !sources.has(uid)).map((uid) => `nobody provisions the source ${uid}`),
    ...unknown.map((name) => `there is no variable ${name}`),
  ];
}

function overlaps(panels: readonly Panel[]): string[] {
  return panels.flatMap((a, n) =>
    panels
      .slice(n + 1)
      .filter(({ gridPos: b }) => {
        const { x, y, w, h } = a.gridPos;
        return x < b.x + b.w && b.x < x + w && y < b.y + b.h && b.y < y + h;
      })
      .map((b) => `"${a.title}" and "${b.title}" lie on each other`),
  );
}

function twice<T>(values: readonly T[]): T[] {
  return values.filter((value, n) => values.indexOf(value) !== n);
}
