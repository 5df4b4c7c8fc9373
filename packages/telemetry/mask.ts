const MASK = '***';
const SECRET_PARAMETER = /^(password|passwd|pwd|secret|token|sslpassword|access_token|api_key)$/i;
/** `kafka://user:password@one:9092,two:9092/…`, which is no URL: what is before the second host, the other hosts, what is behind them. */
const SEVERAL_HOSTS = /^([a-z][a-z0-9+.-]*:\/\/(?:[^/?#]*@)?[^,/?#@]+)((?:,[^,/?#@]+)+)([/?#][^@]*)?$/i;
/** `scheme://user:password@`; a password with a raw `/` is not a URL any more, so a port and a path are never taken for one. */
const CREDENTIALS = /([a-z][a-z0-9+.-]*:\/\/[^\s:@/"'\\]*):[^\s@/"'\\]+@/gi;
const PARAMETERS =
  /([?&](?:password|passwd|pwd|secret|token|sslpassword|access_token|api_key)=)[^\s&"'\\]+/gi;

/**
 * A connection string that may be shown: user, host and database stay, the password and secret parameters become `***`.
 * What is not a URL is masked whole, for nobody knows where the secret in it begins.
 */
export function maskUrl(url: string): string {
  const [, before = '', more = '', after = ''] = SEVERAL_HOSTS.exec(url) ?? [];
  let parsed: URL;
  try {
    parsed = new URL(more ? before + after : url);
  } catch {
    return MASK;
  }
  // `me:secret@host`, which forgot its scheme, is a URL of scheme `me`.
  if (!parsed.host) return MASK;
  if (parsed.password) parsed.password = MASK;
  for (const name of new Set(parsed.searchParams.keys())) {
    if (SECRET_PARAMETER.test(name)) parsed.searchParams.set(name, MASK);
  }
  return more ? parsed.href.replace(`//${authority(parsed)}`, (all) => all + more) : parsed.href;
}

/** As it stands in the text of a URL: user, password, host and port. */
function authority({ username, password, host }: URL): string {
  const user = password ? `${username}:${password}@` : username && `${username}@`;
  return user + host;
}

/** Masks the passwords of every connection string within a longer text, such as a driver's error message. */
export function maskText(text: string): string {
  return text.includes('://')
    ? text.replace(CREDENTIALS, `$1:${MASK}@`).replace(PARAMETERS, `$1${MASK}`)
    : text;
}

/** To the end of the text or of its line of a stack: what is quoted may itself have closing parentheses and line ends. */
const ROW = /(Failing row contains \()(?:[^"\\]|\\.)*?(\)\.(?="|\\n {4}at ))/g;
const KEY =
  /(\bKey \([^)]*\)=\()(?:[^"\\]|\\.)*?(\) (?:already exists|is not present|is still referenced|conflicts with))/g;

/** Takes the rows and keys out that PostgreSQL quotes when a constraint is broken, of a line that is JSON: they may hold what is somebody's own. */
export function maskRows(line: string): string {
  return line.includes('Failing row contains (') || line.includes(')=(')
    ? line.replace(ROW, `$1${MASK}$2`).replace(KEY, `$1${MASK}$2`)
    : line;
}
