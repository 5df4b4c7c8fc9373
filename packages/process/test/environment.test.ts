import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  ConfigurationError,
  type Mistake,
  readEnvironment,
  type Settings,
  type Sources,
} from '../environment.ts';
import {
  duration,
  flag,
  integer,
  list,
  oneOf,
  optional,
  port,
  postgresUrl,
  serviceSettings,
  text,
  url,
} from '../settings.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tradewind-environment-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content);
  return path;
}

function mistakesOf(settings: Settings, sources: Sources): readonly Mistake[] {
  try {
    readEnvironment(settings, sources);
  } catch (error) {
    if (error instanceof ConfigurationError) return error.mistakes;
    throw error;
  }
  return [];
}

const settings = {
  PORT: port(3000),
  HOST: text('127.0.0.1'),
  DATABASE_URL: postgresUrl(),
  SHUTDOWN: duration('10s'),
  LEVEL: oneOf(['info', 'debug'], 'info'),
  ATTEMPTS: integer({ min: 1, max: 10, fallback: 5 }),
  VERBOSE: flag(false),
  BROKERS: list(text(), []),
  PUBLIC_URL: optional(url({ protocols: ['https'] })),
};
const DATABASE_URL = 'postgres://me:s3cret@db/order';

test('defaults stand where nothing is given, and an empty variable is nothing', () => {
  expect(readEnvironment(settings, { env: { DATABASE_URL, PORT: '', UNRELATED: 'x' } })).toEqual({
    PORT: 3000,
    HOST: '127.0.0.1',
    DATABASE_URL,
    SHUTDOWN: 10_000,
    LEVEL: 'info',
    ATTEMPTS: 5,
    VERBOSE: false,
    BROKERS: [],
    PUBLIC_URL: undefined,
  });
});

test('values are typed', () => {
  const env = {
    DATABASE_URL,
    PORT: '0',
    SHUTDOWN: '1.5m',
    VERBOSE: 'On',
    BROKERS: 'a:1, b:2',
    PUBLIC_URL: 'https://x.example',
  };
  const values = readEnvironment(settings, { env });
  expect(values).toMatchObject({
    PORT: 0,
    SHUTDOWN: 90_000,
    VERBOSE: true,
    BROKERS: ['a:1', 'b:2'],
    PUBLIC_URL: 'https://x.example',
  });
  const port: number = values.PORT;
  expect(port).toBe(0);
});

test('all mistakes come at once, each with its name, the rule and the value', () => {
  const env = {
    PORT: '70000',
    SHUTDOWN: 'soon',
    LEVEL: 'loud',
    ATTEMPTS: '11',
    VERBOSE: 'maybe',
    PUBLIC_URL: 'http://x',
  };
  expect(mistakesOf(settings, { env })).toEqual([
    { name: 'PORT', problem: 'must be a port, 0 to 65535, not "70000"' },
    {
      name: 'DATABASE_URL',
      problem: 'is missing; it must be a URL that begins with postgres:// or postgresql://',
    },
    { name: 'SHUTDOWN', problem: 'must be a duration such as 250ms, 10s, 5m or 24h, not "soon"' },
    { name: 'LEVEL', problem: 'must be one of info, debug, not "loud"' },
    { name: 'ATTEMPTS', problem: 'must be a whole number from 1 to 10, not "11"' },
    { name: 'VERBOSE', problem: 'must be true or false, not "maybe"' },
    { name: 'PUBLIC_URL', problem: 'must be a URL that begins with https://, not "http://x"' },
  ]);
});

test('a wrong secret is never shown', () => {
  for (const wrong of ['mysql://me:s3cret@db/order', 'me:s3cret@db', 'postgres://me:s3cret@db:port/x']) {
    const message = mistakesOf(settings, { env: { DATABASE_URL: wrong } })
      .map(({ problem }) => problem)
      .join();
    expect(message).toContain('must be a URL');
    expect(message).not.toContain('s3cret');
  }
});

describe('the prefix APP_', () => {
  test('counts for every setting, secrets too, and wins over the name alone, which wins over the file', async () => {
    const path = await file('prefix.yaml', 'PORT: 4000\nATTEMPTS: 3\nLEVEL: debug\n');
    const env = {
      APP_DATABASE_URL: DATABASE_URL,
      DATABASE_URL: 'postgres://other/place',
      APP_PORT: ' 6000 ',
      PORT: '5000',
      ATTEMPTS: '4',
      APP_BROKERS: 'a,b',
    };
    expect(readEnvironment(settings, { env, file: path })).toMatchObject({
      DATABASE_URL,
      PORT: 6000,
      ATTEMPTS: 4,
      LEVEL: 'debug',
      BROKERS: ['a', 'b'],
      HOST: '127.0.0.1',
    });
  });

  test('gives nothing where it is empty', () => {
    expect(readEnvironment(settings, { env: { DATABASE_URL, APP_PORT: ' ', PORT: '5000' } }).PORT).toBe(5000);
  });

  test('is in the name of what is wrong, if that was given', async () => {
    const env = {
      APP_PORT: 'tcp://10.96.0.1:80',
      PORT: '3000',
      LEVEL: 'loud',
      APP_DATABASE_URL: 'x:s3cret@y',
    };
    const path = await file('wrong.yaml', 'ATTEMPTS: 11\n');
    const mistakes = mistakesOf(settings, { env, file: path });
    expect(mistakes).toEqual([
      { name: 'APP_PORT', problem: 'must be a port, 0 to 65535, not "tcp://10.96.0.1:80"' },
      { name: 'APP_DATABASE_URL', problem: expect.stringContaining('must be a URL') },
      { name: 'LEVEL', problem: 'must be one of info, debug, not "loud"' },
      { name: 'ATTEMPTS', problem: `must be a whole number from 1 to 10, not "11" (in ${path})` },
    ]);
    expect(JSON.stringify(mistakes)).not.toContain('s3cret');
  });

  test('is not for files', async () => {
    const path = await file('prefixed.yaml', 'APP_PORT: 1\nAPP_PROT: 1\n');
    expect(mistakesOf(settings, { env: { DATABASE_URL }, file: path })).toEqual([
      { name: 'APP_PORT', problem: `is not a setting; without the prefix, PORT is (in ${path})` },
      { name: 'APP_PROT', problem: `is not a setting (in ${path})` },
    ]);
  });
});

describe('the file', () => {
  test('gives values in YAML and in JSON; the environment wins', async () => {
    const yaml = await file('a.yaml', 'PORT: 4000\nSHUTDOWN: 3s\nVERBOSE: true\nBROKERS: [a, b]\n');
    const json = await file(
      'a.json',
      JSON.stringify({ PORT: 4000, SHUTDOWN: '3s', VERBOSE: true, BROKERS: 'a,b' }),
    );
    for (const path of [yaml, json]) {
      const values = readEnvironment(settings, { env: { DATABASE_URL, PORT: '5000' }, file: path });
      expect(values).toMatchObject({ PORT: 5000, SHUTDOWN: 3_000, VERBOSE: true, BROKERS: ['a', 'b'] });
    }
  });

  test('is wrong with unknown keys, with secrets, and with nested values, together with all else', async () => {
    const path = await file(
      'b.yaml',
      `PROT: 4000\nDATABASE_URL: ${DATABASE_URL}\nHOST: { a: 1 }\nPORT: x\n__proto__: 1\n`,
    );
    const mistakes = mistakesOf(settings, { env: {}, file: path });
    expect(mistakes.map(({ name }) => name).sort()).toEqual([
      'DATABASE_URL',
      'DATABASE_URL',
      'HOST',
      'PORT',
      'PROT',
      '__proto__',
    ]);
    expect(JSON.stringify(mistakes)).not.toContain('s3cret');
  });

  test('is wrong with what is nested, and says how', async () => {
    const path = await file('nested.yaml', 'PORT:\n  http: 4000\nBROKERS: [[a], b]\nHOST: [{ a: 1 }]\n');
    expect(mistakesOf(settings, { env: { DATABASE_URL }, file: path })).toEqual(
      ['PORT', 'BROKERS', 'HOST'].map((name) => ({
        name,
        problem: `must be a single value or a list (in ${path})`,
      })),
    );
  });

  test('is taken by the letter, and gives nothing where it is empty', async () => {
    const path = await file(
      'letter.yaml',
      'HOST: 007\nPORT:\nLEVEL: ~\nSHUTDOWN: null\nATTEMPTS: ""\nBROKERS: []\n',
    );
    expect(readEnvironment(settings, { env: { DATABASE_URL }, file: path })).toMatchObject({
      HOST: '007',
      PORT: 3000,
      LEVEL: 'info',
      SHUTDOWN: 10_000,
      ATTEMPTS: 5,
      BROKERS: [],
    });
  });

  test('is never quoted, for it may hold what it must not', async () => {
    const path = await file('quoted.yaml', 'KAFKA_PASSWORD: s3cret: x\n');
    const [mistake] = mistakesOf(settings, { env: { DATABASE_URL }, file: path });
    expect(mistake?.problem).toMatch(/^can't be read: .* at line 1, column \d+$/);
    expect(mistake?.problem).not.toContain('s3cret');
  });

  test.each([
    ['that is not there', undefined, "can't be read"],
    ['that is no YAML', 'a: [1', "can't be read"],
    ['that is a list', '- 1', 'must hold settings by name'],
  ])('%s is a mistake like any other', async (_, content, problem) => {
    const path = content === undefined ? join(folder, 'missing.yaml') : await file('c.yaml', content);
    expect(mistakesOf(settings, { env: { DATABASE_URL }, file: path })).toEqual([
      { name: path, problem: expect.stringContaining(problem) },
    ]);
  });

  test('may be empty', async () => {
    expect(readEnvironment(settings, { env: { DATABASE_URL }, file: await file('d.yaml', '') }).PORT).toBe(
      3000,
    );
  });
});

test('a required list item must follow the rule of its kind', () => {
  expect(mistakesOf({ PORTS: list(port()) }, { env: { PORTS: '1,x' } })).toHaveLength(1);
});

test("every service's settings need two addresses and nothing else", () => {
  expect(mistakesOf(serviceSettings, { env: {} }).map(({ name }) => name)).toEqual([
    'DATABASE_URL',
    'EVENT_LOG_URL',
  ]);
});
