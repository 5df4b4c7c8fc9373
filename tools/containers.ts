import { fileURLToPath } from 'node:url';
import { checkContainers } from './containers/check.ts';

/** `npm run check:containers`: what is wrong with the files for containers. Exit code 1 when anything is. */
const faults = await checkContainers(fileURLToPath(new URL('..', import.meta.url)));
for (const fault of faults) process.stderr.write(`${fault}\n`);
if (faults.length === 0)
  process.stdout.write('docker-compose.yml and Dockerfile are right, as far as that can be told here\n');
process.exitCode = faults.length > 0 ? 1 : 0;
