/**
 * Narrows a range of places that are in the order of time down to at most `near` of them, by a look at one place at a time: everything before
 * the place that it resolves with is too early.
 * @param look what is at a place, or at the first one behind it where something is; undefined when nothing is
 */
export async function bisect(
  range: { readonly start: bigint; readonly end: bigint },
  near: bigint,
  look: (from: bigint) => Promise<{ readonly at: bigint; readonly early: boolean } | undefined>,
): Promise<bigint> {
  let { start, end } = range;
  while (end - start > near) {
    const middle = start + (end - start) / 2n;
    const found = await look(middle);
    if (found?.early) start = found.at + 1n;
    else end = middle;
  }
  return start;
}
