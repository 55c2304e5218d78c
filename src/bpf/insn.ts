/**
 * One eBPF instruction as it is encoded (RFC 9669, section 3), and the numbers of its fields. An LD_IMM64 takes two
 * entries of a program; the second has code 0 and carries the high word in `imm`.
 */

/** Eight bytes: opcode, destination and source register, signed 16-bit offset, signed 32-bit immediate. */
export type Insn = {
  readonly code: number;
  readonly dst: number;
  readonly src: number;
  readonly off: number;
  readonly imm: number;
};

// Instruction classes, code & 7.
export const BPF_LD = 0;
export const BPF_LDX = 1;
export const BPF_ST = 2;
export const BPF_STX = 3;
export const BPF_ALU = 4;
export const BPF_JMP = 5;
export const BPF_JMP32 = 6;
export const BPF_ALU64 = 7;

// Operand: immediate or register (ALU and jumps), code & 8.
export const BPF_K = 0;
export const BPF_X = 8;

// Size of a load or store, code & 0x18.
export const BPF_W = 0x00;
export const BPF_H = 0x08;
export const BPF_B = 0x10;
export const BPF_DW = 0x18;

// Mode of a load or store, code & 0xe0.
export const BPF_IMM = 0x00;
export const BPF_ABS = 0x20;
export const BPF_IND = 0x40;
export const BPF_MEM = 0x60;
export const BPF_MEMSX = 0x80;
export const BPF_ATOMIC = 0xc0;

// Arithmetic, code & 0xf0.
export const BPF_ADD = 0x00;
export const BPF_SUB = 0x10;
export const BPF_MUL = 0x20;
export const BPF_DIV = 0x30;
export const BPF_OR = 0x40;
export const BPF_AND = 0x50;
export const BPF_LSH = 0x60;
export const BPF_RSH = 0x70;
export const BPF_NEG = 0x80;
export const BPF_MOD = 0x90;
export const BPF_XOR = 0xa0;
export const BPF_MOV = 0xb0;
export const BPF_ARSH = 0xc0;
export const BPF_END = 0xd0;

// Jumps, code & 0xf0.
export const BPF_JA = 0x00;
export const BPF_JEQ = 0x10;
export const BPF_JGT = 0x20;
export const BPF_JGE = 0x30;
export const BPF_JSET = 0x40;
export const BPF_JNE = 0x50;
export const BPF_JSGT = 0x60;
export const BPF_JSGE = 0x70;
export const BPF_CALL = 0x80;
export const BPF_EXIT = 0x90;
export const BPF_JLT = 0xa0;
export const BPF_JLE = 0xb0;
export const BPF_JSLT = 0xc0;
export const BPF_JSLE = 0xd0;
/** `may_goto` (with src 0). */
export const BPF_JCOND = 0xe0;

// Atomic operations: `imm` of BPF_STX | BPF_ATOMIC (with BPF_ADD, BPF_OR, BPF_AND, BPF_XOR).
export const BPF_FETCH = 0x01;
export const BPF_XCHG = 0xe1;
export const BPF_CMPXCHG = 0xf1;
export const BPF_LOAD_ACQ = 0x100;
export const BPF_STORE_REL = 0x110;

// `src` of LD_IMM64.
/** imm: index of a map in the program's `maps` (the kernel: a file descriptor). */
export const BPF_PSEUDO_MAP_FD = 1;
/** imm: index of a map, imm of the second slot: offset into its first value. */
export const BPF_PSEUDO_MAP_VALUE = 2;
export const BPF_PSEUDO_BTF_ID = 3;
/** imm: instructions from the next one to the start of a callback. */
export const BPF_PSEUDO_FUNC = 4;
export const BPF_PSEUDO_MAP_IDX = 5;
export const BPF_PSEUDO_MAP_IDX_VALUE = 6;

// `src` of a call.
export const BPF_PSEUDO_CALL = 1;
export const BPF_PSEUDO_KFUNC_CALL = 2;

export const BPF_REG_FP = 10;
export const MAX_BPF_STACK = 512;
export const MAX_CALL_FRAMES = 8;
/** Instructions a program may have, and instructions the verifier walks through at most. */
export const BPF_COMPLEXITY_LIMIT_INSNS = 1_000_000;

export const classOf = (insn: Insn): number => insn.code & 7;
export const isLdImm64 = (insn: Insn): boolean => insn.code === (BPF_LD | BPF_DW | BPF_IMM);

/** Bytes of the access of a load or store by its BPF_SIZE bits. */
export function sizeOf(code: number): number {
  switch (code & 0x18) {
    case BPF_B:
      return 1;
    case BPF_H:
      return 2;
    case BPF_W:
      return 4;
    default:
      return 8;
  }
}

/** Reads instructions from bytes (little endian unless told otherwise); the length must be a multiple of 8. */
export function decodeInsns(bytes: Uint8Array, littleEndian = true): Insn[] {
  if (bytes.length % 8 !== 0) throw new RangeError(`a program's length is a multiple of 8 bytes, not ${bytes.length}`);
  const dv = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const insns: Insn[] = [];
  for (let at = 0; at < bytes.length; at += 8) {
    const regs = dv.getUint8(at + 1);
    insns.push({
      code: dv.getUint8(at),
      dst: littleEndian ? regs & 15 : regs >> 4,
      src: littleEndian ? regs >> 4 : regs & 15,
      off: dv.getInt16(at + 2, littleEndian),
      imm: dv.getInt32(at + 4, littleEndian),
    });
  }
  return insns;
}

/** The little-endian bytes of a program. */
export function encodeInsns(insns: readonly Insn[]): Uint8Array {
  const bytes = new Uint8Array(insns.length * 8);
  const dv = new DataView(bytes.buffer);
  insns.forEach((insn, i) => {
    dv.setUint8(i * 8, insn.code);
    dv.setUint8(i * 8 + 1, insn.dst | (insn.src << 4));
    dv.setInt16(i * 8 + 2, insn.off, true);
    dv.setInt32(i * 8 + 4, insn.imm, true);
  });
  return bytes;
}
