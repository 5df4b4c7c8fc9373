import type { TestService } from '@tradewind/testing/service';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startProduct } from './market.ts';

let running: TestService;
beforeAll(async () => {
  running = await startProduct();
});
afterAll(() => running[Symbol.asyncDispose]());

test('the playground is at /, whole in one page', async () => {
  const response = await fetch(running.url);
  expect(response.status).toBe(200);
  expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(response.headers.get('content-encoding')).toBe('gzip');
  const page = await response.text();
  expect(page).toContain('<title>Tradewind products</title>');
  expect(page).toContain('YogaGraphiQL.renderYogaGraphiQL');
  // Nothing is loaded from elsewhere: no tag names another host, and the browser is told to refuse what a script might try.
  const outside = [
    ...page.matchAll(/<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)="(?!data:)([^"]+)"/g),
  ].map(([, url]) => url);
  expect(outside.filter((url) => /^(https?:)?\/\//.test(url ?? '') && !url?.includes('${'))).toEqual([]);
  expect(page).not.toMatch(/@import\s+(url\()?["']?https?:/);
  const policy = response.headers.get('content-security-policy');
  expect(policy).toContain("default-src 'none'");
  expect(policy).toContain("connect-src 'self'");
  expect(policy).not.toMatch(/https?:|\*/);

  const plain = await fetch(running.url, { headers: { 'accept-encoding': 'identity' } });
  expect(plain.headers.get('content-encoding')).toBeNull();
  expect(await plain.text()).toBe(page);
});

test('a browser at the endpoint is shown the playground', async () => {
  const response = await fetch(`${running.url}/graphql`, {
    headers: { accept: 'text/html' },
    redirect: 'manual',
  });
  expect([response.status, response.headers.get('location')]).toEqual([302, '/']);
});
