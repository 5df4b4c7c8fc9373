import { type Command, UsageError } from './command-line.ts';

/** A command can't do what it was asked to; the message says why, and the exit code which kind it is. */
export class ToolFailure extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode: number) {
    super(message);
    this.exitCode = exitCode;
  }
}

export interface Tool<Options> {
  readonly usage: string;
  /** @throws UsageError */
  parse(): Command<Options>;
  run(
    options: Options,
    signal: AbortSignal,
    print: (text: string) => void,
  ): Promise<{ readonly ok: boolean; readonly json: object }>;
}

/** A command's main. Exit codes: 0 all is well, 1 something is not, 2 wrong command line, a ToolFailure's own, 130 interrupted. */
export async function runTool<Options>({ usage, parse, run }: Tool<Options>): Promise<void> {
  const print = (text: string) => process.stdout.write(`${text}\n`);
  const interrupted = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    // A second one ends the process as it would any other.
    process.once(name, () => interrupted.abort(new Error(`stopped by ${name}`)));
  }
  try {
    const command = parse();
    if (command === 'help') return void print(usage);
    const { ok, json } = await run(command.options, interrupted.signal, print);
    if (command.json) print(JSON.stringify(json));
    process.exitCode = ok ? 0 : 1;
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    process.stderr.write(error instanceof UsageError ? `${text}\n\n${usage}\n` : `${text}\n`);
    process.exitCode = interrupted.signal.aborted ? 130 : codeOf(error);
  }
}

function codeOf(error: unknown): number {
  if (error instanceof ToolFailure) return error.exitCode;
  return error instanceof UsageError ? 2 : 1;
}
