import { setTimeout as sleep } from 'node:timers/promises';
import { createLogger } from '@tradewind/telemetry/logger';
import { startRelay } from '@tradewind/messaging/relay';
import { Client } from 'pg';
import { v7 } from 'uuid';
import { expect, test } from 'vitest';
import { GROUP, openLedger, orderCreated, rejected } from './ledger.ts';
const lagOf = async (l: any) => (await l.log.lag(GROUP, ['order.created'])).reduce((s: bigint, p: any) => s + p.lag, 0n);
const capture = () => {
  const lines: any[] = [];
  const mk = (level: string) => (o: any, m?: string) => lines.push({ level, m: m ?? o, err: o?.err?.message, at: Date.now() });
  const logger: any = { info: mk('info'), warn: mk('warn'), error: mk('error'), debug: mk('debug'), fatal: mk('fatal') };
  return { lines, logger };
};

test('A1 undecodable without a UUID id', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  await using _m = ledger.start(undefined, { logger });
  const key = v7();
  await ledger.append({ topic: 'order.created', key, value: Buffer.from('garbage'), headers: {} }, { ...orderCreated('sameKeyLater', { orderId: key }) });
  await sleep(4000);
  console.log('A1', { dlq: (await ledger.records('order.created.dlq')).length, entries: await ledger.entries(), lag: await lagOf(ledger), log: lines.filter(l=>l.level!=='debug').map((l) => [l.level, l.m, l.err?.slice(0,120)]) });
});

test('A2 redrive without headers', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  await using _m = ledger.start(undefined, { logger });
  await using relay2 = startRelay({ databaseUrl: ledger.databaseUrl, log: ledger.log, logger });
  const r = orderCreated('x');
  await ledger.append({ ...r, topic: 'ledger.redrive' });
  await sleep(1500);
  await ledger.append(orderCreated('good'));
  await sleep(3000);
  const { rows } = await ledger.database.pool.query('SELECT aggregatetype, count(*) FROM outbox GROUP BY 1');
  console.log('A2', { entries: (await ledger.entries()).length, confirmed: (await ledger.records('order.confirmed')).length, outbox: rows, trouble: relay2.trouble, owner: relay2.owner, warns: lines.filter((l) => l.level === 'warn').length, last: lines.at(-1) });
});

test('A3 held event skipped while leases are in doubt', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  let fail = true; let tries = 0;
  const m = ledger.start(({ customerId }) => { if (customerId === 'bad') { tries++; if (fail) throw new Error('not yet'); } }, { logger, retry: { attempts: 1_000_000, baseMs: 50, capMs: 100 } });
  const bad = orderCreated('bad');
  await ledger.append(bad, orderCreated('other'));
  await expect.poll(() => tries).toBeGreaterThan(3);
  console.log('A3 lag before', await lagOf(ledger));
  const c = new Client({ connectionString: ledger.logUrl }); await c.connect();
  await c.query('SELECT pg_advisory_lock(7420102, hashtext($1))', [GROUP]);
  await sleep(3500);
  await c.end();
  await sleep(1500);
  fail = false;
  await sleep(3000);
  const t = tries;
  await ledger.append(orderCreated('after'));
  await sleep(1000);
  console.log('A3', { entries: (await ledger.entries()).map((e) => e.customerId), lag: await lagOf(ledger), dlq: (await ledger.records('order.created.dlq')).length, triesAfter: tries - t, log: lines.filter((l) => ['warn','error'].includes(l.level) && l.m !== 'an event failed; it will be tried again').map((l) => [l.level, l.m]) });
  await m.stop();
  await using _n = ledger.start();
  await sleep(2500);
  console.log('A3 after restart', (await ledger.entries()).map((e) => e.customerId));
});

test('A4 read-only window', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  const m = ledger.start(undefined, { logger, retry: { attempts: 6, baseMs: 200, capMs: 10_000 } });
  await ledger.append(orderCreated('before'));
  await expect.poll(async () => (await ledger.entries()).length).toBe(1);
  const name = ledger.databaseUrl.split('/').at(-1);
  const admin = new Client({ connectionString: process.env.TEST_POSTGRES_URL }); await admin.connect();
  const kill = () => admin.query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, [name]);
  await admin.query(`ALTER DATABASE ${name} SET default_transaction_read_only = on`); await kill();
  const key = v7();
  await ledger.append(orderCreated('first', { orderId: key }));
  await sleep(9000);
  await admin.query(`ALTER DATABASE ${name} RESET default_transaction_read_only`); await kill();
  await sleep(500);
  await ledger.append(orderCreated('second', { orderId: key }));
  await sleep(4000);
  console.log('A4', { entries: (await ledger.entries()).map((e) => e.customerId), lag: await lagOf(ledger), log: lines.filter((l) => ['warn','error'].includes(l.level)).map((l) => [l.level, l.m, l.err?.slice(0, 90)]) });
  await m.stop();
  await using _n = ledger.start();
  await sleep(2500);
  console.log('A4 after restart', (await ledger.entries()).map((e) => e.customerId), await lagOf(ledger));
  await admin.end();
});

test('A5 relay backoff', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  const log: any = { producer: async () => ({ append: async () => { await sleep(500); throw new Error('log is away'); }, [Symbol.asyncDispose]: async () => undefined }) };
  const log2: any = { producer: async () => ({ append: async () => { throw new Error('log is away'); }, [Symbol.asyncDispose]: async () => undefined }) };
  await ledger.database.pool.query(`INSERT INTO outbox (id, aggregatetype, aggregateid, type, payload, source, content_type) VALUES (gen_random_uuid(), 'order.confirmed', 'k', 't', '\\x00', 's', 'application/json')`);
  { await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log, logger });
    const seen: Record<string, number> = {};
    for (let i = 0; i < 400; i++) { await sleep(10); const k = String(relay.trouble); seen[k] = (seen[k] ?? 0) + 1; }
    console.log('A5 slow failing', { seen, warns: lines.length }); }
  lines.length = 0;
  { await using relay = startRelay({ databaseUrl: ledger.databaseUrl, log: log2, logger }); 
    await sleep(4000); console.log('A5 quick failing: warnings in 4 s', lines.length, relay.trouble); }
});

test('A6 long ce_id', async () => {
  await using ledger = await openLedger();
  const { lines, logger } = capture();
  await using _m = ledger.start(undefined, { logger });
  const { randomBytes } = await import('node:crypto');
  const key = v7();
  await ledger.append(orderCreated('long', { id: randomBytes(3000).toString('base64'), orderId: key }), orderCreated('next', { orderId: key }));
  await sleep(3000);
  console.log('A6', { dlq: (await ledger.records('order.created.dlq')).length, entries: (await ledger.entries()).map(e=>e.customerId), lag: await lagOf(ledger), log: lines.filter((l) => ['warn','error'].includes(l.level)).map((l) => [l.level, l.m, l.err?.slice(0, 90)]) });
});

test('A7 held lines hammer the pool', async () => {
  await using ledger = await openLedger();
  const { logger } = capture();
  await using m = ledger.start(({ customerId }) => { if (customerId.startsWith('bad')) throw new Error('broken'); }, { logger, retry: { attempts: 4, baseMs: 100, capMs: 500 } });
  await ledger.append(...Array.from({ length: 2000 }, (_, n) => orderCreated(`bad${n}`)));
  let peak = 0; let worst = 0; let errors = 0; const t0 = Date.now();
  for (let i = 0; i < 200; i++) {
    peak = Math.max(peak, ledger.database.pool.waitingCount);
    const s = performance.now(); 
    await ledger.database.pool.query('SELECT 1').catch(() => errors++); worst = Math.max(worst, performance.now() - s);
    await sleep(20);
    if ((await ledger.records('order.created.dlq')).length >= 2000) break;
  }
  console.log('A7', { peak, worst, errors, ms: Date.now() - t0, dlq: (await ledger.records('order.created.dlq')).length });
}, 60_000);
