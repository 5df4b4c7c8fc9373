import { defineConfig } from 'vitest/config';

export default defineConfig({
  // As Node resolves it: Vite would take its "module" entry, a second copy beside the one that GraphQL's plugins use.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'services/*/test/**/*.test.ts',
      'tools/test/**/*.test.ts',
      'test/**/*.test.ts',
    ],
    // These need Java, Go or a Redis: vitest.kafka.config.ts, vitest.trace.config.ts, vitest.redis.config.ts, vitest.lambda.config.ts.
    exclude: ['**/node_modules/**', '**/*.{kafka,trace,redis,lambda}.test.ts'],
    globalSetup: ['packages/testing/postgres-server.ts'],
    // A machine that others load makes a test late now and then. Once more, in CI, which names such tests at its end; never what a random case found.
    retry: process.env.CI ? { count: 1, condition: /^(?!Property failed)/ } : 0,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // A busy machine is slow, not wrong: what is waited for may take its time.
    expect: { poll: { timeout: 10_000, interval: 20 } },
    // Two cores: more workers than that only make each other late.
    maxWorkers: 2,
  },
});
