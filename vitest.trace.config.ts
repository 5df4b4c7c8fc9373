import { defineConfig } from 'vitest/config';
import ordinary from './vitest.config.ts';

/** What needs a real Jaeger, and so Go to build it once: `npm run test:trace`. */
export default defineConfig({
  ...ordinary,
  test: {
    ...ordinary.test,
    include: ['{packages,services}/*/test/**/*.trace.test.ts', '{tools,test}/**/*.trace.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: ['packages/testing/postgres-server.ts', 'packages/testing/jaeger-server.ts'],
    // A machine that others load makes a test late now and then. Once more, in CI, which names such tests at its end; never what a random case found.
    retry: process.env.CI ? { count: 1, condition: /^(?!Property failed)/ } : 0,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000, interval: 50 } },
  },
});
