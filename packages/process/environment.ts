import { readFileSync } from 'node:fs';
import { maskUrl } from '@tradewind/telemetry/logger';
import { parse as parseYaml } from 'yaml';
import type { Setting } from './settings.ts';

/** Where configuration comes from. */
export interface Sources {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A YAML or JSON file whose keys are the settings' names; the environment wins over it. */
  readonly file?: string;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type Values<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** One thing that is wrong with the configuration. */
export interface Mistake {
  readonly name: string;
  readonly problem: string;
}

/** Everything that is wrong with the configuration, at once. */
export class ConfigurationError extends Error {
  readonly mistakes: readonly Mistake[];

  constructor(mistakes: readonly Mistake[]) {
    super(
      `the configuration is wrong:\n${mistakes.map(({ name, problem }) => `  ${name} ${problem}`).join('\n')}`,
    );
    this.name = 'ConfigurationError';
    this.mistakes = mistakes;
  }
}

/** What may hold a password is masked; so is what looks like a URL with one, whatever setting it was given to. */
function shown({ secret }: Setting<unknown>, given: string): string {
  return secret || given.includes('@') ? maskUrl(given) : given;
}

/**
 * Reads every setting once. An empty variable counts as not given; variables that nobody declared are ignored, keys of the file are not.
 * @throws ConfigurationError that lists all mistakes, each with its name, the rule and the value (secrets masked)
 */
export function readEnvironment<S extends Settings>(settings: S, sources: Sources): Values<S> {
  const mistakes: Mistake[] = [];
  const fromFile = readFile(settings, sources.file, mistakes);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const given = sources.env[name]?.trim() || fromFile.get(name);
    if (given === undefined) {
      if (setting.fallback) values[name] = setting.fallback.value;
      else mistakes.push({ name, problem: `is missing; it must be ${setting.rule}` });
      continue;
    }
    values[name] = setting.parse(given);
    if (values[name] === undefined) {
      mistakes.push({
        name,
        problem: `must be ${setting.rule}, not ${JSON.stringify(shown(setting, given))}`,
      });
    }
  }
  if (mistakes.length > 0) throw new ConfigurationError(mistakes);
  return values as Values<S>;
}

/** The texts that the file gives, by name. What is wrong with it goes to `mistakes`. */
function readFile(settings: Settings, file: string | undefined, mistakes: Mistake[]): Map<string, string> {
  const texts = new Map<string, string>();
  if (file === undefined) return texts;
  let content: unknown;
  try {
    // JSON is YAML.
    content = parseYaml(readFileSync(file, 'utf8')) ?? {};
  } catch (error) {
    mistakes.push({
      name: file,
      problem: `can't be read: ${error instanceof Error ? error.message : String(error)}`,
    });
    return texts;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    mistakes.push({ name: file, problem: 'must hold settings by name, such as "PORT: 3000"' });
    return texts;
  }
  for (const [name, value] of Object.entries(content)) {
    const setting = Object.hasOwn(settings, name) ? settings[name] : undefined;
    if (!setting) mistakes.push({ name, problem: `is not a setting (in ${file})` });
    else if (setting.secret)
      mistakes.push({
        name,
        problem: `is a secret and is taken from the environment only (found in ${file})`,
      });
    else if (typeof value === 'object' && !Array.isArray(value))
      mistakes.push({ name, problem: `must be a single value (in ${file})` });
    else texts.set(name, Array.isArray(value) ? value.join(',') : String(value));
  }
  return texts;
}
