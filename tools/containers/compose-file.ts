import { readFileSync } from 'node:fs';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { parseDocument } from 'yaml';

/** What of a compose file the rules look at, with defaults for its variables put in. */
export interface ComposeFile {
  readonly services: Readonly<Record<string, ComposeService>>;
  readonly volumes?: Readonly<Record<string, unknown>>;
}

export interface ComposeService {
  readonly image?: string;
  readonly build?: unknown;
  readonly command?: string | readonly string[];
  readonly user?: string;
  readonly restart?: string;
  readonly environment?: Readonly<Record<string, string | number | boolean | null>>;
  readonly ports?: readonly unknown[];
  readonly volumes?: readonly unknown[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly stop_grace_period?: string;
  readonly healthcheck?: {
    readonly disable?: boolean;
    readonly test?: string | readonly string[];
    readonly interval?: string;
    readonly timeout?: string;
    readonly start_period?: string;
    readonly start_interval?: string;
  };
}

let schema: ValidateFunction<ComposeFile> | undefined;

/** The compose specification's schema, as compose-go 2.16 carries it. */
function compiled(): ValidateFunction<ComposeFile> {
  const text = () => readFileSync(new URL('compose-spec.json', import.meta.url), 'utf8');
  schema ??= new Ajv2020({ strict: false, allErrors: true }).compile<ComposeFile>(
    JSON.parse(text()) as object,
  );
  return schema;
}

/**
 * Reads a compose file as compose does: anchors, merges, `${NAME:-default}`.
 * @returns the file, or what is wrong with it by YAML's rules or the compose specification's schema
 */
export function readCompose(text: string): { file?: ComposeFile; faults: string[] } {
  const document = parseDocument(text, { merge: true });
  if (document.errors.length > 0) return { faults: document.errors.map(({ message }) => message) };
  const faults: string[] = [];
  const content = interpolated(document.toJS(), faults);
  const validate = compiled();
  if (validate(content)) return { file: content, faults };
  const wrong = (validate.errors ?? []).map(({ instancePath, message = '', params }) => {
    const extra: unknown = params.additionalProperty ?? params.unevaluatedProperty;
    return `${instancePath || 'the file'} ${message}${extra === undefined ? '' : `: ${String(extra)}`}`;
  });
  return { faults: [...faults, ...wrong] };
}

/** The same with each variable's default; one that has none would be empty on a machine where nobody set it. */
function interpolated(value: unknown, faults: string[]): unknown {
  if (typeof value === 'string') {
    return value.replaceAll(/\$\$|\$\{(\w+)(?::-([^}]*))?\}|\$(\w+)/g, (whole, name, fallback, bare) => {
      if (whole === '$$') return '$';
      if (fallback !== undefined) return fallback;
      faults.push(`\${${name ?? bare}} has no default: the file must work without any`);
      return '';
    });
  }
  if (Array.isArray(value)) return value.map((item) => interpolated(item, faults));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, interpolated(item, faults)]));
}
