import { readFileSync } from 'node:fs';
import { maskUrl } from '@tradewind/telemetry/logger';
import { parse as parseYaml } from 'yaml';
import type { Setting } from './settings.ts';
import { lookUp, type Variables, withoutPrefix } from './variables.ts';

/** Where configuration comes from. */
export interface Sources {
  /** Each setting by its name, or by its name with the prefix `APP_`, which wins. */
  readonly env: Variables;
  /** A YAML or JSON file whose keys are the settings' names; the environment wins over it. */
  readonly file?: string;
}

export type Settings = Readonly<Record<string, Setting<unknown>>>;
export type Values<S extends Settings> = {
  readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : never;
};

/** One thing that is wrong with the configuration. */
export interface Mistake {
  /** The variable or key that was given, the setting that is missing, or the file. */
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
 * Reads every setting once: `APP_NAME`, else `NAME`, else the file, else its fallback. What is empty counts as not given; variables that nobody
 * declared are ignored, keys of the file are not.
 * @throws ConfigurationError that lists all mistakes, each with its name, the rule and the value (secrets masked)
 */
export function readEnvironment<S extends Settings>(settings: S, sources: Sources): Values<S> {
  const mistakes: Mistake[] = [];
  const fromFile = readFile(settings, sources.file, mistakes);
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(settings)) {
    const given = lookUp(sources.env, name);
    const value = given?.value ?? fromFile.get(name);
    if (value === undefined) {
      if (setting.fallback) values[name] = setting.fallback.value;
      else mistakes.push({ name, problem: `is missing; it must be ${setting.rule}` });
      continue;
    }
    values[name] = setting.parse(value);
    if (values[name] === undefined) {
      const where = given ? '' : ` (in ${sources.file})`;
      mistakes.push({
        name: given?.variable ?? name,
        problem: `must be ${setting.rule}, not ${JSON.stringify(shown(setting, value))}${where}`,
      });
    }
  }
  if (mistakes.length > 0) throw new ConfigurationError(mistakes);
  return values as Values<S>;
}

/** As YAML and JSON write it. */
const NOTHING = /^(?:~|null|Null|NULL)?$/;

/** The texts that the file gives, by name. What is wrong with it goes to `mistakes`. */
function readFile(settings: Settings, file: string | undefined, mistakes: Mistake[]): Map<string, string> {
  const texts = new Map<string, string>();
  if (file === undefined) return texts;
  let content: unknown;
  try {
    // JSON is YAML. Values stay as they are written: `007` is no number, `1.10` is not `1.1`.
    content = parseYaml(readFileSync(file, 'utf8'), { schema: 'failsafe' }) || {};
  } catch (error) {
    const [why = ''] = (error instanceof Error ? error.message : String(error)).split('\n');
    // Below it the parser quotes the file, which may hold what it must not.
    mistakes.push({ name: file, problem: `can't be read: ${why.replace(/:$/, '')}` });
    return texts;
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    mistakes.push({ name: file, problem: 'must hold settings by name, such as "PORT: 3000"' });
    return texts;
  }
  for (const [name, value] of Object.entries(content)) {
    const problem = problemOf(settings, name, value);
    if (problem !== undefined) mistakes.push({ name, problem: `${problem} (in ${file})` });
    else if (!NOTHING.test(String(value).trim())) texts.set(name, String(value).trim());
  }
  return texts;
}

/** Why a file must not have this key with this value. */
function problemOf(settings: Settings, name: string, value: unknown): string | undefined {
  const known = (name: string) => Object.hasOwn(settings, name);
  const plain = withoutPrefix(name);
  if (!known(name)) return `is not a setting${known(plain) ? `; without the prefix, ${plain} is` : ''}`;
  if (settings[name]?.secret) return 'is a secret and is taken from the environment only';
  const parts: unknown[] = Array.isArray(value) ? value : [value];
  return parts.every((part) => typeof part === 'string') ? undefined : 'must be a single value or a list';
}
