/** `netloom bpf disasm FILE`: the instructions of a BPF object, or raw ones, as text. */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { type DisassembleOptions, disassemble } from '../../bpf/asm/index.ts';
import type { ObjectProgram } from '../../bpf/elf/index.ts';
import { decodeInsns, type Insn } from '../../bpf/insn.ts';
import { BadInput } from '../../firewall/problem.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { BAD_INPUT, guarded, OK, readBytes } from '../output.ts';
import { choosePrograms, type ObjectOptions, readObject, withObjectOptions } from './object-file.ts';

const HELP = `
The text of either style can be given to netloom bpf asm. Map numbers are places in the object's list of maps.

Exit code: 0, or 2 when the file or a program of it cannot be read.

Examples:
  netloom bpf disasm xdp_filter.o --prog parse
  netloom bpf disasm xdp_filter.o --style clang --labels
  netloom bpf disasm --raw program.bin
  netloom bpf disasm --hex 'b7000000010000009500000000000000'
`;

type Options = ObjectOptions & {
  readonly style: string;
  readonly labels?: boolean;
  readonly bytes?: boolean;
  readonly source: boolean;
  readonly raw?: boolean;
  readonly hex?: string;
};

export function addDisasm(bpf: Command): void {
  withObjectOptions(
    bpf
      .command('disasm')
      .description('show the instructions of programs as text')
      .argument('[file]', 'BPF object (clang -target bpf -c)'),
  )
    .option('--style <style>', "kernel (as in verifier logs) or clang (llvm-objdump's)", 'kernel')
    .option('--labels', 'with --style clang: labels in place of distances')
    .option('--bytes', 'show the bytes of every instruction')
    .option('--no-source', 'leave out the source lines')
    .option('--raw', 'the file holds nothing but instructions')
    .option('--hex <bytes>', 'take these instructions instead of a file')
    .addHelpText('after', HELP)
    .action((file: string | undefined, options: Options) => guarded(() => run(file, options)));
}

function run(file: string | undefined, options: Options): number {
  if (options.style !== 'kernel' && options.style !== 'clang')
    throw new BadInput(`--style takes kernel or clang, not '${options.style}'`);
  if ((file === undefined) === (options.hex === undefined)) throw new BadInput('one of FILE and --hex is needed');
  const form: DisassembleOptions = { style: options.style, labels: options.labels, bytes: options.bytes };
  if (options.hex !== undefined || options.raw === true) {
    process.stdout.write(disassemble(rawInsns(file, options.hex), form));
    return OK;
  }
  let code = OK;
  choosePrograms(readObject(file!, options), file!, options.prog).forEach((program, i) => {
    if (i > 0) process.stdout.write('\n');
    process.stdout.write(
      `# ${program.name} (${PROG_TYPE_NAMES[program.type] || 'unspec'}), section ${program.section}\n`,
    );
    if (program.problem !== undefined) {
      process.stderr.write(`${program.name}: ${program.problem.message}\n`);
      code = BAD_INPUT;
    } else process.stdout.write(disassemble(program.insns, { ...form, ...namesOf(program, options.source) }));
  });
  return code;
}

function namesOf(program: ObjectProgram, source: boolean): DisassembleOptions {
  const lines = new Map((source ? (program.lineInfo ?? []) : []).map((line) => [line.insn, line.text.trim()]));
  return {
    mapName: (index) => program.maps[index]?.name,
    kfunc: (imm) => program.kfuncs?.get(imm),
    source: (pc) => lines.get(pc) || undefined,
  };
}

function rawInsns(file: string | undefined, hex: string | undefined): Insn[] {
  let bytes: Uint8Array;
  if (hex !== undefined) {
    const digits = hex.replace(/\s/g, '');
    if (!/^([0-9a-f]{2})*$/i.test(digits)) throw new BadInput('--hex takes pairs of hexadecimal digits');
    bytes = new Uint8Array(Buffer.from(digits, 'hex'));
  } else {
    try {
      bytes = file === '-' ? new Uint8Array(readFileSync(0)) : readBytes(file!);
    } catch (error) {
      throw new BadInput((error as Error).message, { file });
    }
  }
  if (bytes.length % 8 !== 0) throw new BadInput(`${bytes.length} bytes are no instructions of 8 bytes each`, { file });
  return decodeInsns(bytes);
}
