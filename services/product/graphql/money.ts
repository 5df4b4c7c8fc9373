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

/**
 * The other way round.
 * @throws ConnectError INVALID_ARGUMENT naming `price` when it is no whole number of minor units
 */
export function toMinor(major: number, currency: string): bigint {
  const minor = major * unitsOf(currency);
  const whole = Math.round(minor);
  // What binary fractions leave over is far smaller than that; a third decimal of dollars is far greater.
  if (!Number.isSafeInteger(whole) || Math.abs(minor - whole) > 1e-4) {
    throw problem('price', `must be a whole number of ${currency}'s minor unit`);
  }
  return BigInt(whole);
}
