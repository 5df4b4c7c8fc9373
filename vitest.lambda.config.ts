import { defineConfig } from 'vitest/config';
import ordinary from './vitest.config.ts';

/** What runs under AWS' own Lambda emulator, and so needs Go, cmake and a C++ compiler to build that once: `npm run test:lambda`. */
export default defineConfig({
  ...ordinary,
  test: {
    ...ordinary.test,
    include: ['{packages,services}/*/test/**/*.lambda.test.ts', '{tools,test}/**/*.lambda.test.ts'],
    exclude: ['**/node_modules/**'],
    globalSetup: [],
    // The first one builds.
    testTimeout: 60_000,
    hookTimeout: 900_000,
  },
});
