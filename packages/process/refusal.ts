/** What a command will not do. It is shown as it is to whoever asked, and ends the process with the exit code. */
export class Refusal extends Error {
  readonly exitCode: 1 | 2;

  /** @param exitCode 2 when another command line would do it; 1 when not */
  constructor(message: string, exitCode: 1 | 2 = 1) {
    super(message);
    this.name = 'Refusal';
    this.exitCode = exitCode;
  }
}
