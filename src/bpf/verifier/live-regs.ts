/** Which registers may still be read before they are written, by data flow over each subprogram. */
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_FETCH,
  BPF_IND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MOV,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  classOf,
  type Insn,
  isLdImm64,
} from '../insn.ts';
import { argumentCount } from './call/kinds.ts';
import { isConditional, isExit, isJa, isMayGoto, successors } from './cfg.ts';
import { isPseudoCall } from './check-insn.ts';
import type { Verifier } from './env.ts';

const CALLER_SAVED = 0b111111;
const ARGUMENTS = 0b111110;

/** Bits of the registers an instruction reads and writes. */
function usage(v: Verifier, insn: Insn): { use: number; def: number } {
  const dst = 1 << insn.dst;
  const src = 1 << insn.src;
  const fromReg = (insn.code & BPF_X) !== 0;
  switch (classOf(insn)) {
    case BPF_LD: {
      if (isLdImm64(insn)) return { use: 0, def: dst };
      const mode = insn.code & 0xe0;
      if (mode === BPF_ABS) return { use: 1 << 6, def: CALLER_SAVED };
      if (mode === BPF_IND) return { use: (1 << 6) | src, def: CALLER_SAVED };
      return { use: 0, def: 0 };
    }
    case BPF_LDX:
      return { use: src, def: dst };
    case BPF_ST:
      return { use: dst, def: 0 };
    case BPF_STX:
      if ((insn.code & 0xe0) !== BPF_ATOMIC) return { use: dst | src, def: 0 };
      if (insn.imm === BPF_LOAD_ACQ) return { use: src, def: dst };
      if (insn.imm === BPF_STORE_REL) return { use: dst | src, def: 0 };
      if (insn.imm === BPF_CMPXCHG) return { use: 1 | dst | src, def: 1 };
      return { use: dst | src, def: (insn.imm & BPF_FETCH) !== 0 ? src : 0 };
    case BPF_ALU:
    case BPF_ALU64: {
      const op = insn.code & 0xf0;
      if (op === BPF_MOV) return { use: fromReg ? src : 0, def: dst };
      // Negation and byte swaps have no source register; their X bit is a direction.
      if (op === 0x80 || op === 0xd0) return { use: dst, def: dst };
      return { use: dst | (fromReg ? src : 0), def: dst };
    }
    case BPF_JMP:
    case BPF_JMP32: {
      if (isExit(insn)) return { use: 1, def: 0 };
      if ((insn.code & 0xf0) === BPF_CALL) {
        const count = isPseudoCall(insn) ? 5 : argumentCount(insn, v.spec);
        return { use: ARGUMENTS & ((1 << (count + 1)) - 1), def: CALLER_SAVED };
      }
      if (isJa(insn) || isMayGoto(insn)) return { use: 0, def: 0 };
      if (isConditional(insn)) return { use: dst | (fromReg ? src : 0), def: 0 };
      return { use: 0, def: 0 };
    }
    default:
      return { use: 0, def: 0 };
  }
}

/** Fills in `info[pc].liveRegs`. */
export function computeLiveRegs(v: Verifier): void {
  const { insns, info } = v;
  const count = insns.length;
  const use = new Uint16Array(count);
  const def = new Uint16Array(count);
  for (let pc = 0; pc < count; pc++) {
    const u = usage(v, insns[pc]);
    use[pc] = u.use;
    def[pc] = u.def;
    if (isLdImm64(insns[pc])) pc++;
  }
  let changed = true;
  while (changed) {
    changed = false;
    for (let pc = count - 1; pc >= 0; pc--) {
      let after = 0;
      for (const next of successors(insns, pc)) after |= info[next]?.liveRegs ?? 0;
      const before = (after & ~def[pc]) | use[pc];
      if (before === info[pc].liveRegs) continue;
      info[pc].liveRegs = before;
      changed = true;
    }
  }
}
