import { defineEntity, p } from '@mikro-orm/core';
import type { EntityManager } from '@tradewind/database/database';
import { run, statement } from '@tradewind/database/statement';
import type { WorkingSet } from '@tradewind/messaging/subscription';
import { type Kind, subjectId } from './subject.ts';

export const SubjectEntity = defineEntity({
  name: 'Subject',
  tableName: 'subject',
  properties: {
    id: p.text().primary(),
    kind: p.text().$type<Kind>(),
    name: p.text(),
    deleted: p.boolean(),
    productRevision: p.bigint().nullable(),
    createdAt: p.datetime(),
  },
});

/** Something that can be rated. */
export class SubjectRow extends SubjectEntity.class {}
SubjectEntity.setClass(SubjectRow);

/** What is known of a subject that somebody wants to rate. */
export interface KnownSubject {
  readonly id: string;
  /** A product that left the catalogue: its ratings stay, and there will be no new ones. */
  readonly deleted: boolean;
}

const find = statement<KnownSubject>('SELECT id, deleted FROM subject WHERE id = ANY($1::text[])');

/** Those of the subjects that are known, within a transaction. */
export async function knownSubjects(
  em: EntityManager,
  ids: readonly string[],
): Promise<Map<string, KnownSubject>> {
  const rows = await run(em, find, [[...new Set(ids)]]);
  return new Map(rows.map((row) => [row.id, row]));
}

const insert = statement<{ created_at: Date }>(
  'INSERT INTO subject (id, kind, name) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING RETURNING created_at',
);

/** Makes a subject known; gives the time, or undefined when it was known before. */
export async function insertSubject(
  em: EntityManager,
  { id, kind, name }: { readonly id: string; readonly kind: Kind; readonly name: string },
): Promise<Date | undefined> {
  return (await run(em, insert, [id, kind, name]))[0]?.created_at;
}

/** What an event of the product service says. */
interface Heard {
  readonly revision: bigint;
  readonly name: string | undefined;
  readonly deleted: boolean;
}

// What was told last counts, in whatever order it arrives; a deletion has no name to tell.
const hear = statement(`
  INSERT INTO subject AS mine (id, kind, name, deleted, product_revision)
  SELECT id, 'product', coalesce(name, ''), deleted, revision
  FROM unnest($1::text[], $2::text[], $3::boolean[], $4::bigint[]) AS heard (id, name, deleted, revision)
  ORDER BY id
  ON CONFLICT (id) DO UPDATE SET deleted = excluded.deleted, product_revision = excluded.product_revision,
    name = CASE WHEN excluded.name = '' THEN mine.name ELSE excluded.name END
  WHERE mine.product_revision < excluded.product_revision`);

/** The products that a batch of events is about: of each the newest event counts. */
export class HeardProducts implements WorkingSet {
  readonly #heard = new Map<string, Heard>();

  /** @param name left out by a deletion */
  hear(productId: number, revision: bigint, name?: string): void {
    const id = subjectId({ case: 'productId', value: productId });
    const before = this.#heard.get(id);
    if (before && before.revision >= revision) return;
    this.#heard.set(id, { revision, name: name ?? before?.name, deleted: name === undefined });
  }

  async save(em: EntityManager): Promise<void> {
    const heard = [...this.#heard];
    await run(em, hear, [
      heard.map(([id]) => id),
      heard.map(([, { name }]) => name),
      heard.map(([, { deleted }]) => deleted),
      heard.map(([, { revision }]) => revision),
    ]);
  }
}

/** Nothing has to be read: one statement compares and writes. */
export async function hearProducts(): Promise<HeardProducts> {
  return new HeardProducts();
}
