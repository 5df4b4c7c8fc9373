/** Says that the store is complete, under which epoch, and in which life of the server: `<epoch>:<run>`. */
export const MARKER = 'ratings-marker';
/** Says who fills the store: `<epoch>:<run>:<token>`. It goes by itself when nobody does any more. */
export const REFILL = 'ratings-refill';
/** All of ours begin with it. */
export const PREFIX = 'ratings';

/** A hash: value, `1` to `5`, to its count; values that nobody gave are left out. Clients read it, so nothing else may be in it. */
export function countsKey(subject: string): string {
  return `ratings/${subject}`;
}

/** `<epoch>:<revision>:<sum of the counts>:<milliseconds since 1970 of the last change>` of what the hash holds. */
export function revisionKey(subject: string): string {
  return `ratings-revision/${subject}`;
}

/** The subject that a key is about; undefined when it is not one of a subject. */
export function subjectOf(key: string): string | undefined {
  return /^ratings(?:-revision)?\/([\s\S]+)$/.exec(key)?.[1];
}
