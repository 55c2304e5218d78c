/**
 * Conditions of the jump instructions (RFC 9669, section 4.3).
 */
import {
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
} from '../insn.ts';

/** Whether `a op b` holds in the low `bits` bits. */
export function taken(op: number, a: bigint, b: bigint, bits: 32 | 64): boolean {
  const x = BigInt.asUintN(bits, a);
  const y = BigInt.asUintN(bits, b);
  const sx = BigInt.asIntN(bits, a);
  const sy = BigInt.asIntN(bits, b);
  switch (op) {
    case BPF_JEQ:
      return x === y;
    case BPF_JNE:
      return x !== y;
    case BPF_JGT:
      return x > y;
    case BPF_JGE:
      return x >= y;
    case BPF_JLT:
      return x < y;
    case BPF_JLE:
      return x <= y;
    case BPF_JSET:
      return (x & y) !== 0n;
    case BPF_JSGT:
      return sx > sy;
    case BPF_JSGE:
      return sx >= sy;
    case BPF_JSLT:
      return sx < sy;
    case BPF_JSLE:
      return sx <= sy;
    default:
      throw new RangeError(`no jump operation 0x${op.toString(16)}`);
  }
}
