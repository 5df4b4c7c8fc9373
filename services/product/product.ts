import { defineEntity, p } from '@mikro-orm/core';
import { sortKeyOf, wordsOf } from './words.ts';

/** What a caller may say of a product. */
export interface ProductFields {
  readonly name: string;
  readonly description: string;
  /** Of one piece, in the currency's minor unit. */
  readonly price: bigint;
  /** ISO 4217. */
  readonly currency: string;
  readonly category: string;
  readonly brand: string;
  /** A URL, or empty. */
  readonly thumbnail: string;
}

export const ProductSchema = defineEntity({
  name: 'Product',
  tableName: 'product',
  properties: {
    id: p.integer().primary().autoincrement(),
    name: p.text(),
    description: p.text(),
    price: p.bigint(),
    currency: p.text(),
    category: p.text(),
    brand: p.text(),
    thumbnail: p.text(),
    // MikroORM reads what it calls a double as a text.
    rating: p.float().nullable(),
    ratingCount: p.bigint(),
    ratingSum: p.bigint(),
    words: p.array(),
    sortKey: p.text(),
    createdAt: p.datetime(),
    updatedAt: p.datetime(),
    revision: p.bigint(),
    deletedAt: p.datetime().nullable(),
  },
});

/** A product of the catalogue. Once deleted it stays as a tombstone, so that its id and its revision are never used again. */
export class Product extends ProductSchema.class {
  /** A new product, revision 1; the database gives it its id. */
  static of(fields: ProductFields, now: Date): Product {
    const product = new Product();
    Object.assign(product, fields, {
      createdAt: now,
      updatedAt: now,
      revision: 1n,
      rating: null,
      ratingCount: 0n,
      ratingSum: 0n,
      deletedAt: null,
    });
    product.index();
    return product;
  }

  get deleted(): boolean {
    return this.deletedAt !== null && this.deletedAt !== undefined;
  }

  /** Takes new values on. False when nothing is different from before. */
  change(fields: Partial<ProductFields>, now: Date): boolean {
    const names = Object.keys(fields) as (keyof ProductFields)[];
    if (this.deleted || names.every((name) => fields[name] === this[name])) return false;
    Object.assign(this, fields);
    this.index();
    this.touch(now);
    return true;
  }

  /** Takes the product out of the catalogue. False when it was out already. */
  delete(now: Date): boolean {
    if (this.deleted) return false;
    this.deletedAt = now;
    this.touch(now);
    return true;
  }

  /**
   * Counts a rating, 1 to 5: a new one, or one that was `previous` before. It is no change of the product. False when no ratings could
   * add up to what would come of it.
   */
  rate(value: number, previous?: number): boolean {
    const count = previous === undefined ? this.ratingCount + 1n : this.ratingCount;
    const sum = this.ratingSum + BigInt(value - (previous ?? 0));
    if (count === 0n || sum < count || sum > 5n * count) return false;
    this.ratingCount = count;
    this.ratingSum = sum;
    this.rating = Number(sum) / Number(count);
    return true;
  }

  private index(): void {
    this.words = [...new Set(wordsOf([this.name, this.description, this.brand, this.category].join(' ')))];
    this.sortKey = sortKeyOf(this.name);
  }

  private touch(now: Date): void {
    // A clock that was set back must not make a change look older than what it changed.
    this.updatedAt = now > this.updatedAt ? now : this.updatedAt;
    this.revision += 1n;
  }
}
ProductSchema.setClass(Product);
