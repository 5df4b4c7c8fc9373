import { fileURLToPath } from 'node:url';
import { tailOf } from '../start/logs.ts';
import { untilReady } from '../start/readiness.ts';
import type { ChildPlan, Supervisor } from '../start/supervisor.ts';
import { launch, logFile, type Post } from './processes.ts';
import type { Way } from './proxy.ts';

/** A process of a service, and its ways to what it needs. */
export interface Member extends Post {
  readonly supervisor: Supervisor;
  readonly database: Way;
  readonly log: Way;
  /** Of those who use one. */
  readonly redis?: Way;
  readonly readyUrl: string;
}

const preload = fileURLToPath(new URL('preload.ts', import.meta.url));

/** How the process of a post is started. */
export function planOf(post: Post, dataDir: string, env: NodeJS.ProcessEnv): ChildPlan {
  const { name, role } = post;
  return {
    name,
    signals: ['SIGTERM', 'SIGKILL'],
    async launch(onSpawn) {
      const imports = role === 'listen' ? { imports: [preload] } : {};
      const launched = launch(post, [role], { dataDir, env, ...imports });
      onSpawn(launched.process);
      return launched;
    },
  };
}

/** Resolves when each process is ready. Rejects after two minutes with which is not, and why. */
export async function untilMembersReady(
  members: readonly Member[],
  { dataDir, signal }: { readonly dataDir: string; readonly signal: AbortSignal },
): Promise<void> {
  await Promise.all(
    members.map(async ({ supervisor, readyUrl: url, name }) => {
      // What it waits for is in its log.
      await untilReady(supervisor, { url, signal, say: () => undefined }).catch((error: unknown) => {
        signal.throwIfAborted();
        const why = error instanceof Error ? error.message : String(error);
        throw new Error(`${name} does not come back: ${why}\n${tailOf(logFile(dataDir, name))}`);
      });
    }),
  );
}
