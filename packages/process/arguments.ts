import { parseArgs } from 'node:util';

export type Role = 'serve' | 'listen';
export type MigrateDirection = 'up' | 'down' | 'status';

/** What a command line asks for. */
export type Request =
  | { readonly kind: 'run'; readonly roles: ReadonlySet<Role>; readonly file?: string }
  | { readonly kind: 'migrate'; readonly direction: MigrateDirection; readonly file?: string }
  | { readonly kind: 'rebuild'; readonly file?: string }
  | { readonly kind: 'help' }
  | { readonly kind: 'wrong'; readonly problem: string };

/** Which commands a service has. */
export interface Offered {
  readonly roles: readonly Role[];
  readonly rebuild: boolean;
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
  switch (command) {
    case undefined:
      return wrong('a command is missing');
    case 'migrate': {
      const [direction = 'up', ...extra] = rest;
      if (extra.length > 0 || !isDirection(direction))
        return wrong(`migrate does not know "${rest.join(' ')}"`);
      return { kind: 'migrate', direction, ...file };
    }
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

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { config: { type: 'string' }, help: { type: 'boolean', short: 'h' } },
  });
}

function isDirection(word: string): word is MigrateDirection {
  return word === 'up' || word === 'down' || word === 'status';
}

/** What a person sees who asked for help or for something that is not there. */
export function usage(name: string, { roles, rebuild }: Offered): string {
  const lines = [
    roles.includes('serve') && '  serve                     answers requests',
    roles.includes('listen') && '  listen                    consumes topics',
    roles.length > 1 && `  ${roles.join(' ')}              both in one process`,
    '  migrate [up|down|status]  applies the missing schema steps, takes the newest back, or shows them',
    rebuild && '  rebuild                   makes the read model again from the event log',
    '',
    'Options:',
    '  --config FILE  settings from a YAML or JSON file (or CONFIG_FILE); the environment wins over it',
    '  --help         this text',
  ];
  return [`Commands of ${name}:`, ...lines.filter((line) => line !== false), ''].join('\n');
}
