/**
 * Arithmetic of the instruction set (RFC 9669, section 4) on registers as unsigned 64-bit BigInts. The reference: written
 * to be read, not to be fast.
 */
import {
  BPF_ADD,
  BPF_AND,
  BPF_ARSH,
  BPF_DIV,
  BPF_LSH,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_XOR,
} from '../insn.ts';

export const u64 = (x: bigint): bigint => BigInt.asUintN(64, x);
export const u32 = (x: bigint): bigint => BigInt.asUintN(32, x);

/**
 * `a op b` in `bits` (32 or 64) bits, zero-extended. `off` is the instruction's: 1 makes division and modulo signed, 8, 16
 * and 32 make a move sign-extend from that many bits.
 */
export function alu(op: number, a: bigint, b: bigint, bits: 32 | 64, off: number): bigint {
  const trim = (x: bigint): bigint => BigInt.asUintN(bits, x);
  const signed = (x: bigint): bigint => BigInt.asIntN(bits, x);
  const x = trim(a);
  const y = trim(b);
  const shift = y & BigInt(bits - 1);
  switch (op) {
    case BPF_ADD:
      return trim(x + y);
    case BPF_SUB:
      return trim(x - y);
    case BPF_MUL:
      return trim(x * y);
    case BPF_DIV:
      if (y === 0n) return 0n;
      return off === 1 ? trim(signed(x) / signed(y)) : x / y;
    case BPF_MOD:
      // The remainder of a division by zero is the dividend.
      if (y === 0n) return x;
      return off === 1 ? trim(signed(x) % signed(y)) : x % y;
    case BPF_OR:
      return x | y;
    case BPF_AND:
      return x & y;
    case BPF_XOR:
      return x ^ y;
    case BPF_LSH:
      return trim(x << shift);
    case BPF_RSH:
      return x >> shift;
    case BPF_ARSH:
      return trim(signed(x) >> shift);
    case BPF_NEG:
      return trim(-x);
    case BPF_MOV:
      return off === 0 ? y : trim(BigInt.asIntN(off, y));
    default:
      throw new RangeError(`no ALU operation 0x${op.toString(16)}`);
  }
}

/** The low `bits` (16, 32, 64) of `x` with their bytes reversed. */
export function swapBytes(x: bigint, bits: number): bigint {
  let out = 0n;
  for (let i = 0; i < bits; i += 8) out = (out << 8n) | ((x >> BigInt(i)) & 0xffn);
  return out;
}
