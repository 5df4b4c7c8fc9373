/** A word longer than that is cut: PostgreSQL keeps no lexeme over 2 KiB. */
const LONGEST = 64;

/**
 * The words of a text as they are searched and sorted: letters and digits only, small, without accents. It is done here and not by
 * PostgreSQL, whose idea of letters depends on the locale that a server was made with.
 */
export function wordsOf(text: string): string[] {
  const plain = text
    .normalize('NFKD')
    .replace(/\p{M}+/gu, '')
    .toLowerCase();
  return (plain.match(/[\p{L}\p{N}]+/gu) ?? []).map((word) => [...word].slice(0, LONGEST).join(''));
}

/** What a name is sorted by, in the order of its code points. */
export function sortKeyOf(name: string): string {
  return [...wordsOf(name).join(' ')].slice(0, 200).join('');
}

/**
 * The tsquery that a search stands for: every word of it begins a word of what is found. Undefined when there is nothing to look
 * for, null when there is something but no word in it, which nothing can match.
 */
export function searchQuery(search: string): string | null | undefined {
  if (search.trim() === '') return undefined;
  const words = [...new Set(wordsOf(search))];
  // Nothing but letters and digits comes out of wordsOf, so there is nothing to escape.
  return words.length === 0 ? null : words.map((word) => `'${word}':*`).join(' & ');
}
