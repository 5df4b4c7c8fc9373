import {
  create,
  type DescMessage,
  type DescService,
  getOption,
  hasOption,
  type MessageShape,
} from '@bufbuild/protobuf';
import { type Path, pathToString } from '@bufbuild/protobuf/reflect';
import { createValidator, type Violation } from '@bufbuild/protovalidate';
import { RE2JS } from '@bufbuild/re2';
import { Code, ConnectError } from '@connectrpc/connect';
import { field as fieldRules } from '@tradewind/contracts/third-party/buf/validate/validate';
import { badRequest, problem } from './failure.ts';
import { compileFindBroken } from './well-formed.ts';

const validator = createValidator({ regexMatch: matches });

const patterns = new Map<string, { test(text: string): boolean }>();

/** Matches a contract's pattern, compiled once. */
function matches(pattern: string, text: string): boolean {
  let compiled = patterns.get(pattern);
  if (compiled === undefined) {
    compiled = compilePattern(pattern);
    // A rule in CEL may make patterns of its input: they must not fill the memory.
    if (patterns.size >= 1_000) patterns.clear();
    patterns.set(pattern, compiled);
  }
  return compiled.test(text);
}

// Without groups both engines agree and neither takes exponential time; Node's own is ten times as fast as RE2 in JavaScript.
function compilePattern(pattern: string): { test(text: string): boolean } {
  if (!pattern.includes('(')) {
    try {
      return new RegExp(pattern, 'u');
    } catch {
      // RE2's own syntax.
    }
  }
  return RE2JS.compile(pattern);
}

/** Throws INVALID_ARGUMENT with every field that breaks a rule of the contract. */
export type Check = (message: MessageShape<DescMessage>) => void;

const checks = new WeakMap<DescMessage, Check>();

/** The check of a message type. Its rules are compiled here, so that the first request need not wait for it. */
export function checkOf(schema: DescMessage): Check {
  let check = checks.get(schema);
  if (check === undefined) {
    check = compile(schema);
    checks.set(schema, check);
  }
  return check;
}

/** Compiles the rules of every request of a service. Takes up to some hundred milliseconds: do it before listening. */
export function warm(service: DescService): void {
  for (const method of service.methods) checkOf(method.input);
}

function compile(schema: DescMessage): Check {
  const first = validator.validate(schema, create(schema));
  if (first.kind === 'error') throw first.error;
  const checkLengths = compileLengths(schema);
  const findBroken = compileFindBroken(schema);
  return (message) => {
    checkLengths(message);
    // Decoders of some faces let half a surrogate pair pass, which no database and no event can hold.
    const broken = findBroken?.(message);
    if (broken !== undefined) throw problem(broken, 'must be well-formed Unicode');
    const result = validator.validate(schema, message);
    if (result.kind === 'valid') return;
    if (result.kind === 'error') {
      throw new ConnectError('internal error', Code.Internal, undefined, undefined, result.error);
    }
    throw badRequest(result.violations.map(told));
  };
}

function told(violation: Violation): { field: string; error: string } {
  return { field: fieldPath(violation.field), error: violation.message || violation.ruleId };
}

function fieldPath(path: Path): string {
  return path.length === 0 ? '' : pathToString(path);
}

/** Counts the items of repeated fields before anything looks into them: half a million bad lines must not cost seconds. */
function compileLengths(schema: DescMessage): Check {
  const limits = schema.fields.flatMap((field) => {
    if (field.fieldKind !== 'list' || !hasOption(field, fieldRules)) return [];
    const rules = getOption(field, fieldRules).type;
    if (rules.case !== 'repeated' || rules.value.maxItems === 0n) return [];
    return [{ name: field.name, localName: field.localName, max: Number(rules.value.maxItems) }];
  });
  if (limits.length === 0) return () => {};
  return (message) => {
    for (const { name, localName, max } of limits) {
      const items = (message as unknown as Record<string, readonly unknown[]>)[localName];
      if (items !== undefined && items.length > max) {
        throw badRequest([{ field: name, error: `must contain no more than ${max} item(s)` }]);
      }
    }
  };
}
