import { allDeadLetterTopics, topicsOf as heardBy, groups as known, readBy } from '../dlq/groups.ts';

export const groups: readonly string[] = known.map(({ name }) => name);

/** The topics of a group, its way back for dead letters among them. */
export function topicsOf(name: string): string[] {
  const group = known.find((one) => one.name === name);
  return group ? readBy(group) : [];
}

/** The groups that hear a topic. */
export function hearersOf(topic: string): string[] {
  return known.filter((group) => heardBy(group).includes(topic)).map(({ name }) => name);
}

/** Where what somebody gave up on lies. */
export const deadLetterTopics: readonly string[] = allDeadLetterTopics();
