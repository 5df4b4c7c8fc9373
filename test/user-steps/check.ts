const totals = { passed: 0, failed: 0 };
const failures: string[] = [];

/** One check: says ok or FAILED, and counts. A failure does not end the run. Resolves with whether it passed. */
export async function check(name: string, work: () => unknown): Promise<boolean> {
  const began = Date.now();
  try {
    await work();
    totals.passed += 1;
    print(`  ok      ${name} (${seconds(began)})`);
    return true;
  } catch (error) {
    totals.failed += 1;
    failures.push(name);
    const text = error instanceof Error ? error.message : String(error);
    print(`  FAILED  ${name} (${seconds(began)})\n${text.replaceAll(/^/gm, '          ')}`);
    return false;
  }
}

/** A heading over some checks, and how long they took. */
export async function section(title: string, work: () => Promise<void>): Promise<void> {
  const began = Date.now();
  print(`\n${title}`);
  // What breaks a section outside of its checks must not hide the sections after it.
  await work().catch((error: unknown) =>
    check(`${title}: to its end`, () => {
      throw error;
    }),
  );
  print(`  (${seconds(began)})`);
}

/** Prints the line of totals. Answers whether all is well. */
export function finish(): boolean {
  if (failures.length > 0) print(`\nfailed:\n${failures.map((name) => `  ${name}`).join('\n')}`);
  print(`\n${totals.passed} passed, ${totals.failed} failed, 0 skipped`);
  return totals.failed === 0 && totals.passed > 0;
}

/** @throws Error that shows what was found */
export function must(holds: boolean, found: unknown): asserts holds {
  if (holds) return;
  const text = typeof found === 'string' ? found : JSON.stringify(found, undefined, 1);
  throw new Error(`found: ${text.slice(0, 4_000)}`);
}

export function equal(found: unknown, expected: unknown): void {
  const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
  if (a !== b) throw new Error(`expected ${b}, found ${a}`);
}

/** Waits until a condition holds. @throws Error with the last answer */
export async function eventually<T>(
  ask: () => Promise<T>,
  holds: (answer: T) => boolean,
  withinMs = 15_000,
): Promise<T> {
  for (const deadline = Date.now() + withinMs; ; ) {
    const answer = await ask();
    if (holds(answer)) return answer;
    if (Date.now() > deadline)
      throw new Error(`not within ${withinMs} ms; at last: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function seconds(began: number): string {
  return `${((Date.now() - began) / 1_000).toFixed(1)} s`;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
