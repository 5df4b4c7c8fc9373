import { type JaegerUrls, startJaeger } from './jaeger.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** Where the run's Jaeger is. */
    readonly jaeger: JaegerUrls;
  }
}

/**
 * vitest's global setup: one real Jaeger for the run, built when the cache has none. Its addresses reach the test files by
 * `inject('jaeger')`. Without Go the run fails and says so; it never skips.
 */
export default async function setup(project: {
  provide(key: 'jaeger', urls: JaegerUrls): void;
}): Promise<() => Promise<void>> {
  const jaeger = await startJaeger({ onProgress: (step) => console.log(step) });
  project.provide('jaeger', jaeger.urls);
  return async () => await jaeger[Symbol.asyncDispose]();
}
