/**
 * Programs as text, in the kernel's notation (verifier logs, bpftool) or clang's (llvm-objdump, inline assembly). Text in
 * either can be given back to `assemble`.
 *
 * @example
 * disassemble(insns)                        // 0: (bf) r6 = r1 ...
 * disassemble(insns, { style: 'clang' })    // r6 = r1 ...
 */
import {
  BPF_CALL,
  BPF_EXIT,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  type Insn,
  isLdImm64,
} from '../insn.ts';
import { clangText } from './clang-style.ts';
import { kernelLine, type Names } from './kernel-style.ts';

export type DisassembleOptions = Names & {
  readonly style?: 'kernel' | 'clang';
  /** clang: numbers in decimal. */
  readonly decimal?: boolean;
  /** The bytes of every instruction before its text. */
  readonly bytes?: boolean;
  /** Instruction numbers before the text; the kernel's notation has them unless told otherwise. */
  readonly numbers?: boolean;
  /** clang: labels in place of distances. */
  readonly labels?: boolean;
  /** Name of a map by its index; clang's notation has it in the instruction, the kernel's behind it. */
  readonly mapName?: (index: number) => string | undefined;
  /** A line of source text before the instruction. */
  readonly source?: (pc: number) => string | undefined;
};

/**
 * One instruction on one line: "(61) r6 = *(u32 *)(r1 +0)" or "w6 = *(u32 *)(r1 + 0x0)". Of an LD_IMM64 `pc` is the first
 * of its two slots.
 */
export function disasmInsn(
  insns: readonly Insn[],
  pc: number,
  style: 'kernel' | 'clang' = 'kernel',
  names: Names = {},
): string {
  const insn = insns[pc];
  const high = isLdImm64(insn) ? (insns[pc + 1]?.imm ?? 0) : 0;
  return style === 'kernel' ? kernelLine(insn, high, names) : clangText(insn, high, { hex: true }) || raw(insn);
}

/** An instruction that has no words. */
function raw(insn: Insn): string {
  const { code, dst, src, off, imm } = insn;
  const low = code | ((dst | (src << 4)) << 8) | ((off & 0xffff) << 16);
  const value = (BigInt(imm >>> 0) << 32n) | BigInt(low >>> 0);
  return `.quad 0x${value.toString(16)}`;
}

function hexBytes(insn: Insn): string {
  const { code, dst, src, off, imm } = insn;
  const bytes = [code, dst | (src << 4), off & 0xff, (off >> 8) & 0xff];
  for (const shift of [0, 8, 16, 24]) bytes.push((imm >>> shift) & 0xff);
  return bytes.map((b) => b.toString(16).padStart(2, '0')).join(' ');
}

const isMapLoad = (insn: Insn): boolean =>
  isLdImm64(insn) && (insn.src === BPF_PSEUDO_MAP_FD || insn.src === BPF_PSEUDO_MAP_VALUE);

/** Distance and destination of a jump or call of the program itself; undefined for everything else. */
function destination(insn: Insn, pc: number): number | undefined {
  const { code, src, off, imm } = insn;
  if ((code & 7) !== BPF_JMP && (code & 7) !== BPF_JMP32) return undefined;
  switch (code & 0xf0) {
    case BPF_CALL:
      return code === (BPF_JMP | BPF_CALL) && src === BPF_PSEUDO_CALL ? pc + 1 + imm : undefined;
    case BPF_EXIT:
      return undefined;
    default:
      return pc + 1 + (code === (BPF_JMP32 | BPF_JA) ? imm : off);
  }
}

/** Names for all places that something jumps to or calls: "L5", "func12". */
function findLabels(insns: readonly Insn[]): Map<number, string> {
  const labels = new Map<number, string>();
  insns.forEach((insn, pc) => {
    const to = destination(insn, pc);
    if (to === undefined || to < 0 || to >= insns.length) return;
    const called = (insn.code & 0xf0) === BPF_CALL;
    if (called || !labels.has(to)) labels.set(to, `${called ? 'func' : 'L'}${to}`);
  });
  return labels;
}

/** A whole program, one line an instruction; the second slot of an LD_IMM64 has none. */
export function disassemble(insns: readonly Insn[], options: DisassembleOptions = {}): string {
  const kernel = (options.style ?? 'kernel') === 'kernel';
  const labels = options.labels === true && !kernel ? findLabels(insns) : new Map<number, string>();
  const lines: string[] = [];
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    const high = isLdImm64(insn) ? (insns[pc + 1]?.imm ?? 0) : 0;
    const place = (distance: number): string =>
      labels.get(pc + 1 + distance) ?? `${distance < 0 ? '' : '+'}${distance}`;
    const jumps = options.labels ? { target: place, callee: place } : {};
    const form = { hex: options.decimal !== true, map: options.mapName, ...jumps };
    const text = kernel ? kernelLine(insn, high, options) : clangText(insn, high, form) || raw(insn);
    const label = labels.get(pc);
    if (label !== undefined) lines.push(`${label}:`);
    const source = options.source?.(pc);
    if (source !== undefined) lines.push(`; ${source}`);
    const number = (options.numbers ?? kernel) ? `${kernel ? pc : `${pc}`.padStart(8)}: ` : labels.size > 0 ? '  ' : '';
    const map = kernel && isMapLoad(insn) ? options.mapName?.(insn.imm) : undefined;
    const note = map === undefined ? '' : `  ; ${map}`;
    lines.push(`${number}${options.bytes === true ? `${hexBytes(insn)}  ` : ''}${text}${note}`);
    if (isLdImm64(insn) && pc + 1 < insns.length) {
      pc++;
      if (options.bytes === true) lines.push(`${number.replace(/./g, ' ')}${hexBytes(insns[pc])}`);
    }
  }
  return lines.map((line) => `${line}\n`).join('');
}
