import { type GoProgram, type InstallOptions, installGoProgram } from '../go/program.ts';

/** AWS tags its releases in a way that Go does not know, so it is named by its commit. */
const VERSION = '0.0.0-20261030222936-bef5c4ba774d';

const EMULATOR: GoProgram = {
  title: "AWS' runtime interface emulator",
  name: 'aws-lambda-rie',
  version: VERSION,
  module: `github.com/aws/aws-lambda-runtime-interface-emulator@v${VERSION}`,
  checksum: 'h1:E8QcgpwFecNMTAHHnt11/CS9JLe5QqT/DI/WRg0cvMA=',
  path: './cmd/aws-lambda-rie',
  packages: 'about 200',
  time: 'a minute',
};

/** Builds AWS' Lambda emulator into the cache, unless it is there, and returns the program's path; as installGoProgram says. */
export function installEmulator(
  onProgress?: (step: string) => void,
  options?: InstallOptions,
): Promise<string> {
  return installGoProgram(EMULATOR, onProgress, options);
}
