import { chmod, chown, cp, mkdir, mkdtemp, readFile, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** As whom and from where the embedded PostgreSQL runs. */
export interface Account {
  /** The folder with its `bin` and `lib`. */
  readonly native: string;
  /** Makes a folder that account's own. */
  own(folder: string): Promise<void>;
  /** The name by which a process of the account reaches a folder that it owns, and how to spawn that process. */
  within(folder: string): {
    readonly path: string;
    readonly options: { readonly uid?: number; readonly gid?: number; readonly cwd?: string };
  };
}

/** Where the programs are copied when no other user reaches the place where npm put them. */
const PROGRAMS = '/var/cache/tradewind';

/**
 * PostgreSQL refuses to run as root, so root lends it an unprivileged user. That user may not get through root's folders, such as
 * /root or one that mktemp made: the data is then reached as the working directory, and the programs are copied.
 */
export async function accountFor(
  native: string,
  onProgress?: (step: string) => void,
  programs = PROGRAMS,
): Promise<Account> {
  if (process.getuid?.() !== 0)
    return { native, own: async () => undefined, within: (path) => ({ path, options: {} }) };
  const { uid, gid } = await unprivileged();
  const linux = process.platform === 'linux';
  const closed = await closedParent(join(native, 'bin'));
  if (closed && !linux)
    throw new Error(
      `PostgreSQL can't run as root, and no other user gets through ${closed}: run as another user`,
    );
  if (closed) onProgress?.(`copying PostgreSQL to ${programs}, since only root gets through ${closed}`);
  return {
    native: closed ? await copied(native, programs) : native,
    own: (folder) => chown(folder, uid, gid),
    // This link is followed without a look at the folders above.
    within: (folder) => ({ path: linux ? '/proc/self/cwd' : folder, options: { uid, gid, cwd: folder } }),
  };
}

async function unprivileged(): Promise<{ uid: number; gid: number }> {
  const passwd = await readFile('/etc/passwd', 'utf8');
  const find = (name: string) => passwd.split('\n').find((line) => line.startsWith(`${name}:`));
  const fields = (find('postgres') ?? find('nobody'))?.split(':');
  return { uid: Number(fields?.[2] ?? 65534), gid: Number(fields?.[3] ?? 65534) };
}

/** The folder on the way to `path`, or itself, that lets no other user through. */
async function closedParent(path: string): Promise<string | undefined> {
  for (let at = path; ; at = dirname(at)) {
    if (((await stat(at)).mode & 0o001) === 0) return at;
    if (at === dirname(at)) return undefined;
  }
}

/** A copy of the programs that everybody may run and only root may change. One a version; made once, and whole or not at all. */
async function copied(native: string, programs: string): Promise<string> {
  const { name, version } = JSON.parse(
    await readFile(join(dirname(native), 'package.json'), 'utf8'),
  ) as Record<string, string>;
  const target = join(programs, `${basename(name ?? 'postgres')}-${version}`);
  if (await stat(target).catch(() => undefined)) return target;
  await mkdir(programs, { recursive: true });
  await chmod(programs, 0o755);
  const made = await mkdtemp(`${target}.new-`);
  // The libraries' links may lead back to where they can't be reached.
  await cp(native, made, { recursive: true, dereference: true });
  await chmod(made, 0o755);
  try {
    await rename(made, target);
  } catch (error) {
    await rm(made, { recursive: true, force: true });
    // Another start was quicker.
    if (!(await stat(target).catch(() => undefined))) throw error;
  }
  return target;
}
