import { homedir } from 'node:os';
import { join, resolve } from 'node:path';

/** The folder for what is downloaded or built once and kept outside of the checkout. */
export function cacheFolder(env: NodeJS.ProcessEnv = process.env): string {
  return resolve(env.TRADEWIND_CACHE || join(homedir(), '.cache', 'tradewind'));
}
