/**
 * The checks of one instruction's fields when a path reaches it, in the order of Linux 6.18: reserved fields first, then
 * the registers read and written, and in between what the kernel looks at only after it has read a register (a zero
 * divisor, a shift too far, the second operand of a comparison).
 */
import { EACCES } from '../../core/errno.ts';
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ARSH,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_LSH,
  BPF_MEM,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_OR,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_REG_FP,
  BPF_RSH,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  BPF_XCHG,
  BPF_XOR,
  type Insn,
} from '../insn.ts';
import { type InsnError, refuse } from './check-insn.ts';

/** How the walk looks at registers. Both are called in the kernel's order; the first error ends the check. */
export type RegAccess = {
  /** The register is read: "R2 !read_ok". */
  read(regno: number): InsnError | undefined;
  /** The register is about to be written: "frame pointer is read only". */
  write(regno: number): InsnError | undefined;
};

export type WalkOptions = {
  /** The program may use LD_ABS and LD_IND (socket filters, tc, cgroup_skb). */
  readonly mayAccessSkb: boolean;
  /** The program has an arena map. */
  readonly hasArena: boolean;
};

const reserved = (what: string): InsnError => refuse(`${what} uses reserved fields`);

/** An error for a register number that does not exist, or for a write to the frame pointer. */
export function badRegister(regno: number, write: boolean): InsnError | undefined {
  if (regno > BPF_REG_FP) return refuse(`R${regno} is invalid`);
  return write && regno === BPF_REG_FP ? refuse('frame pointer is read only', EACCES) : undefined;
}

const read = (regs: RegAccess, regno: number): InsnError | undefined => badRegister(regno, false) ?? regs.read(regno);
const write = (regs: RegAccess, regno: number): InsnError | undefined => badRegister(regno, true) ?? regs.write(regno);

function checkMov(insn: Insn, regs: RegAccess, options: WalkOptions): InsnError | undefined {
  const { code, dst, src, off, imm } = insn;
  if ((code & BPF_X) === 0) {
    if (src !== 0 || off !== 0) return reserved('BPF_MOV');
    return write(regs, dst);
  }
  if ((code & 7) === BPF_ALU64 && off === 1) {
    if (imm !== 1 && imm !== 1 << 16)
      return refuse('addr_space_cast insn can only convert between address space 1 and 0');
    if (!options.hasArena)
      return refuse('addr_space_cast insn can only be used in a program that has an associated arena');
  } else {
    const extends32 = off === 32 && (code & 7) === BPF_ALU64;
    if ((off !== 0 && off !== 8 && off !== 16 && !extends32) || imm !== 0) return reserved('BPF_MOV');
  }
  return read(regs, src) ?? write(regs, dst);
}

function checkAlu(insn: Insn, regs: RegAccess, options: WalkOptions): InsnError | undefined {
  const { code, dst, src, off, imm } = insn;
  const op = code & 0xf0;
  const wide = (code & 7) === BPF_ALU64;
  const fromReg = (code & BPF_X) !== 0;
  if (op === BPF_NEG) {
    if (fromReg || src !== 0 || off !== 0 || imm !== 0) return reserved('BPF_NEG');
    return read(regs, dst) ?? write(regs, dst);
  }
  if (op === BPF_END) {
    if (src !== 0 || off !== 0 || (imm !== 16 && imm !== 32 && imm !== 64) || (wide && fromReg))
      return reserved('BPF_END');
    return read(regs, dst) ?? write(regs, dst);
  }
  if (op === BPF_MOV) return checkMov(insn, regs, options);
  if (op > BPF_END) return refuse(`invalid BPF_ALU opcode ${op.toString(16)}`);

  // The offset of a division or remainder says that it is signed.
  const badOffset = off !== 0 && (off !== 1 || (op !== BPF_DIV && op !== BPF_MOD));
  if ((fromReg ? imm !== 0 : src !== 0) || badOffset) return reserved('BPF_ALU');
  const operand = fromReg ? read(regs, src) : undefined;
  const error = operand ?? read(regs, dst);
  if (error !== undefined) return error;
  if (!fromReg) {
    if ((op === BPF_DIV || op === BPF_MOD) && imm === 0) return refuse('div by zero');
    const shifts = op === BPF_LSH || op === BPF_RSH || op === BPF_ARSH;
    if (shifts && (imm < 0 || imm >= (wide ? 64 : 32))) return refuse(`invalid shift ${imm}`);
  }
  return write(regs, dst);
}

/**
 * Of an atomic operation: its fields and the registers it reads. That a fetch may write its register is looked at after
 * the kind of pointer was ("BPF_ATOMIC stores into R1 ctx is not allowed"): see `atomicWrites`.
 */
function checkAtomic(insn: Insn, regs: RegAccess): InsnError | undefined {
  const { code, dst, src, imm } = insn;
  switch (imm) {
    case BPF_LOAD_ACQ:
      return read(regs, src) ?? write(regs, dst);
    case BPF_STORE_REL:
      return read(regs, src) ?? read(regs, dst);
    case BPF_ADD:
    case BPF_ADD | BPF_FETCH:
    case BPF_AND:
    case BPF_AND | BPF_FETCH:
    case BPF_OR:
    case BPF_OR | BPF_FETCH:
    case BPF_XOR:
    case BPF_XOR | BPF_FETCH:
    case BPF_XCHG:
    case BPF_CMPXCHG: {
      const size = code & 0x18;
      if (size !== BPF_DW && size !== 0) return refuse('invalid atomic operand size');
      return read(regs, src) ?? read(regs, dst) ?? (imm === BPF_CMPXCHG ? read(regs, 0) : undefined);
    }
    default:
      return refuse(`BPF_ATOMIC uses invalid atomic opcode ${(imm >>> 0).toString(16).padStart(2, '0')}`);
  }
}

/** The register that receives the old value of an atomic read-modify-write, -1 for none. */
export function atomicWrites(insn: Insn): number {
  if (insn.imm === BPF_LOAD_ACQ || insn.imm === BPF_STORE_REL || (insn.imm & BPF_FETCH) === 0) return -1;
  return insn.imm === BPF_CMPXCHG ? 0 : insn.src;
}

function checkJump(insn: Insn, regs: RegAccess): InsnError | undefined {
  const { code, dst, src, off, imm } = insn;
  const op = code & 0xf0;
  const narrow = (code & 7) === BPF_JMP32;
  const fromReg = (code & BPF_X) !== 0;
  switch (op) {
    case BPF_CALL: {
      const knownSource = src === 0 || src === BPF_PSEUDO_CALL || src === BPF_PSEUDO_KFUNC_CALL;
      const badOffset = src !== BPF_PSEUDO_KFUNC_CALL && off !== 0;
      return fromReg || badOffset || !knownSource || dst !== 0 || narrow ? reserved('BPF_CALL') : undefined;
    }
    case BPF_JA:
      return fromReg || src !== 0 || dst !== 0 || (narrow ? off !== 0 : imm !== 0) ? reserved('BPF_JA') : undefined;
    case BPF_EXIT:
      return fromReg || imm !== 0 || src !== 0 || dst !== 0 || narrow ? reserved('BPF_EXIT') : undefined;
    case BPF_JCOND:
      if (code !== (BPF_JMP | BPF_JCOND) || src !== 0 || dst !== 0 || imm !== 0)
        return refuse(`invalid may_goto imm ${imm}`);
      return undefined;
    default:
  }
  if (op > BPF_JCOND) return refuse(`invalid BPF_JMP opcode ${op.toString(16)}`);
  const error = read(regs, dst);
  if (error !== undefined) return error;
  if (!fromReg) return src !== 0 ? reserved('BPF_JMP/JMP32') : undefined;
  return imm !== 0 ? reserved('BPF_JMP/JMP32') : read(regs, src);
}

function checkLd(insn: Insn, regs: RegAccess, options: WalkOptions): InsnError | undefined {
  const { code, dst, src, off } = insn;
  const mode = code & 0xe0;
  if (mode === BPF_ABS || mode === BPF_IND) {
    if (!options.mayAccessSkb) return refuse('BPF_LD_[ABS|IND] instructions not allowed for this program type');
    if (dst !== 0 || off !== 0 || (code & 0x18) === BPF_DW || (mode === BPF_ABS && src !== 0))
      return reserved('BPF_LD_[ABS|IND]');
    return undefined;
  }
  if (mode !== BPF_IMM) return refuse('invalid BPF_LD mode');
  if ((code & 0x18) !== BPF_DW) return refuse('invalid BPF_LD_IMM insn');
  return off !== 0 ? reserved('BPF_LD_IMM64') : write(regs, dst);
}

/**
 * Checks an instruction that a path has reached. Of LD_ABS and LD_IND only the fields are checked: the registers come
 * after held references. `insn` may be any of the 2^64: nothing is taken for granted from the passes before.
 */
export function checkWalked(insn: Insn, regs: RegAccess, options: WalkOptions): InsnError | undefined {
  const { code, dst, src, imm } = insn;
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_ALU:
    case BPF_ALU64:
      return checkAlu(insn, regs, options);
    case BPF_JMP:
    case BPF_JMP32:
      return checkJump(insn, regs);
    case BPF_LD:
      return checkLd(insn, regs, options);
    case BPF_LDX:
      return read(regs, src) ?? write(regs, dst);
    case BPF_STX:
      if (mode === BPF_ATOMIC) return checkAtomic(insn, regs);
      if (mode !== BPF_MEM || imm !== 0) return reserved('BPF_STX');
      return read(regs, src) ?? read(regs, dst);
    case BPF_ST:
      if (mode !== BPF_MEM || src !== 0) return reserved('BPF_ST');
      return read(regs, dst);
    default:
      return refuse(`unknown insn class ${code & 7}`);
  }
}
