import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { makeCertificates } from '@tradewind/testing/kafka-security';
import { freePort } from '@tradewind/testing/port';
import { expect, test } from 'vitest';
import { expectSame, openMarket, project, readFrom } from './ratings-market.ts';
import { rate } from './read-model.ts';

const TALK = 'flight-of-the-gopher';

test('rediss:// speaks TLS, checks whom it speaks to, and logs in as a user', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ratings-tls-'));
  const trusted = getCACertificates('default');
  try {
    const { ca, cert, key } = await makeCertificates();
    const path = (name: string) => join(folder, name);
    await writeFile(path('ca'), ca);
    await writeFile(path('cert'), cert);
    await writeFile(path('key'), key);
    const port = await freePort();
    await using market = await openMarket({
      'tls-port': String(port),
      'tls-ca-cert-file': path('ca'),
      'tls-cert-file': path('cert'),
      'tls-key-file': path('key'),
      'tls-auth-clients': 'no',
    });
    await market.client.acl('SETUSER', 'ratings', 'on', '>p@ss/word', '~ratings*', '+@all');
    const redisUrl = `rediss://ratings:${encodeURIComponent('p@ss/word')}@localhost:${port}/0`;
    await rate(market.database, [TALK, 5]);
    await using one = project(market, { redisUrl });
    await expect
      .poll(async () => {
        await one.counts([TALK]);
        return await one.metric('tradewind_ratings_reads_total', 'reason="away"');
      })
      .toBeGreaterThan(5);
    setDefaultCACertificates([...trusted, ca]);
    expect((await readFrom(one, TALK))?.counts).toEqual([0, 0, 0, 0, 1]);
    await expectSame(market);
  } finally {
    setDefaultCACertificates(trusted);
    await rm(folder, { recursive: true, force: true });
  }
});
