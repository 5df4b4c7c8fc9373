export type Variables = Readonly<Record<string, string | undefined>>;

/** What may stand before the name of a setting, and wins over the name alone: `APP_PORT` over `PORT`. */
const PREFIX = 'APP_';

/** What the environment gives for a setting, and the variable that it comes from. Nothing when that is empty or not there. */
export function lookUp(env: Variables, name: string): { variable: string; value: string } | undefined {
  for (const variable of [`${PREFIX}${name}`, name]) {
    const value = env[variable]?.trim();
    if (value) return { variable, value };
  }
  return undefined;
}

/** The same without the variable. */
export function given(env: Variables, name: string): string | undefined {
  return lookUp(env, name)?.value;
}

/** The setting's own name. */
export function withoutPrefix(variable: string): string {
  return variable.startsWith(PREFIX) ? variable.slice(PREFIX.length) : variable;
}

/**
 * The environment of another process: what it inherits, and these settings whatever it inherits for them, under either name. A setting that is
 * undefined is taken away.
 */
export function withSettings(inherited: Variables, settings: Variables): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...inherited };
  for (const [name, value] of Object.entries(settings)) {
    delete env[`${PREFIX}${name}`];
    if (value === undefined) delete env[name];
    else env[name] = value;
  }
  return env;
}

/**
 * OpenTelemetry's libraries read their variables from the environment by themselves. This is what they are to find there: each `APP_OTEL_…` under
 * its own name, and what the settings say, wherever that came from.
 */
export function openTelemetryVariables(env: Variables, values: object): Record<string, string> {
  const prefixed = Object.keys(env)
    .filter((variable) => variable.startsWith(`${PREFIX}OTEL_`))
    .map((variable) => [withoutPrefix(variable), given(env, withoutPrefix(variable))] as const);
  const read = Object.entries(values).filter(([name]) => name.startsWith('OTEL_'));
  return Object.fromEntries(
    [...prefixed, ...read].flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
  );
}

/**
 * Variables that are probably meant for a setting and misspelt, each with what is to be said. Other software takes variables with this prefix
 * too, so what resembles no setting is nobody's business here.
 */
export function misspelt(env: Variables, names: readonly string[]): string[] {
  const known = new Set(names);
  return Object.keys(env)
    .filter((variable) => variable.startsWith(PREFIX) && !known.has(withoutPrefix(variable)))
    .flatMap((variable) => {
      const near = names.find((name) => distance(withoutPrefix(variable), name) <= (name.length > 4 ? 2 : 1));
      return near === undefined ? [] : [`${variable} is not a setting; ${PREFIX}${near} is`];
    });
}

/** How many letters are wrong, missing, too many, or swapped with the next. */
function distance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? Number.POSITIVE_INFINITY;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1];
      row.push(
        Math.min(
          at(i - 1, j) + 1,
          at(i, j - 1) + 1,
          at(i - 1, j - 1) + same,
          swapped ? at(i - 2, j - 2) + 1 : Number.POSITIVE_INFINITY,
        ),
      );
    }
  }
  return at(a.length, b.length);
}
