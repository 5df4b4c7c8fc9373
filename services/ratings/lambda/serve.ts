import { once } from 'node:events';
import { runService } from '@tradewind/process/command';
import { readEnvironment } from '@tradewind/process/environment';
import { duration, oneOf, optional, port, text } from '@tradewind/process/settings';
import { LOG_LEVELS } from '@tradewind/telemetry/logger';
import about from '../package.json' with { type: 'json' };
import { serveProbes } from './function-url/probes.ts';
import { serveFunction } from './function-url/server.ts';
import { handler } from './statistics.ts';

/** The statistics function on this machine, at an address that speaks as its function URL on AWS does. */
await runService({
  name: 'ratings-lambda',
  version: about.version,
  roles: ['serve'],
  configure(sources) {
    const env = readEnvironment(
      {
        HOST: text('127.0.0.1'),
        PORT: port(8089),
        /** Where `/health/ready` is answered; nowhere when left out, for all paths of PORT are the function's. */
        HEALTH_PORT: optional(port()),
        LOG_LEVEL: oneOf(LOG_LEVELS, 'info'),
        SHUTDOWN: duration('10s'),
      },
      sources,
    );
    return { ...env, logLevel: env.LOG_LEVEL, shutdownMs: env.SHUTDOWN };
  },
  async run({ config: { HOST: host, PORT, HEALTH_PORT }, signal, logger }) {
    await using url = await serveFunction({ handler, host, port: PORT, logger });
    logger.info({ host, port: url.port }, 'the function is served');
    await using _probes = HEALTH_PORT === undefined ? undefined : await serveProbes(host, HEALTH_PORT);
    if (!signal.aborted) await once(signal, 'abort');
  },
});
