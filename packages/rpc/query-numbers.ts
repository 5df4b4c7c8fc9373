/** What is wrong with a query, as Ajv says it. */
type QueryError = {
  keyword: string;
  instancePath: string;
  schemaPath: string;
  params: object;
  message: string;
};

/** A compiled schema, as far as Fastify uses it. */
export type Validate = ((data: unknown) => unknown) & { errors?: unknown };

/**
 * The same validation, but of numbers in a query or a path takes digits only. Ajv takes all that JavaScript makes a
 * number of: `0x10`, `1e2`, blanks.
 */
export function onlyDigits(schema: unknown, compiled: Validate): Validate {
  const { properties = {} } = schema as { properties?: Record<string, { type?: unknown }> };
  const numbers = Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
  if (numbers.length === 0) return compiled;
  const checked: Validate = (data) => {
    const errors = numbers
      .filter((name) => isNoInteger((data as Record<string, unknown>)[name]))
      .map(errorOf);
    if (errors.length > 0) {
      checked.errors = errors;
      return false;
    }
    const result = compiled(data);
    checked.errors = compiled.errors;
    return result;
  };
  return checked;
}

function isNoInteger(value: unknown): boolean {
  return typeof value === 'string' && !/^-?\d+$/.test(value);
}

function errorOf(name: string): QueryError {
  const instancePath = `/${name}`;
  return {
    keyword: 'type',
    instancePath,
    schemaPath: `#/properties/${name}/type`,
    params: {},
    message: 'must be integer',
  };
}
