import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { given, type Variables } from './variables.ts';

/**
 * The path of the configuration's file, if there is one: `--config`, else CONFIG_FILE. npm runs a service's scripts in the service's folder; a
 * path that leads nowhere from there is meant from where the person is.
 */
export function configurationFile(option: string | undefined, env: Variables): string | undefined {
  const path = option ?? given(env, 'CONFIG_FILE');
  if (path === undefined || existsSync(path) || !env.INIT_CWD) return path;
  const typed = resolve(env.INIT_CWD, path);
  return existsSync(typed) ? typed : path;
}
