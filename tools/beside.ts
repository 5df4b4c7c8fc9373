// Runs a service's command beside the `npm start` that runs here: `node tools/beside.ts ratings rebuild`. Where the environment does not say
// which database and event log, they are those of that start; without one it is as if the service had been run directly.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { whereabouts } from './dlq/whereabouts.ts';
import { services } from './start/services.ts';

const DATA = fileURLToPath(new URL('../.tradewind', import.meta.url));

/** The environment of a service's command, completed by what runs. */
export function environmentBeside(
  service: string,
  env: NodeJS.ProcessEnv,
  dataDir = DATA,
): NodeJS.ProcessEnv {
  const said = (name: string) => env[name] || env[`APP_${name}`];
  if (said('DATABASE_URL') && said('EVENT_LOG_URL')) return env;
  const { databaseUrls, log, processes } = whereabouts(dataDir, env);
  if (!processes) return env;
  return {
    ...env,
    ...(!said('DATABASE_URL') && { DATABASE_URL: databaseUrls[service] }),
    ...(!said('EVENT_LOG_URL') && { EVENT_LOG_URL: log.url }),
  };
}

async function main([name = '', ...args]: readonly string[]): Promise<number> {
  const spec = services.find((service) => service.name === name);
  if (!spec) throw new Error(`there is no service "${name}"`);
  const env = environmentBeside(name, process.env);
  const child = spawn(process.execPath, [spec.main, ...args], { env, stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
  const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
  return signal ? 1 : (code ?? 1);
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
