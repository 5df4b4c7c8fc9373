import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { dirname } from 'node:path';

/** At a start a longer file becomes `<file>.1`. */
const ROTATE_BYTES = 10 * 2 ** 20;
/** A file that grows beyond this while in use is copied to `<file>.1` and emptied. */
const CAP_BYTES = 100 * 2 ** 20;
const POLL_MS = 300;
/** Lines shown a poll, so that one child in trouble does not hide what the others say. */
const SHOWN = 5;

/** Opens a child's log for appending; the child writes it by itself, so that nothing is lost when its starter dies. */
export function openLog(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  if (existsSync(path) && statSync(path).size > ROTATE_BYTES) renameSync(path, `${path}.1`);
  return openSync(path, 'a');
}

/** Shows the errors that are written to a log from now on. */
export function showErrors(path: string, show: (line: string) => void): Disposable {
  let offset = sizeOf(path);
  let rest = '';
  const poll = () => {
    const size = sizeOf(path);
    if (size < offset) offset = 0;
    if (size === offset) return;
    const lines = (rest + readRange(path, offset, size)).split('\n');
    offset = size;
    rest = lines.pop() ?? '';
    const errors = lines.map(errorOf).filter((line) => line !== undefined);
    for (const line of errors.slice(0, SHOWN)) show(line);
    if (errors.length > SHOWN) show(`and ${errors.length - SHOWN} more, see ${path}`);
    if (size > CAP_BYTES) {
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    }
  };
  const timer = setInterval(poll, POLL_MS).unref();
  return {
    [Symbol.dispose]() {
      clearInterval(timer);
      poll();
    },
  };
}

/** The last lines of a log. */
export function tailOf(path: string, lines = 15): string {
  const size = sizeOf(path);
  return readRange(path, Math.max(0, size - 16_384), size)
    .trimEnd()
    .split('\n')
    .slice(-lines)
    .join('\n');
}

/** What a person should see of a log line: errors, and whatever is no log line, such as a stack trace. */
function errorOf(line: string): string | undefined {
  if (!line.startsWith('{'))
    return line.trim() && !/^\(node:|^\(Use `node/.test(line) ? line.slice(0, 300) : undefined;
  try {
    const { level, msg, err } = JSON.parse(line) as {
      level?: unknown;
      msg?: unknown;
      err?: { message?: unknown };
    };
    if (level !== 'error' && level !== 'fatal') return undefined;
    const cause = typeof err?.message === 'string' && err.message !== msg ? `: ${err.message}` : '';
    return `${String(msg)}${cause}`.slice(0, 300);
  } catch {
    return undefined;
  }
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}

function readRange(path: string, from: number, to: number): string {
  const length = Math.min(to - from, 4 * 2 ** 20);
  if (length <= 0) return '';
  const buffer = Buffer.alloc(length);
  const file = openSync(path, 'r');
  try {
    // The newest part, when more came than is worth reading.
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, length, to - length));
  } finally {
    closeSync(file);
  }
}
