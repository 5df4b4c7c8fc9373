import { expect, test } from 'vitest';
import { parseCommand, usage } from '../arguments.ts';

const both = { roles: ['serve', 'listen'], rebuild: true, migrate: true } as const;

test.each([
  [['serve'], { kind: 'run', roles: new Set(['serve']) }],
  [['listen', 'serve'], { kind: 'run', roles: new Set(['serve', 'listen']) }],
  [['serve', '--config', 'a.yaml'], { kind: 'run', roles: new Set(['serve']), file: 'a.yaml' }],
  [['migrate'], { kind: 'migrate', migration: { action: 'up' } }],
  [['migrate', 'down'], { kind: 'migrate', migration: { action: 'down' } }],
  [
    ['--config=a.json', 'migrate', 'status'],
    { kind: 'migrate', migration: { action: 'status' }, file: 'a.json' },
  ],
  [['migrate', 'reset'], { kind: 'migrate', migration: { action: 'reset', yes: false } }],
  [
    ['migrate', 'reset', '--yes', '--config', 'a.yaml'],
    { kind: 'migrate', migration: { action: 'reset', yes: true }, file: 'a.yaml' },
  ],
  [['migrate', 'new', 'shipping-address'], { kind: 'new step', name: 'shipping-address' }],
  [['rebuild'], { kind: 'rebuild' }],
  [['rebuild', '--config', 'a.yaml'], { kind: 'rebuild', file: 'a.yaml' }],
  [['help'], { kind: 'help' }],
  [['serve', '-h'], { kind: 'help' }],
])('%j is understood', (argv, request) => {
  expect(parseCommand(argv, both)).toEqual(request);
});

test.each([
  [[], 'a command is missing'],
  [['dance'], 'there is no command "dance"'],
  [['serve', 'dance'], 'there is no command "dance"'],
  [['serve', 'migrate'], 'there is no command "migrate"'],
  [['migrate', 'sideways'], 'migrate does not know "sideways"'],
  [['migrate', 'up', 'down'], 'migrate does not know "up down"'],
  [['migrate', 'reset', 'now', '--yes'], 'migrate does not know "reset now"'],
  [['migrate', 'new'], 'migrate new needs a name'],
  [['migrate', 'new', 'Shipping', 'address'], 'migrate new takes one name; "Shipping-address" is one'],
  [['migrate', 'new', 'x', '--config', 'a.yaml'], 'migrate new reads no configuration'],
  [['migrate', '--yes'], '--yes is for "migrate reset" alone'],
  [['serve', '--yes'], '--yes is for "migrate reset" alone'],
  [['migrate', 'new', 'x', '--yes'], '--yes is for "migrate reset" alone'],
  [['rebuild', 'now'], 'rebuild does not know "now"'],
  [['serve', '--fast'], "Unknown option '--fast'"],
  [['serve', '--config'], "Option '--config <value>' argument missing"],
])('%j is wrong', (argv, problem) => {
  expect(parseCommand(argv, both)).toEqual({ kind: 'wrong', problem: expect.stringContaining(problem) });
});

test('a service has only the commands that it offers', () => {
  const offered = { roles: ['serve'], rebuild: false, migrate: false } as const;
  expect(parseCommand(['listen'], offered)).toMatchObject({ kind: 'wrong' });
  expect(parseCommand(['rebuild'], offered)).toMatchObject({ kind: 'wrong' });
  expect(parseCommand(['migrate'], offered)).toMatchObject({ kind: 'wrong' });
  expect(usage('x', offered)).not.toMatch(/listen|rebuild|migrate (down|new)/);
  expect(usage('x', both)).toMatch(/serve listen[\s\S]*rebuild/);
  for (const action of ['[up]', 'down', 'status', 'reset', 'new NAME'])
    expect(usage('x', both)).toContain(`  migrate ${action} `.trimEnd());
});
