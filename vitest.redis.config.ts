import { defineConfig } from 'vitest/config';
import ordinary from './vitest.config.ts';

/** What needs a real Redis, and so Debian's redis-server or another one: `npm run test:redis`. */
export default defineConfig({
  ...ordinary,
  test: {
    ...ordinary.test,
    include: ['{packages,services}/*/test/**/*.redis.test.ts', '{tools,test}/**/*.redis.test.ts'],
    exclude: ['**/node_modules/**'],
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000, interval: 20 } },
  },
});
