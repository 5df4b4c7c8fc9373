/** How far the two clocks may be apart before they are set against each other again. */
const APART_MS = 2;

let offset = Date.now() - performance.now();

/** Milliseconds since 1970, with fractions, which Date.now() lacks; it follows the system's clock when that is set. */
export function epochMs(): number {
  const now = performance.now() + offset;
  const wall = Date.now();
  if (Math.abs(now - wall) <= APART_MS) return now;
  offset = wall - performance.now();
  return wall;
}
