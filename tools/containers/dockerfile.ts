import { existsSync } from 'node:fs';
import { join, matchesGlob, posix } from 'node:path';
import {
  type Copy,
  DockerfileParser,
  type From,
  type Instruction,
  type JSONInstruction,
} from 'dockerfile-ast';
import { isPinned } from './images.ts';

/** What a Dockerfile makes, as far as the rules look at it. */
export interface Image {
  /** Paths of the build context that its last stage holds at the same place below its working directory. */
  readonly holds: readonly string[];
  readonly exposed: readonly number[];
  readonly env: Readonly<Record<string, string>>;
  /** The commands that it runs by itself: to start, and for its health. */
  readonly commands: readonly (readonly string[])[];
}

export interface Context {
  /** Of the build context. */
  readonly root: string;
  /** The text of `.dockerignore`. */
  readonly ignore: string;
}

/** What a stage is while it is read. */
interface Stage extends Image {
  readonly user: string;
}

const FRESH: Stage = { holds: [], exposed: [], env: {}, commands: [], user: 'root' };

/** Reads a Dockerfile and says what is wrong with it. */
export function readDockerfile(text: string, context: Context): { image: Image; faults: string[] } {
  const faults: string[] = [];
  const stages = new Set<string>();
  let stage = FRESH;
  for (const instruction of DockerfileParser.parse(text).getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      const from = instruction as From;
      const base = from.getImage() ?? '';
      if (!stages.has(base) && !isPinned(base)) faults.push(`FROM ${base} is not pinned to a version`);
      stages.add(from.getBuildStage() ?? '');
      stage = FRESH;
    } else if (instruction.getKeyword() === 'COPY') {
      const { holds, faults: missing } = copied(instruction as Copy, stages, context);
      faults.push(...missing);
      stage = { ...stage, holds: [...stage.holds, ...holds] };
    } else stage = { ...stage, ...changed(stage, instruction, faults) };
  }
  if (/^(root|0)?(:|$)/.test(stage.user)) faults.push('the last stage runs as root');
  return { image: stage, faults };
}

/** What an instruction makes of a stage. */
function changed(stage: Stage, instruction: Instruction, faults: string[]): Partial<Stage> {
  const keyword = instruction.getKeyword();
  const words = instruction.getArguments().map((argument) => argument.getValue());
  switch (keyword) {
    case 'ENV': {
      const pairs = words.map((word) => word.split(/=(.*)/s).slice(0, 2) as [string, string]);
      return { env: { ...stage.env, ...Object.fromEntries(pairs) } };
    }
    case 'EXPOSE':
      return { exposed: [...stage.exposed, ...words.map(Number)] };
    case 'USER':
      return { user: words[0] ?? '' };
    case 'CMD':
    case 'ENTRYPOINT': {
      const command = (instruction as JSONInstruction).getJSONStrings().map((word) => word.getJSONValue());
      if (command.length === 0) faults.push(`${keyword} is no list, and a shell keeps its signals`);
      return { commands: [...stage.commands, command] };
    }
    case 'HEALTHCHECK':
      return { commands: [...stage.commands, healthCommand(words, faults)] };
    default:
      return {};
  }
}

function copied(
  copy: Copy,
  stages: ReadonlySet<string>,
  context: Context,
): { holds: string[]; faults: string[] } {
  const sources = copy
    .getArguments()
    .map((argument) => argument.getValue())
    .slice(0, -1);
  const from = copy.getFlags().find((flag) => flag.getName() === 'from');
  if (!from) return { holds: sources, faults: sources.flatMap((source) => missing(source, context)) };
  const name = from.getValue() ?? '';
  return { holds: [], faults: stages.has(name) ? [] : [`COPY --from=${name}: there is no such stage`] };
}

function healthCommand(words: readonly string[], faults: string[]): string[] {
  try {
    return JSON.parse(words.slice(1).join(' ')) as string[];
  } catch {
    faults.push('HEALTHCHECK is no list');
    return [];
  }
}

function missing(source: string, { root, ignore }: Context): string[] {
  if (!existsSync(join(root, source))) return [`COPY ${source}: there is no such file`];
  return isIgnored(source, ignore) ? [`COPY ${source}: .dockerignore leaves it out`] : [];
}

/** Whether `.dockerignore` leaves a path out: the last line that matches it or a folder above decides. */
export function isIgnored(path: string, ignore: string): boolean {
  const parts = posix.normalize(path).split('/');
  const above = parts.map((_, index) => parts.slice(0, index + 1).join('/'));
  let ignored = false;
  for (const line of ignore.split('\n').map((text) => text.trim())) {
    if (line === '' || line.startsWith('#')) continue;
    const negated = line.startsWith('!');
    const pattern = posix.normalize(negated ? line.slice(1) : line);
    if (above.some((folder) => matchesGlob(folder, pattern))) ignored = !negated;
  }
  return ignored;
}
