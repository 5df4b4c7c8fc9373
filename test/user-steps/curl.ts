import { must } from './check.ts';
import { run, type Shell } from './shell.ts';

export interface Answer {
  /** 0 when there was none. */
  readonly status: number;
  readonly body: string;
  readonly headers: string;
  readonly ms: number;
}

/** Runs curl with these arguments, as they would be typed. */
export async function curl(shell: Shell, args: string, timeoutMs = 30_000): Promise<Answer> {
  const { stdout, ms } = await run(shell, `curl -s -S -D - -w '\\n%{http_code}' ${args}`, timeoutMs);
  const cut = stdout.lastIndexOf('\n');
  const whole = stdout.slice(0, cut);
  // Interim answers (100 Continue) come before the one that counts.
  const start = /^(?:HTTP\/[\d.]+ 1\d\d[^\n]*\r?\n\r?\n)*/.exec(whole)?.[0].length ?? 0;
  const blank = whole.indexOf('\r\n\r\n', start);
  return {
    status: Number(stdout.slice(cut + 1)),
    headers: whole.slice(start, blank),
    body: blank === -1 ? '' : whole.slice(blank + 4),
    ms,
  };
}

/** The body as JSON, of an answer that must have this status. */
export async function json<T = Record<string, unknown>>(
  shell: Shell,
  args: string,
  status = 200,
): Promise<T> {
  const answer = await curl(shell, args);
  must(answer.status === status, `curl ${args}\n${answer.status} instead of ${status}: ${answer.body}`);
  return JSON.parse(answer.body) as T;
}

export const asJson = "-H 'content-type: application/json'";

/** Quotes a text for the shell. */
export const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
export const data = (value: unknown) =>
  `-d ${quoted(typeof value === 'string' ? value : JSON.stringify(value))}`;
