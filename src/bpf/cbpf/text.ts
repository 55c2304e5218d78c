/**
 * Classic programs as the text that tcpdump prints and others read: `-ddd` (numbers, also what `iptables -m bpf` and tc
 * take), `-dd` (a C initialiser) and `-d` (for people).
 */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_B,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JMP,
  BPF_LD,
  BPF_LDX,
  BPF_ST,
  BPF_STX,
  BPF_X,
} from '../insn.ts';
import { BPF_A, BPF_MAXINSNS, BPF_MEM, BPF_MISC, BPF_MSH, BPF_RET, type ClassicInsn } from './classic.ts';

/** Text that is no classic program; `line` counts from 1. */
export class ClassicTextError extends Error {
  readonly line: number;

  constructor(problem: string, line: number) {
    super(`line ${line}: ${problem}`);
    this.name = 'ClassicTextError';
    this.line = line;
  }
}

/** `tcpdump -ddd`: the number of instructions, then code, jt, jf and k of each. */
export function formatNumbers(insns: readonly ClassicInsn[]): string {
  return `${insns.length}\n${insns.map(({ code, jt, jf, k }) => `${code} ${jt} ${jf} ${k}\n`).join('')}`;
}

/** `tcpdump -dd`: elements of a C array of `struct sock_filter`. */
export function formatC(insns: readonly ClassicInsn[]): string {
  return insns
    .map(({ code, jt, jf, k }) => `{ 0x${code.toString(16)}, ${jt}, ${jf}, 0x${k.toString(16).padStart(8, '0')} },\n`)
    .join('');
}

const ALU_NAMES: readonly string[] = ['add', 'sub', 'mul', 'div', 'or', 'and', 'lsh', 'rsh', 'neg', 'mod', 'xor'];
const JUMP_NAMES: readonly string[] = ['ja', 'jeq', 'jgt', 'jge', 'jset'];
const HEX_OPERANDS: ReadonlySet<string> = new Set(['and', 'or', 'xor']);

function loadWords(code: number, k: number): [string, string] {
  const x = (code & 7) === BPF_LDX ? 'x' : '';
  const size = (code & 0x18) === BPF_B ? 'b' : (code & 0x18) === BPF_H ? 'h' : '';
  switch (code & 0xe0) {
    case BPF_ABS:
      return [`ld${x}${size}`, `[${k | 0}]`];
    case BPF_IND:
      return [`ld${x}${size}`, `[x + ${k | 0}]`];
    case BPF_IMM:
      return [`ld${x}`, `#0x${k.toString(16)}`];
    case BPF_MEM:
      return [`ld${x}`, `M[${k}]`];
    case BPF_MSH:
      return ['ldxb', `4*([${k | 0}]&0xf)`];
    default:
      return [`ld${x}`, '#pktlen'];
  }
}

/** Mnemonic and operand of anything but a comparison. */
function words({ code, k }: ClassicInsn, pc: number): [string, string] {
  switch (code & 7) {
    case BPF_LD:
    case BPF_LDX:
      return loadWords(code, k);
    case BPF_ST:
      return ['st', `M[${k}]`];
    case BPF_STX:
      return ['stx', `M[${k}]`];
    case BPF_ALU: {
      const name = ALU_NAMES[code >> 4] ?? 'unimp';
      if (name === 'neg') return [name, ''];
      if ((code & BPF_X) !== 0) return [name, 'x'];
      return [name, HEX_OPERANDS.has(name) ? `#0x${k.toString(16)}` : `#${k | 0}`];
    }
    case BPF_JMP:
      return ['ja', `${(pc + 1 + k) | 0}`];
    case BPF_RET:
      return ['ret', (code & BPF_A) !== 0 ? '' : `#${k | 0}`];
    default:
      return [code === BPF_MISC ? 'tax' : 'txa', ''];
  }
}

/** `tcpdump -d`: one line for one instruction, with the numbers of the instructions that a jump goes to. */
export function formatClassic(insns: readonly ClassicInsn[]): string {
  return insns
    .map((insn, pc) => {
      const { code, jt, jf, k } = insn;
      const number = `(${`${pc}`.padStart(3, '0')}) `;
      if ((code & 7) !== BPF_JMP || (code & 0xf0) === BPF_JA) {
        const [name, operand] = words(insn, pc);
        return `${number}${name.padEnd(8)} ${operand}\n`;
      }
      const name = (JUMP_NAMES[code >> 4] ?? 'unimp').padEnd(8);
      const operand = (code & BPF_X) !== 0 ? 'x' : `#0x${k.toString(16)}`;
      return `${number}${name} ${operand.padEnd(16)} jt ${pc + 1 + jt}\tjf ${pc + 1 + jf}\n`;
    })
    .join('');
}

/** The four numbers of one instruction, each in its range. */
function instruction(words_: readonly string[], line: number): ClassicInsn {
  const limits = [0xffff, 0xff, 0xff, 0xffff_ffff];
  const values = words_.map((word, i) => {
    const value = /^(0x[0-9a-f]+|\d+)$/i.test(word) ? Number(word) : Number.NaN;
    if (!(value <= limits[i])) throw new ClassicTextError(`"${word}" is not a number up to ${limits[i]}`, line);
    return value;
  });
  if (values.length !== 4) throw new ClassicTextError('an instruction is four numbers: code jt jf k', line);
  return { code: values[0], jt: values[1], jf: values[2], k: values[3] };
}

/**
 * Reads `-ddd` text (with the count, instructions apart by lines or, as `iptables -m bpf` has it, by commas) and `-dd`
 * text. Throws a ClassicTextError.
 */
export function parseClassic(text: string): ClassicInsn[] {
  const insns: ClassicInsn[] = [];
  let count: number | undefined;
  const lines = text.split('\n');
  for (let i = 0; i < lines.length; i++) {
    for (const part of lines[i]
      .replace(/\{([^{}]*)\},?/g, (_, inner: string) => inner.replaceAll(',', ' '))
      .split(',')) {
      const found = part.trim().split(/\s+/);
      if (found[0] === '') continue;
      if (found.length === 1 && count === undefined && insns.length === 0) {
        count = /^\d+$/.test(found[0]) ? Number(found[0]) : Number.NaN;
        if (!(count <= BPF_MAXINSNS))
          throw new ClassicTextError(`"${found[0]}" is not a number of instructions`, i + 1);
        continue;
      }
      if (insns.length >= BPF_MAXINSNS) throw new ClassicTextError(`more than ${BPF_MAXINSNS} instructions`, i + 1);
      insns.push(instruction(found, i + 1));
    }
  }
  if (count !== undefined && count !== insns.length)
    throw new ClassicTextError(`${count} instructions announced, ${insns.length} there`, 1);
  return insns;
}
