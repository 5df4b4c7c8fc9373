import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseCommand } from '@tradewind/process/arguments';
import { type Image, isIgnored } from './dockerfile.ts';

export interface Place {
  readonly root: string;
  readonly ignore: string;
  readonly image: Image;
}

/** Which service a command runs and as what, if it runs one. */
export interface ServiceCommand {
  readonly service: string;
  readonly roles: readonly string[];
}

/** Reads a command of our image: `node [flags] file …` or `npm run script [-w workspace]`. Says why it can't run there. */
export function readCommand(
  command: readonly string[],
  place: Place,
): { runs?: ServiceCommand; faults: string[] } {
  const said = command.join(' ');
  const [program, ...rest] = command;
  if (program === 'npm') return { faults: npmFaults(rest, place.root).map((fault) => `"${said}": ${fault}`) };
  if (program !== 'node') return { faults: [`"${said}": only node and npm are sure to be in the image`] };
  const [file = '', ...args] = rest.slice(rest.findIndex((word) => !word.startsWith('-')));
  if (!existsSync(join(place.root, file))) return { faults: [`"${said}": there is no ${file}`] };
  const held = place.image.holds.some((path) => file === path || file.startsWith(`${path}/`));
  if (!held || isIgnored(file, place.ignore))
    return { faults: [`"${said}": the image does not hold ${file}`] };
  const service = /^services\/([\w-]+)\/main\.ts$/.exec(file)?.[1];
  if (service === undefined) {
    // Whatever a service brings takes a command, as its main module does.
    const silent = file.startsWith('services/') && args.length === 0;
    return { faults: silent ? [`"${said}": it does not say what it runs as`] : [] };
  }
  const request = parseCommand(args, { roles: ['serve', 'listen'], rebuild: false, migrate: true });
  if (request.kind === 'wrong') return { faults: [`"${said}": ${request.problem}`] };
  return {
    runs: { service, roles: request.kind === 'run' ? [...request.roles] : [request.kind] },
    faults: [],
  };
}

function npmFaults(args: readonly string[], root: string): string[] {
  const [verb, script = ''] = args;
  if (verb !== 'run') return [`npm ${verb} is no script`];
  const at = args.findIndex((word) => word === '-w' || word === '--workspace');
  const workspace = at < 0 ? '.' : (args[at + 1] ?? '');
  const path = join(root, workspace, 'package.json');
  if (!existsSync(path)) return [`there is no workspace ${workspace}`];
  const { scripts = {} } = JSON.parse(readFileSync(path, 'utf8')) as { scripts?: Record<string, string> };
  return script in scripts ? [] : [`${join(workspace, 'package.json')} has no script "${script}"`];
}
