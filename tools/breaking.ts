// Holds the contracts against those that were released: the recording in test/corpus, which every clone has, and the newest release's tag, where
// there is one. Exits with 1 and names what breaks those who still speak the old ones. Needs no network.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileRegistry, fromBinary, getOption, hasOption } from '@bufbuild/protobuf';
import { FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { type TopicOptions, topic as topicOption } from '@tradewind/contracts/messaging/v1/topic';

const recordings = 'test/corpus';

const newest = (names: readonly string[]) =>
  names.toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);

/** The contracts as they were recorded last. */
const recorded = newest(readdirSync(recordings).filter((name) => /^v\d+$/.test(name)));
/** The newest release that this commit comes from; undefined in a clone without tags. */
const tags = spawnSync('git', ['tag', '--list', 'v*', '--merged', 'HEAD'], { encoding: 'utf8' });
const released = newest(tags.status === 0 ? tags.stdout.split('\n').filter(Boolean) : []);

type Topic = Pick<TopicOptions, 'name' | 'key' | 'keepForEver' | 'lowerCamelCase'>;

/** The topic of every event in an image of buf's. */
function topicsOf(image: string): Map<string, Topic> {
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)));
  const topics = new Map<string, Topic>();
  for (const type of registry) {
    if (type.kind === 'message' && hasOption(type, topicOption))
      topics.set(type.typeName, getOption(type, topicOption));
  }
  return topics;
}

function inWords({ name, key, keepForEver, lowerCamelCase }: Topic): string {
  const names = lowerCamelCase ? 'names in lowerCamelCase' : 'proto names';
  return `topic ${name}, key ${key}, ${names}${keepForEver ? ', kept for ever' : ''}`;
}

const scratch = mkdtempSync(join(tmpdir(), 'tradewind-contracts-'));
const build = (input: string, output: string) => {
  const image = join(scratch, output);
  execFileSync('buf', ['build', input, '-o', image], { stdio: ['ignore', 'inherit', 'inherit'] });
  return image;
};

/**
 * What buf does not look at: an event that moves to another topic, gets another key, or is written in other names is lost to those who listen; one
 * that is no longer kept, to those who begin at the first record.
 */
function movedTopics(before: string, now: string): string[] {
  const today = topicsOf(now);
  return [...topicsOf(before)].flatMap(([event, was]) => {
    const is = today.get(event);
    if (is === undefined) return [];
    const had = inWords(was);
    // To be kept longer than before harms nobody.
    const has = inWords({ ...is, keepForEver: is.keepForEver && was.keepForEver });
    return has === had ? [] : [`${event} had ${had} and has ${has}`];
  });
}

try {
  const now = build('.', 'now.binpb');
  const against: [string, string][] = [];
  if (recorded) against.push([`recording ${recorded}`, `${recordings}/${recorded}/contracts.binpb`]);
  if (released) against.push([`release ${released}`, build(`.git#tag=${released}`, 'released.binpb')]);
  if (against.length === 0) throw new Error(`there are no contracts in ${recordings} to compare with`);
  for (const [name, image] of against) {
    const { status } = spawnSync('buf', ['breaking', '--against', image], { stdio: 'inherit' });
    const moved = movedTopics(image, now);
    for (const line of moved) process.stderr.write(`${line}\n`);
    const sound = status === 0 && moved.length === 0;
    process.stdout.write(`contracts against ${name}: ${sound ? 'nothing breaks' : 'BROKEN, see above'}\n`);
    if (!sound) process.exitCode = 1;
  }
  if (!released) process.stdout.write('no release is tagged in this clone; the recording stands for it\n');
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
