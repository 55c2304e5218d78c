/** A BPF object named on the command line: its options, and how it is read. */
import type { Command } from 'commander';
import { Btf } from '../../bpf/btf/btf.ts';
import { buildOwnBtf } from '../../bpf/btf-types/index.ts';
import { type BpfObject, LoadError, loadObject, type ObjectProgram } from '../../bpf/elf/index.ts';
import { BadInput } from '../../firewall/problem.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { readBytes } from '../output.ts';

export type ObjectOptions = {
  readonly btf?: string;
  readonly kconfig?: readonly string[];
  readonly type?: string;
  readonly prog?: readonly string[];
};

const collect = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

/** Adds the options that every command with an object has. */
export function withObjectOptions(command: Command): Command {
  return command
    .option('--prog <name>', 'only this program, also when its section begins with "?" (repeatable)', collect)
    .option('--btf <file>', "resolve CO-RE relocations against this BTF (default: netloom's own types)")
    .option('--kconfig <name=value>', 'value of an extern __kconfig variable (repeatable)', collect)
    .option('--type <type>', 'program type for sections whose name tells none: xdp, sched_cls...');
}

/** Reads an object; BadInput says what is wrong with it. */
export function readObject(file: string, options: ObjectOptions): BpfObject {
  const type = options.type === undefined ? 0 : PROG_TYPE_NAMES.indexOf(options.type);
  if (type < 0)
    throw new BadInput(`there is no program type '${options.type}'; types: ${PROG_TYPE_NAMES.slice(1).join(', ')}`);
  const kconfig: Record<string, string> = {};
  for (const pair of options.kconfig ?? []) {
    const at = pair.indexOf('=');
    if (at <= 0) throw new BadInput(`--kconfig takes NAME=VALUE, not '${pair}'`);
    kconfig[pair.slice(0, at)] = pair.slice(at + 1);
  }
  const own = options.btf === undefined;
  const target = own ? buildOwnBtf() : reading(options.btf!, (bytes) => Btf.parse(bytes));
  return reading(file, (bytes) =>
    loadObject(bytes, { name: file, target, keepUnknown: own, kconfig, defaultType: type, lenient: true }),
  );
}

/** The programs that were asked for: those named, or all that load by default. */
export function choosePrograms(object: BpfObject, file: string, names: readonly string[] | undefined): ObjectProgram[] {
  if (names === undefined) {
    if (object.programs.length === 0) throw new BadInput('there is no program in it', { file });
    const loaded = object.programs.filter((p) => p.autoload);
    return loaded.length > 0 ? loaded : [...object.programs];
  }
  return names.flatMap((name) => {
    const found = object.programs.filter((p) => p.name === name);
    if (found.length > 0) return found;
    const known = object.programs.map((p) => p.name).join(', ');
    throw new BadInput(`there is no program '${name}'; programs: ${known}`, { file });
  });
}

function reading<T>(file: string, read: (bytes: Uint8Array) => T): T {
  let bytes: Uint8Array;
  try {
    bytes = readBytes(file);
  } catch (error) {
    throw new BadInput((error as Error).message, { file });
  }
  try {
    return read(bytes);
  } catch (error) {
    if (!(error instanceof LoadError)) throw error;
    throw new BadInput(error.message, { file });
  }
}
