import { parseArgs } from 'node:util';

export type Role = 'serve' | 'listen';
/** What becomes of a schema. A reset takes every step back and applies all again. */
export type Migration =
  | { readonly action: 'up' | 'down' | 'status' }
  /** Without `yes` it is only said what would be lost. */
  | { readonly action: 'reset'; readonly yes: boolean };

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'run'; readonly roles: ReadonlySet<Role>; readonly file?: string }
  | { readonly kind: 'migrate'; readonly migration: Migration; readonly file?: string }
  | { readonly kind: 'new step'; readonly name: string }
  | { readonly kind: 'rebuild'; readonly file?: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly problem: string };

/** Which commands a service has. */
export interface Offered {
  readonly roles: readonly Role[];
  readonly rebuild: boolean;
  readonly migrate: boolean;
}

/** Reads a service's command line, without the program's own name. */
export function parseCommand(argv: readonly string[], offered: Offered): Request {
  const wrong = (problem: string): Request => ({ kind: 'wrong', problem });
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(argv);
  } catch (error) {
    return wrong(error instanceof Error ? error.message : String(error));
  }
  const { values, positionals } = parsed;
  const file = values.config === undefined ? {} : { file: values.config };
  const [command, ...rest] = positionals;
  if (values.help || command === 'help') return { kind: 'help' };
  if (values.yes && !(command === 'migrate' && rest[0] === 'reset'))
    return wrong('--yes is for "migrate reset" alone');
  switch (command) {
    case undefined:
      return wrong('a command is missing');
    case 'migrate':
      return offered.migrate ? migrateRequest(rest, values) : wrong('there is no schema to migrate here');
    case 'rebuild':
      if (!offered.rebuild) return wrong('there is no read model to rebuild here');
      return rest.length > 0
        ? wrong(`rebuild does not know "${rest.join(' ')}"`)
        : { kind: 'rebuild', ...file };
    default: {
      const stranger = positionals.find((word) => !offered.roles.some((role) => role === word));
      if (stranger !== undefined) return wrong(`there is no command "${stranger}"`);
      return {
        kind: 'run',
        roles: new Set(offered.roles.filter((role) => positionals.includes(role))),
        ...file,
      };
    }
  }
}

function migrateRequest(
  [action = 'up', ...more]: readonly string[],
  { config, yes = false }: ReturnType<typeof parse>['values'],
): Request {
  const wrong = (problem: string): Request => ({ kind: 'wrong', problem });
  if (action === 'new') {
    const [name, ...extra] = more;
    if (name === undefined) return wrong('migrate new needs a name: "migrate new shipping-address"');
    if (extra.length > 0) return wrong(`migrate new takes one name; "${more.join('-')}" is one`);
    // It writes a file of the source code, whatever the service's settings are.
    return config === undefined ? { kind: 'new step', name } : wrong('migrate new reads no configuration');
  }
  const migration = more.length > 0 ? undefined : migrationOf(action, yes);
  if (!migration) return wrong(`migrate does not know "${[action, ...more].join(' ')}"`);
  return { kind: 'migrate', migration, ...(config === undefined ? {} : { file: config }) };
}

function migrationOf(action: string, yes: boolean): Migration | undefined {
  switch (action) {
    case 'up':
    case 'down':
    case 'status':
      return { action };
    case 'reset':
      return { action, yes };
  }
  return undefined;
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: {
      config: { type: 'string' },
      yes: { type: 'boolean' },
      help: { type: 'boolean', short: 'h' },
    },
  });
}

/** What a person sees who asked for help or for something that is not there. */
export function usage(name: string, { roles, rebuild, migrate }: Offered): string {
  const lines = [
    roles.includes('serve') && '  serve           answers requests',
    roles.includes('listen') && '  listen          consumes topics',
    roles.length > 1 && `  ${roles.join(' ')}    both in one process`,
    migrate && '  migrate [up]    applies the missing schema steps',
    migrate && '  migrate down    takes the newest step back',
    migrate && '  migrate status  shows the steps that are applied and those that are missing',
    migrate &&
      '  migrate reset   takes every step back and applies all again: an empty database; destroys all data, so it asks for --yes',
    migrate && '  migrate new NAME',
    migrate &&
      '                  writes the file of a new step into migrations/; reads no configuration and needs no database',
    rebuild && '  rebuild         makes the read model again from the event log',
    '',
    'Options:',
    '  --config FILE  settings from a YAML or JSON file (or CONFIG_FILE); the environment wins over it: APP_PORT, else PORT, else the file',
    migrate && '  --yes          of migrate reset: do it',
    '  --help         this text',
    migrate && '',
    migrate && 'An option needs "--" before it when npm runs the command: npm run migrate -- reset --yes',
  ];
  return [`Commands of ${name}:`, ...lines.filter((line) => line !== false), ''].join('\n');
}
