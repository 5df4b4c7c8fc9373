import type { ReceivedRecord } from '@tradewind/messaging/log';
import { type Letter, placeText } from './letters.ts';
import { harmless, table } from './table.ts';

/** A payload as people can read it: JSON with one field a line, other text as it is, anything else in hexadecimal digits. */
export function readable(value: Uint8Array | null): string {
  if (value === null) return '(none: the record had no value)';
  if (value.length === 0) return '(empty)';
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(value);
  } catch {
    return hex(value);
  }
  // Text does not hold such characters.
  if (/[^\P{Cc}\r\n\t]/u.test(text)) return hex(value);
  try {
    // Numbers beyond 2^53 would be shown as others; then it stays as it came.
    const pretty = JSON.stringify(JSON.parse(text), undefined, 2);
    return harmless(pretty.replaceAll(/\s/g, '') === text.replaceAll(/\s/g, '') ? pretty : text);
  } catch {
    return harmless(text);
  }
}

const ROW = 16;

function hex(value: Uint8Array): string {
  const lines: string[] = [];
  for (let at = 0; at < Math.min(value.length, ROW * 256); at += ROW) {
    const row = Buffer.from(value.subarray(at, at + ROW));
    const digits = row
      .toString('hex')
      .replaceAll(/(..)/g, '$1 ')
      .padEnd(ROW * 3);
    lines.push(
      `${at.toString(16).padStart(6, '0')}  ${digits} ${row.toString('latin1').replaceAll(/[^ -~]/g, '.')}`,
    );
  }
  if (value.length > ROW * 256) lines.push(`… ${value.length} bytes in all; --raw gives them`);
  return lines.join('\n');
}

/** Everything about one letter, for people. */
export function formatLetter(letter: Letter, record: ReceivedRecord): string {
  const { standing, origin, place, group, reason, error, attempts, traceId } = letter;
  const state = standing.why === undefined ? standing.state : `${standing.state}: ${standing.why}`;
  const rows = [
    ['event', letter.id],
    ['source', letter.source],
    ['type', letter.type || 'not said'],
    ['key', letter.key ?? '(none)'],
    ['state', state],
    ['group', group],
    ['reason', reason],
    ['error', error],
    ['attempts', String(attempts)],
    ['first failure', letter.firstFailure],
    ['last failure', letter.lastFailure],
    ['came from', placeText(origin)],
    ['lies at', placeText(place)],
    ['dead since', letter.appendedAt.toISOString()],
    ['trace', traceId ?? '(none)'],
    ...(letter.corrected ? [['payload', 'corrected by hand before it was redriven last']] : []),
  ];
  const headers = Object.entries(record.headers).filter(([name]) => !name.startsWith('dlq_'));
  return [
    ...table(rows.map((row) => row.map(harmless))),
    '',
    'headers',
    ...table(headers.sort().map(([name, value]) => [`  ${harmless(name)}`, harmless(value)])),
    '',
    `payload, ${letter.bytes ?? 0} bytes`,
    readable(letter.bytes === null ? null : record.value),
  ].join('\n');
}
