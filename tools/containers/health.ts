import { get } from 'node:http';
import { given } from '@tradewind/process/variables';

/** A container's health: exit code 0 when its process answers 200 on /health/ready, 1 when not. Without a library, for it runs every few seconds. */
// Where there are both, every path at PORT may be somebody's own.
const port = given(process.env, 'HEALTH_PORT') ?? given(process.env, 'PORT');
const end = (problem?: string) => {
  if (problem !== undefined) process.stderr.write(`${problem}\n`);
  process.exitCode = problem === undefined ? 0 : 1;
};

if (port === undefined) end('PORT or HEALTH_PORT must say where it answers');
else {
  const request = get(
    `http://127.0.0.1:${port}/health/ready`,
    { agent: false, timeout: 2_500 },
    (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () =>
        end(response.statusCode === 200 ? undefined : `${response.statusCode} ${body}`),
      );
    },
  );
  request.on('timeout', () => request.destroy(new Error('no answer')));
  request.on('error', (error) => end(error.message));
}
