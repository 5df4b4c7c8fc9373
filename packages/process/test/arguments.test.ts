import { expect, test } from 'vitest';
import { parseCommand, usage } from '../arguments.ts';

const both = { roles: ['serve', 'listen'], rebuild: true } as const;

test.each([
  [['serve'], { kind: 'run', roles: new Set(['serve']) }],
  [['listen', 'serve'], { kind: 'run', roles: new Set(['serve', 'listen']) }],
  [['serve', '--config', 'a.yaml'], { kind: 'run', roles: new Set(['serve']), file: 'a.yaml' }],
  [['migrate'], { kind: 'migrate', direction: 'up' }],
  [['migrate', 'down'], { kind: 'migrate', direction: 'down' }],
  [['--config=a.json', 'migrate', 'status'], { kind: 'migrate', direction: 'status', file: 'a.json' }],
  [['rebuild'], { kind: 'rebuild' }],
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
  [['rebuild', 'now'], 'rebuild does not know "now"'],
  [['serve', '--fast'], "Unknown option '--fast'"],
  [['serve', '--config'], "Option '--config <value>' argument missing"],
])('%j is wrong', (argv, problem) => {
  expect(parseCommand(argv, both)).toEqual({ kind: 'wrong', problem: expect.stringContaining(problem) });
});

test('a service has only the commands that it offers', () => {
  const offered = { roles: ['serve'], rebuild: false } as const;
  expect(parseCommand(['listen'], offered)).toMatchObject({ kind: 'wrong' });
  expect(parseCommand(['rebuild'], offered)).toMatchObject({ kind: 'wrong' });
  expect(usage('x', offered)).not.toMatch(/listen|rebuild/);
  expect(usage('x', both)).toMatch(/serve listen[\s\S]*rebuild/);
});
