/** Rows by their keys, and what happened to them: so that a save writes what changed and nothing else. */
export class Tracked<Key, Row> {
  readonly #rows: Map<Key, Row>;
  readonly #keyOf: (row: Row) => Key;
  readonly #added = new Set<Row>();
  readonly #changed = new Set<Row>();

  constructor(rows: readonly Row[], keyOf: (row: Row) => Key) {
    this.#keyOf = keyOf;
    this.#rows = new Map(rows.map((row) => [keyOf(row), row]));
  }

  get(key: Key): Row | undefined {
    return this.#rows.get(key);
  }

  /** A row that the table does not have yet. */
  add(row: Row): Row {
    this.#rows.set(this.#keyOf(row), row);
    this.#added.add(row);
    return row;
  }

  /** Says that a row is not what it was. */
  touch(row: Row): void {
    if (!this.#added.has(row)) this.#changed.add(row);
  }

  /** To be inserted. */
  get added(): Row[] {
    return [...this.#added];
  }

  /** To be updated. */
  get changed(): Row[] {
    return [...this.#changed];
  }
}
