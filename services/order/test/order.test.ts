import { create } from '@bufbuild/protobuf';
import { Code, type ConnectError } from '@connectrpc/connect';
import { NewOrderLineSchema } from '@tradewind/contracts/order/v1/order';
import { violationsOf } from '@tradewind/rpc/failure';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Order, price, type Status } from '../order.ts';

const order = (status: Status) => Object.assign(new Order(), { status, reason: '', revision: 1 });
const line = (unitPrice?: bigint, totalPrice?: bigint, quantity = 3) =>
  create(NewOrderLineSchema, {
    productId: 1,
    quantity,
    ...(unitPrice !== undefined && { unitPrice }),
    ...(totalPrice !== undefined && { totalPrice }),
  });

describe('what may happen to an order', () => {
  test.each([
    ['PENDING', 'confirm', true, 'CONFIRMED'],
    ['CONFIRMED', 'confirm', false, 'CONFIRMED'],
    ['CANCELED', 'confirm', false, 'CANCELED'],
    ['PENDING', 'reject', true, 'CANCELED'],
    ['CONFIRMED', 'reject', false, 'CONFIRMED'],
    ['CANCELED', 'reject', false, 'CANCELED'],
    ['PENDING', 'cancel', true, 'CANCELED'],
    ['CONFIRMED', 'cancel', true, 'CANCELED'],
    ['CANCELED', 'cancel', false, 'CANCELED'],
  ] as const)('%s, %s: changes %s, then %s', (before, rule, changes, after) => {
    const it = order(before);
    expect(rule === 'reject' ? it.reject('no stock') : it[rule]()).toBe(changes);
    expect(it).toMatchObject({ status: after, revision: changes ? 2 : 1 });
  });

  test('the reason of the first cancellation stays', () => {
    const it = order('PENDING');
    it.reject('no stock');
    it.cancel();
    expect(it.reason).toBe('no stock');
  });
});

describe('prices', () => {
  test.each([
    ['a unit price', line(5n), { unitPrice: 5, totalPrice: 15 }],
    ['a total that divides', line(undefined, 15n), { unitPrice: 5, totalPrice: 15 }],
    ['a total that does not divide', line(undefined, 16n), { unitPrice: null, totalPrice: 16 }],
    ['both, agreeing', line(5n, 15n), { unitPrice: 5, totalPrice: 15 }],
    ['nothing to pay', line(0n), { unitPrice: 0, totalPrice: 0 }],
    ['the highest', line(1_000_000_000n, undefined, 1_000_000), { unitPrice: 1e9, totalPrice: 1e15 }],
  ])('%s', (_, given, expected) => {
    expect(price([given], undefined)).toMatchObject({ lines: [expected], totalPrice: expected.totalPrice });
  });

  const most = BigInt(Number.MAX_SAFE_INTEGER);
  test.each([
    ['no price at all', [line()], undefined, 'lines[0]'],
    ['two that disagree', [line(5n), line(5n, 16n)], undefined, 'lines[1].total_price'],
    ['a total that the lines do not add up to', [line(5n)], 16n, 'total_price'],
    ['a sum that is not safe', [line(undefined, most), line(undefined, 1n)], undefined, 'lines'],
  ])('%s is named', (_, lines, total, field) => {
    const refused = () => price(lines, total);
    expect(refused).toThrow(expect.objectContaining({ code: Code.InvalidArgument }));
    try {
      refused();
    } catch (error) {
      expect(violationsOf(error as ConnectError)).toEqual([{ field, error: expect.any(String) }]);
    }
  });

  test('whatever is accepted adds up, in safe integers', () => {
    const money = fc.option(fc.bigInt({ min: 0n, max: most }), { nil: undefined });
    const unit = fc.option(fc.bigInt({ min: 0n, max: 1_000_000_000n }), { nil: undefined });
    const lines = fc.array(fc.tuple(unit, money, fc.integer({ min: 1, max: 1_000_000 })), {
      minLength: 1,
      maxLength: 20,
    });
    fc.assert(
      fc.property(lines, (given) => {
        let priced: ReturnType<typeof price>;
        try {
          priced = price(
            given.map(([unitPrice, totalPrice, quantity]) => line(unitPrice, totalPrice, quantity)),
            undefined,
          );
        } catch {
          return;
        }
        const exact = priced.lines.reduce((sum, { totalPrice }) => sum + BigInt(totalPrice), 0n);
        expect(BigInt(priced.totalPrice)).toBe(exact);
        for (const { unitPrice, quantity, totalPrice } of priced.lines) {
          if (unitPrice !== null) expect(BigInt(unitPrice) * BigInt(quantity)).toBe(BigInt(totalPrice));
          else expect(totalPrice % quantity).not.toBe(0);
        }
      }),
    );
  });
});
