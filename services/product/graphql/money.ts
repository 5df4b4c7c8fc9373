import { problem } from '@tradewind/rpc/failure';

// ISO 4217's minor units where they are not two. Intl can't be asked: it follows local habit, which rounds some of these away.
const DIGITS: Readonly<Record<number, string>> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF',
  3: 'BHD IQD JOD KWD LYD OMR TND',
  4: 'CLF UYW',
};

const digitsOf = new Map(
  Object.entries(DIGITS).flatMap(([digits, codes]) =>
    codes.split(' ').map((code) => [code, Number(digits)] as const),
  ),
);

function unitsOf(currency: string): number {
  return 10 ** (digitsOf.get(currency) ?? 2);
}

/** 24900 minor units of USD are 249, of JPY 24900. */
export function toMajor(minor: bigint, currency: string): number {
  return Number(minor) / unitsOf(currency);
}

// The contract's highest price, in minor units.
const HIGHEST = 1_000_000_000n;

/**
 * The other way round.
 * @throws ConnectError INVALID_ARGUMENT naming `price` when it is no whole number of minor units, or out of the contract's range
 */
export function toMinor(major: number, currency: string): bigint {
  const units = unitsOf(currency);
  const whole = Math.round(major * units);
  const highest = toMajor(HIGHEST, currency);
  if (!(major >= 0 && major <= highest)) throw problem('price', `must be from 0 to ${highest} ${currency}`);
  // What adding up in binary fractions leaves over, in proportion to the price: so nothing but 0 becomes 0.
  if (Math.abs(major - whole / units) > 16 * Number.EPSILON * major) {
    throw problem('price', `must be a whole number of ${currency}'s minor unit, ${1 / units}`);
  }
  return BigInt(whole);
}
