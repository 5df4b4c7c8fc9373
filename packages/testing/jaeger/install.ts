import { type GoProgram, type InstallOptions, installGoProgram } from '../go/program.ts';

/** Of the Go module; the Jaeger that it holds calls itself 2.13.0. */
export const JAEGER_VERSION = '1.76.0';

const JAEGER: GoProgram = {
  title: 'Jaeger',
  name: 'jaeger',
  version: JAEGER_VERSION,
  module: `github.com/jaegertracing/jaeger@v${JAEGER_VERSION}`,
  checksum: 'h1:sWCOOF1dr+NL0PLil7mFo3BqqQL8k4WiM7aguFbc14g=',
  path: './cmd/jaeger',
  packages: 'about 2,300',
  time: 'several minutes',
};

/** Builds Jaeger into the cache, unless it is there, and returns the program's path; as installGoProgram says. */
export function installJaeger(
  onProgress?: (step: string) => void,
  options?: InstallOptions,
): Promise<string> {
  return installGoProgram(JAEGER, onProgress, options);
}
