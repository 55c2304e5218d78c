/** Spellings that the kernel's and clang's notation share: operators, sizes, names of atomic operations. */
import { BPF_ADD, BPF_AND, BPF_B, BPF_DW, BPF_H, BPF_MEMSX, BPF_OR, BPF_W, BPF_XOR } from '../insn.ts';

/** Operator by `code >> 4`; NEG and END have forms of their own. */
export const ALU_OPS: readonly (string | undefined)[] = [
  '+=',
  '-=',
  '*=',
  '/=',
  '|=',
  '&=',
  '<<=',
  '>>=',
  undefined,
  '%=',
  '^=',
  '=',
  's>>=',
];

/** Comparison by `code >> 4`. */
export const JMP_OPS: readonly (string | undefined)[] = [
  undefined,
  '==',
  '>',
  '>=',
  '&',
  '!=',
  's>',
  's>=',
  undefined,
  undefined,
  '<',
  '<=',
  's<',
  's<=',
];

/** Type of a load or store by its size bits. */
export function sizeName(code: number): string {
  const sign = (code & 0xe0) === BPF_MEMSX ? 's' : 'u';
  switch (code & 0x18) {
    case BPF_B:
      return `${sign}8`;
    case BPF_H:
      return `${sign}16`;
    case BPF_W:
      return `${sign}32`;
    default:
      return `${sign}64`;
  }
}

export const SIZES: ReadonlyMap<string, number> = new Map([
  ['8', BPF_B],
  ['16', BPF_H],
  ['32', BPF_W],
  ['64', BPF_DW],
]);

/** Names inside `atomic_fetch_add`. */
export const ATOMIC_OPS: ReadonlyMap<string, number> = new Map([
  ['add', BPF_ADD],
  ['or', BPF_OR],
  ['and', BPF_AND],
  ['xor', BPF_XOR],
]);

export function atomicName(op: number): string | undefined {
  for (const [name, code] of ATOMIC_OPS) if (code === op) return name;
  return undefined;
}

/** A number with its sign always there: "+3", "-1". */
export const signed = (n: number): string => (n < 0 ? `${n}` : `+${n}`);

/** The 64 bits of an LD_IMM64. */
export function imm64(low: number, high: number): bigint {
  return (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
}
