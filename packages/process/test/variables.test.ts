import { describe, expect, test } from 'vitest';
import { lookUp, misspelt, openTelemetryVariables, withoutPrefix, withSettings } from '../variables.ts';

test('a setting is looked up under both names, the one with the prefix first', () => {
  expect(lookUp({ APP_PORT: '1', PORT: '2' }, 'PORT')).toEqual({ variable: 'APP_PORT', value: '1' });
  expect(lookUp({ APP_PORT: ' ', PORT: ' 2 ' }, 'PORT')).toEqual({ variable: 'PORT', value: '2' });
  expect(lookUp({ APP_PORT: '' }, 'PORT')).toBeUndefined();
  expect(withoutPrefix('APP_PORT')).toBe('PORT');
  expect(withoutPrefix('PORT')).toBe('PORT');
});

test('whoever sets the environment of another process is not undermined by what that inherits', () => {
  const inherited = {
    PATH: '/bin',
    APP_PORT: '1',
    PORT: '2',
    APP_HOST: 'x',
    APP_ENV: 'test',
    TLS_KEY: 'k',
    APP_TLS_KEY: 'k',
  };
  expect(withSettings(inherited, { PORT: '3', HOST: 'y', TLS_KEY: undefined })).toEqual({
    PATH: '/bin',
    APP_ENV: 'test',
    PORT: '3',
    HOST: 'y',
  });
  expect(inherited.APP_PORT).toBe('1');
});

test('OpenTelemetry finds its variables, from wherever they were given', () => {
  const env = {
    APP_OTEL_EXPORTER_OTLP_HEADERS: 'api-key=1',
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=2',
    APP_OTEL_RESOURCE_ATTRIBUTES: '',
    OTEL_RESOURCE_ATTRIBUTES: 'a=b',
    APP_PORT: '1',
  };
  const values = {
    OTEL_EXPORTER_OTLP_TIMEOUT: 500,
    OTEL_SDK_DISABLED: false,
    OTEL_TRACES_EXPORTER: undefined,
    PORT: 1,
  };
  expect({ ...env, ...openTelemetryVariables(env, values) }).toEqual({
    ...env,
    OTEL_EXPORTER_OTLP_HEADERS: 'api-key=1',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
    OTEL_SDK_DISABLED: 'false',
  });
});

describe('a variable that is misspelt', () => {
  const names = ['PORT', 'HOST', 'DATABASE_URL', 'LOG_LEVEL', 'RELAY'];
  test.each([
    ['APP_PROT', 'PORT'],
    ['APP_POR', 'PORT'],
    ['APP_PORTS', 'PORT'],
    ['APP_DATABSE_URL', 'DATABASE_URL'],
    ['APP_DATABASEURL', 'DATABASE_URL'],
    ['APP_LOGLEVEL', 'LOG_LEVEL'],
  ])('%s is told, with what was meant', (variable, meant) => {
    expect(misspelt({ [variable]: 'x' }, names)).toEqual([`${variable} is not a setting; APP_${meant} is`]);
  });

  test.each([
    'APP_ENV',
    'APP_PORT',
    'APP_PORT_80_TCP',
    'APP_SERVICE_HOST',
    'APP_NAME',
    'APP_',
    'PROT',
    'APP_ORDER_PORT',
  ])('%s is left alone', (variable) => {
    expect(misspelt({ [variable]: 'x' }, names)).toEqual([]);
  });
});
