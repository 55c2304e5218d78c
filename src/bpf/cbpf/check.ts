/** What Linux refuses of a classic program when it is attached (SO_ATTACH_FILTER, socket(7)). */
import { EINVAL } from '../../core/errno.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_B,
  BPF_DIV,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JMP,
  BPF_JSET,
  BPF_LD,
  BPF_LDX,
  BPF_LSH,
  BPF_MOD,
  BPF_NEG,
  BPF_RSH,
  BPF_ST,
  BPF_STX,
  BPF_W,
  BPF_X,
  BPF_XOR,
} from '../insn.ts';
import {
  BPF_A,
  BPF_LEN,
  BPF_MAXINSNS,
  BPF_MEM,
  BPF_MEMWORDS,
  BPF_MISC,
  BPF_MSH,
  BPF_RET,
  BPF_TXA,
  type ClassicInsn,
  isAncillary,
  SKF_AD_OFF,
} from './classic.ts';

const RET_K = BPF_RET;
const RET_A: number = BPF_RET | BPF_A;

function isKnownLoad(code: number): boolean {
  const mode = code & 0xe0;
  const size = code & 0x18;
  switch (mode) {
    case BPF_ABS:
    case BPF_IND:
      return size !== 0x18;
    case BPF_IMM:
    case BPF_MEM:
    case BPF_LEN:
      return size === BPF_W;
    default:
      return false;
  }
}

/** True for the opcodes of classic BPF, without Linux' own forms that only a compiled program may have. */
export function isClassicOpcode(code: number): boolean {
  if (code > 0xff) return false;
  const op = code & 0xf0;
  const size = code & 0x18;
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_LD:
      return isKnownLoad(code);
    case BPF_LDX:
      if (mode === BPF_MSH) return size === BPF_B;
      return size === BPF_W && (mode === BPF_IMM || mode === BPF_MEM || mode === BPF_LEN);
    case BPF_ST:
    case BPF_STX:
      return code < 8;
    case BPF_ALU:
      return op === BPF_NEG ? (code & BPF_X) === 0 : op <= BPF_XOR;
    case BPF_JMP:
      return op === BPF_JA ? (code & BPF_X) === 0 : op <= BPF_JSET;
    case BPF_RET:
      return code === RET_K || code === RET_A;
    default:
      return code === BPF_MISC || code === (BPF_MISC | BPF_TXA);
  }
}

/** One instruction on its own, `left` instructions being after it. */
function isValid(insn: ClassicInsn, left: number): boolean {
  const { code, jt, jf, k } = insn;
  if (!isClassicOpcode(code)) return false;
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_ALU: {
      const op = code & 0xf0;
      if ((code & BPF_X) !== 0) return true;
      if (op === BPF_DIV || op === BPF_MOD) return k !== 0;
      return (op !== BPF_LSH && op !== BPF_RSH) || k < 32;
    }
    case BPF_LD:
      if (mode === BPF_MEM) return k < BPF_MEMWORDS;
      return mode !== BPF_ABS || k < SKF_AD_OFF || isAncillary(k);
    case BPF_LDX:
      return mode !== BPF_MEM || k < BPF_MEMWORDS;
    case BPF_ST:
    case BPF_STX:
      return k < BPF_MEMWORDS;
    case BPF_JMP:
      return (code & 0xf0) === BPF_JA ? k < left : jt < left && jf < left;
    default:
      return true;
  }
}

/** Words of M are stored on every path before they are loaded. */
function memoryIsSet(insns: readonly ClassicInsn[]): boolean {
  // Of every instruction: the words that all the jumps to it have set.
  const at = new Uint16Array(insns.length).fill(0xffff);
  let set = 0;
  for (let pc = 0; pc < insns.length; pc++) {
    const { code, jt, jf, k } = insns[pc];
    set &= at[pc];
    switch (code & 7) {
      case BPF_ST:
      case BPF_STX:
        set |= 1 << k;
        break;
      case BPF_LD:
      case BPF_LDX:
        if ((code & 0xe0) === BPF_MEM && (set & (1 << k)) === 0) return false;
        break;
      case BPF_JMP:
        if ((code & 0xf0) === BPF_JA) at[pc + 1 + k] &= set;
        else {
          at[pc + 1 + jt] &= set;
          at[pc + 1 + jf] &= set;
        }
        set = 0xffff;
        break;
      default:
    }
  }
  return true;
}

/** 0, or the errno that attaching the program gives. */
export function checkClassic(insns: readonly ClassicInsn[]): number {
  if (insns.length === 0 || insns.length > BPF_MAXINSNS) return EINVAL;
  for (let pc = 0; pc < insns.length; pc++) if (!isValid(insns[pc], insns.length - pc - 1)) return EINVAL;
  const last = insns[insns.length - 1].code;
  if (last !== RET_K && last !== RET_A) return EINVAL;
  return memoryIsSet(insns) ? 0 : EINVAL;
}
