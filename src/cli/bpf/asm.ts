/** `netloom bpf asm FILE`: text in the kernel's or clang's notation to instructions, and on request to the verifier. */
import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { assemble } from '../../bpf/asm/index.ts';
import { encodeInsns, type Insn } from '../../bpf/insn.ts';
import type { ProgramSpec } from '../../bpf/program.ts';
import { verify } from '../../bpf/verifier/verify.ts';
import { BadInput, formatProblem } from '../../firewall/problem.ts';
import { PROG_TYPE_NAMES } from '../../wire/uapi/bpf.ts';
import { BAD_INPUT, guarded, OK, REFUSED, readText } from '../output.ts';

const HELP = `
Statements are apart by lines or semicolons; labels end in a colon; # and // begin comments. The log of a verifier may be
given as it is.

Exit code: 0 assembled (and accepted, with --verify), 1 refused by the verifier, 2 the text cannot be read.

Examples:
  echo 'r0 = 2; exit' | netloom bpf asm -
  netloom bpf asm pass.s --verify xdp
  netloom bpf asm pass.s --out pass.bin
`;

type Options = { readonly out?: string; readonly format: string; readonly verify?: string };

const FORMATS: Readonly<Record<string, (insns: readonly Insn[]) => string>> = {
  hex: (insns) => `${eights(encodeInsns(insns)).join('\n')}\n`,
  c: (insns) =>
    insns
      .map(
        ({ code, dst, src, off, imm }) =>
          `{ .code = 0x${code.toString(16).padStart(2, '0')}, .dst_reg = ${dst}, .src_reg = ${src}, .off = ${off}, .imm = ${imm} },\n`,
      )
      .join(''),
  json: (insns) => `${JSON.stringify(insns)}\n`,
};

const eights = (bytes: Uint8Array): string[] => Buffer.from(bytes).toString('hex').match(/.{16}/g) ?? [];

export function addAsm(bpf: Command): void {
  bpf
    .command('asm')
    .description("assemble text in the kernel's or clang's notation")
    .argument('<file>', 'the text, - for standard input')
    .option('--out <file>', 'write the bytes there')
    .option('--format <format>', 'what is printed: hex, c, json', 'hex')
    .option('--verify <type>', 'verify it as a program of this type: xdp, sched_cls, socket_filter...')
    .addHelpText('after', HELP)
    .action((file: string, options: Options) => guarded(() => run(file, options)));
}

function run(file: string, options: Options): number {
  const format = FORMATS[options.format];
  if (format === undefined) throw new BadInput(`--format takes ${Object.keys(FORMATS).join(', ')}`);
  const type = options.verify === undefined ? 0 : PROG_TYPE_NAMES.indexOf(options.verify);
  if (type < 0)
    throw new BadInput(`there is no program type '${options.verify}'; types: ${PROG_TYPE_NAMES.slice(1).join(', ')}`);
  const text = readText(file);
  const { insns, errors } = assemble(text);
  if (errors.length > 0) {
    const lines = text.split('\n');
    for (const { problem, line, column } of errors) {
      const place = { file, line, column: column - 1, source: lines[line - 1] };
      process.stderr.write(formatProblem(problem, place));
    }
    return BAD_INPUT;
  }
  if (options.out !== undefined) writeFileSync(options.out, encodeInsns(insns));
  else if (options.verify === undefined) process.stdout.write(format(insns));
  return options.verify === undefined ? OK : judge(insns, type);
}

function judge(insns: readonly Insn[], type: number): number {
  const spec: ProgramSpec = {
    name: 'asm',
    section: '',
    type,
    expectedAttachType: 0,
    flags: 0,
    license: 'GPL',
    insns,
    maps: [],
  };
  const verdict = verify(spec, { logLevel: 1 });
  process.stdout.write(verdict.ok ? `accepted, ${verdict.processed} instructions walked\n` : verdict.log);
  if (!verdict.ok) process.stderr.write(`refused: ${verdict.message}\n`);
  return verdict.ok ? OK : REFUSED;
}
