/** Settings that a session of ours begins with, whoever opens it. */
const SESSION: Readonly<Record<string, string>> = {
  // A client that vanished without a word, with its host or behind a wall, must not keep locks for the two hours that TCP gives it.
  tcp_keepalives_idle: '10',
  tcp_keepalives_interval: '5',
  tcp_keepalives_count: '3',
  tcp_user_timeout: '15000',
  // Statements are short: compiling them costs more than it gains.
  jit: 'off',
  // A statement that was prepared while its table was small must not read all of it when it is large; tables grow faster than statistics.
  enable_seqscan: 'off',
};

/** The connection string with our settings before those that it brings itself, which win. */
export function sessionUrl(url: string, settings: Readonly<Record<string, string>> = {}): string {
  const parsed = new URL(url);
  const ours = Object.entries({ ...SESSION, ...settings }).map(([name, value]) => `-c ${name}=${value}`);
  parsed.searchParams.set('options', [...ours, parsed.searchParams.get('options') ?? ''].join(' ').trim());
  return parsed.href;
}
