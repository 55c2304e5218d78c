/**
 * One instruction in the kernel's notation, as verifier logs and bpftool show it:
 *
 *     (61) r6 = *(u32 *)(r1 +0)
 *     (2d) if r2 > r7 goto pc+11
 *     (85) call bpf_map_lookup_elem#1
 *     (18) r1 = map[id:3]
 */
import { HELPER_NAMES } from '../../wire/uapi/bpf.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  BPF_XCHG,
  type Insn,
  isLdImm64,
} from '../insn.ts';
import { ALU_OPS, atomicName, imm64, JMP_OPS, signed, sizeName } from './ops.ts';

/** Names that the instructions alone do not have. */
export type Names = {
  /** Number shown for a map, by its index in the program. */
  readonly mapId?: (index: number) => number;
  /** Kernel function by the `imm` of its call. */
  readonly kfunc?: (imm: number) => string | undefined;
  /** LD_IMM64 with its value as it stands ("0x3") even where it names a map or function. */
  readonly raw?: boolean;
};

function alu(insn: Insn): string {
  const { code, dst, src, off, imm } = insn;
  const op = code & 0xf0;
  const r = (code & 7) === BPF_ALU64 ? 'r' : 'w';
  if (op === BPF_END) {
    if ((code & 7) === BPF_ALU64) return `r${dst} = bswap${imm} r${dst}`;
    return `r${dst} = ${(code & BPF_X) !== 0 ? 'be' : 'le'}${imm} r${dst}`;
  }
  if (op === BPF_NEG) return `${r}${dst} = -${r}${dst}`;
  const movsx = op === BPF_MOV && (code & BPF_X) !== 0;
  if (movsx && r === 'r' && off === 1) return `r${dst} = addr_space_cast(r${src}, ${imm >>> 16}, ${imm & 0xffff})`;
  const extend = movsx && (off === 8 || off === 16 || off === 32) ? `(s${off})` : '';
  const operand = (code & BPF_X) !== 0 ? `${extend}${r}${src}` : `${imm}`;
  const text = ALU_OPS[op >> 4];
  if (text === undefined) return `BUG_alu_${op >> 4}`;
  const sign = off === 1 && (text === '/=' || text === '%=') ? 's' : '';
  return `${r}${dst} ${sign}${text} ${operand}`;
}

function atomic(insn: Insn): string | undefined {
  const { code, dst, src, off, imm } = insn;
  const type = sizeName(code);
  const at = `(${type} *)(r${dst} ${signed(off)})`;
  const wide = (code & 0x18) === BPF_DW ? '64' : '';
  switch (imm) {
    case BPF_CMPXCHG:
      return `r0 = atomic${wide}_cmpxchg(${at}, r0, r${src})`;
    case BPF_XCHG:
      return `r${src} = atomic${wide}_xchg(${at}, r${src})`;
    case BPF_LOAD_ACQ:
      return `r${dst} = load_acquire((${type} *)(r${src} ${signed(off)}))`;
    case BPF_STORE_REL:
      return `store_release(${at}, r${src})`;
    default:
  }
  const name = atomicName(imm & ~BPF_FETCH);
  if (name === undefined) return undefined;
  if ((imm & BPF_FETCH) !== 0) return `r${src} = atomic${wide}_fetch_${name}(${at}, r${src})`;
  return `lock *(${type} *)(r${dst} ${signed(off)}) ${ALU_OPS[imm >> 4]} r${src}`;
}

/** What an LD_IMM64 loads, in bpftool's words. */
function wideOperand(insn: Insn, high: number, names: Names): string {
  const { src, imm } = insn;
  const id = names.mapId?.(imm) ?? imm;
  if (names.raw !== true) {
    switch (src) {
      case BPF_PSEUDO_MAP_FD:
        return `map[id:${id}]`;
      case BPF_PSEUDO_MAP_VALUE:
        return `map[id:${id}][0]+${high >>> 0}`;
      case BPF_PSEUDO_MAP_IDX:
        return `map[idx:${imm}]`;
      case BPF_PSEUDO_MAP_IDX_VALUE:
        return `map[idx:${imm}]+${high >>> 0}`;
      case BPF_PSEUDO_FUNC:
        return `subprog[${signed(imm)}]`;
      case BPF_PSEUDO_BTF_ID:
        return `btf[id:${imm}]`;
      default:
    }
  }
  return `0x${imm64(imm, high).toString(16)}`;
}

function ld(insn: Insn, high: number, names: Names): string {
  const { code, dst, src, imm } = insn;
  switch (code & 0xe0) {
    case BPF_ABS:
      return `r0 = *(${sizeName(code)} *)skb[${imm}]`;
    case BPF_IND:
      return `r0 = *(${sizeName(code)} *)skb[r${src} + ${imm}]`;
    default:
      return isLdImm64(insn) ? `r${dst} = ${wideOperand(insn, high, names)}` : '';
  }
}

function call(insn: Insn, names: Names): string {
  const { src, imm } = insn;
  if (src === BPF_PSEUDO_CALL) return `call pc${signed(imm)}`;
  if (src === BPF_PSEUDO_KFUNC_CALL) return `call ${names.kfunc?.(imm) ?? 'kfunc'}#${imm}`;
  const name = HELPER_NAMES[imm];
  return `call ${name === undefined ? 'unknown' : `bpf_${name}`}#${imm}`;
}

function jump(insn: Insn, names: Names): string {
  const { code, dst, src, off, imm } = insn;
  const narrow = (code & 7) === BPF_JMP32;
  switch (code & 0xf0) {
    case BPF_CALL:
      return narrow ? '' : call(insn, names);
    case BPF_EXIT:
      return narrow ? '' : 'exit';
    case BPF_JA:
      return narrow ? `gotol pc${signed(imm)}` : `goto pc${signed(off)}`;
    case BPF_JCOND:
      return narrow ? '' : `may_goto pc${signed(off)}`;
    default:
  }
  const op = JMP_OPS[code >> 4];
  const r = narrow ? 'w' : 'r';
  const operand = (code & BPF_X) !== 0 ? `${r}${src}` : `0x${(imm >>> 0).toString(16)}`;
  return op === undefined ? '' : `if ${r}${dst} ${op} ${operand} goto pc${signed(off)}`;
}

/** The instruction without the opcode before it; '' when the kernel has no words for it. */
export function kernelText(insn: Insn, high: number, names: Names): string {
  const { code, dst, src, off, imm } = insn;
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_ALU:
    case BPF_ALU64:
      return alu(insn);
    case BPF_JMP:
    case BPF_JMP32:
      return jump(insn, names);
    case BPF_LD:
      return ld(insn, high, names);
    case BPF_LDX:
      return mode === BPF_MEM || mode === BPF_MEMSX ? `r${dst} = *(${sizeName(code)} *)(r${src} ${signed(off)})` : '';
    case BPF_ST:
      return mode === BPF_MEM ? `*(${sizeName(code)} *)(r${dst} ${signed(off)}) = ${imm}` : '';
    case BPF_STX:
      if (mode === BPF_MEM) return `*(${sizeName(code)} *)(r${dst} ${signed(off)}) = r${src}`;
      return mode === BPF_ATOMIC ? (atomic(insn) ?? '') : '';
    default:
      return '';
  }
}

/** The instruction as a verifier log has it, the opcode in front. `high`: imm of an LD_IMM64's second slot. */
export function kernelLine(insn: Insn, high: number, names: Names): string {
  const text = kernelText(insn, high, names);
  const code = insn.code.toString(16).padStart(2, '0');
  return text === '' ? `BUG_${code}` : `(${code}) ${text}`;
}
