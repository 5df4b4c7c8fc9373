import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';

/** One row of the file: somebody bought some pieces for some money on a day. */
export interface Purchase {
  /** The customer's id as the file writes it. */
  readonly customer: string;
  /** YYYYMMDD. */
  readonly date: string;
  /** Pieces, at least 1. */
  readonly quantity: number;
  /** What was paid, in cents. */
  readonly amount: number;
}

export interface PurchaseFile {
  readonly purchases: readonly Purchase[];
  /** The first 8 hexadecimal digits of the content's SHA-256: which file it was. */
  readonly fingerprint: string;
}

/** The file that `npm run load` replays when none is named. */
export const sampleFile = new URL('../../examples/data/cdnow-sample.txt', import.meta.url);

export async function readPurchases(file: string | URL = sampleFile): Promise<PurchaseFile> {
  const text = await readFile(file, 'utf8');
  const fingerprint = createHash('sha256').update(text).digest('hex').slice(0, 8);
  return { purchases: parsePurchases(text), fingerprint };
}

/**
 * Reads rows of five columns split by blanks: customer, customer in the sample (not used), date, pieces, dollars.
 * @throws Error that names the first row that is wrong; a purchase of no pieces is wrong, for no order can be made of it
 */
export function parsePurchases(text: string): Purchase[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => ({ line: line.trim(), number: index + 1 }))
    .filter(({ line }) => line !== '')
    .map(({ line, number }) => {
      const purchase = parseRow(line);
      if (!purchase)
        throw new Error(`row ${number} is not "customer, number, date, pieces, dollars": ${line}`);
      return purchase;
    });
}

const row = /^(\S{1,32})\s+\S+\s+(\d{8})\s+(\d{1,6})\s+(\d{1,9}\.\d{2})$/;

function parseRow(line: string): Purchase | undefined {
  const [, customer, date, pieces, dollars] = row.exec(line) ?? [];
  const quantity = Number(pieces);
  if (customer === undefined || date === undefined || dollars === undefined || quantity < 1) return undefined;
  // Without its point, "29.33" is the number of cents: no fraction is ever computed with.
  return { customer, date, quantity, amount: Number(dollars.replace('.', '')) };
}

/**
 * Which product a purchase becomes: the one at `hash mod length` of the catalogue in id order, where hash is FNV-1a (32 bits) over
 * "customer date pieces cents". Equal rows become the same product, and so does one row each time that it is replayed.
 */
export function productFor(
  { customer, date, quantity, amount }: Purchase,
  catalogue: readonly number[],
): number {
  const product = catalogue[fnv1a(`${customer} ${date} ${quantity} ${amount}`) % catalogue.length];
  if (product === undefined) throw new Error('the catalogue is empty: there is nothing to order');
  return product;
}

function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}
