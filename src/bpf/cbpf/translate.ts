/**
 * Classic programs as eBPF socket filters that the verifier accepts: A is r0, X is r7, M lies on the stack, r6 holds the
 * context; packet bytes are read with LD_ABS and LD_IND, facts beside the packet from `struct __sk_buff`.
 */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_B,
  BPF_CALL,
  BPF_DIV,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JMP,
  BPF_JMP32,
  BPF_JNE,
  BPF_JSGT,
  BPF_JSLT,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LSH,
  BPF_MEM as BPF_MEM_MODE,
  BPF_MOD,
  BPF_MOV,
  BPF_NEG,
  BPF_ST,
  BPF_STX,
  BPF_SUB,
  BPF_W,
  BPF_X,
  BPF_XOR,
  type Insn,
} from '../insn.ts';
import {
  BPF_A,
  BPF_LEN,
  BPF_MEM,
  BPF_MISC,
  BPF_MSH,
  BPF_RET,
  type ClassicInsn,
  SKF_AD_ALU_XOR_X,
  SKF_AD_CPU,
  SKF_AD_HATYPE,
  SKF_AD_IFINDEX,
  SKF_AD_MARK,
  SKF_AD_NLATTR,
  SKF_AD_NLATTR_NEST,
  SKF_AD_OFF,
  SKF_AD_PAY_OFFSET,
  SKF_AD_PKTTYPE,
  SKF_AD_PROTOCOL,
  SKF_AD_QUEUE,
  SKF_AD_RANDOM,
  SKF_AD_RXHASH,
  SKF_AD_VLAN_TAG,
  SKF_AD_VLAN_TAG_PRESENT,
  SKF_AD_VLAN_TPID,
} from './classic.ts';

export type Translation =
  | { readonly ok: true; readonly insns: readonly Insn[] }
  | { readonly ok: false; readonly message: string };

const A = 0;
const X = 7;
const CTX = 6;
const FP = 10;
/** Of values for the moment. */
const TMP = 8;
/** Of the search for attributes: where it is. */
const AT = 9;

const HELPER_GET_PRANDOM_U32 = 7;
const HELPER_GET_SMP_PROCESSOR_ID = 8;

/** Offset in `struct __sk_buff` of a fact that is one of its fields as it stands. */
const FIELDS: ReadonlyMap<number, number> = new Map([
  [SKF_AD_PKTTYPE, 4],
  [SKF_AD_MARK, 8],
  [SKF_AD_QUEUE, 12],
  [SKF_AD_VLAN_TAG_PRESENT, 20],
  [SKF_AD_VLAN_TAG, 24],
  [SKF_AD_RXHASH, 68],
]);
/** Those that are kept in network byte order. */
const SWAPPED_FIELDS: ReadonlyMap<number, number> = new Map([
  [SKF_AD_PROTOCOL, 16],
  [SKF_AD_VLAN_TPID, 28],
]);
const IFINDEX_FIELD = 40;

const UNSUPPORTED: ReadonlyMap<number, string> = new Map([
  [SKF_AD_HATYPE, 'SKF_AD_HATYPE'],
  [SKF_AD_PAY_OFFSET, 'SKF_AD_PAY_OFFSET'],
]);

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm: imm | 0 });
const movImm = (dst: number, imm: number): Insn => insn(BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, imm);
const movReg = (dst: number, src: number): Insn => insn(BPF_ALU | BPF_MOV | BPF_X, dst, src);
const alu = (op: number, dst: number, imm: number): Insn => insn(BPF_ALU | op | BPF_K, dst, 0, 0, imm);
const loadField = (off: number): Insn => insn(BPF_LDX | BPF_MEM_MODE | BPF_W, A, CTX, off);
const EXIT: Insn = insn(BPF_JMP | BPF_EXIT);
/** Word k of M. */
const slot = (k: number): number => -64 + k * 4;

function ancillary(what: number): Insn[] {
  const field = FIELDS.get(what);
  if (field !== undefined) return [loadField(field)];
  const swapped = SWAPPED_FIELDS.get(what);
  if (swapped !== undefined) return [loadField(swapped), insn(BPF_ALU | BPF_END | BPF_X, A, 0, 0, 16)];
  switch (what) {
    case SKF_AD_IFINDEX:
      // Without a device the program ends, and returns what A is.
      return [
        insn(BPF_LDX | BPF_MEM_MODE | BPF_W, TMP, CTX, IFINDEX_FIELD),
        insn(BPF_JMP32 | BPF_JNE | BPF_K, TMP, 0, 1, 0),
        EXIT,
        movReg(A, TMP),
      ];
    case SKF_AD_CPU:
      return [insn(BPF_JMP | BPF_CALL, 0, 0, 0, HELPER_GET_SMP_PROCESSOR_ID)];
    case SKF_AD_RANDOM:
      return [insn(BPF_JMP | BPF_CALL, 0, 0, 0, HELPER_GET_PRANDOM_U32)];
    case SKF_AD_NLATTR:
      return attribute(false);
    case SKF_AD_NLATTR_NEST:
      return attribute(true);
    case SKF_AD_ALU_XOR_X:
      return [insn(BPF_ALU | BPF_XOR | BPF_X, A, X)];
    default:
      return [movImm(A, 0)];
  }
}

/** Words of stack behind M, for the search of attributes. */
const LENGTH_AT = -72;
const END_AT = -80;

/**
 * Searches the netlink attributes from A on for one of type X; with `nested`, those inside the attribute at A. A becomes its
 * offset, or 0. LD_IND reads in network order and ends the program outside the packet, so lengths are compared first.
 */
function attribute(nested: boolean): Insn[] {
  const half = (distance: number): Insn[] => [
    insn(BPF_LD | BPF_IND | BPF_H, 0, AT, 0, distance),
    insn(BPF_ALU64 | BPF_END | BPF_K, A, 0, 0, 16),
  ];
  const store = (off: number, reg: number): Insn => insn(BPF_STX | BPF_MEM_MODE | BPF_DW, FP, reg, off);
  const fetch = (reg: number, off: number): Insn => insn(BPF_LDX | BPF_MEM_MODE | BPF_DW, reg, FP, off);
  const sub = insn(BPF_ALU64 | BPF_SUB | BPF_X, 1, AT);
  const parts: Part[] = [
    insn(BPF_ALU | BPF_MOV | BPF_X, AT, A),
    insn(BPF_LDX | BPF_MEM_MODE | BPF_W, 1, CTX, 0),
    store(END_AT, 1),
  ];
  if (nested) {
    parts.push(
      sub,
      { compare: BPF_JSLT, reg: 1, imm: 4, to: 'none' },
      ...half(0),
      fetch(1, END_AT),
      sub,
      { compare: BPF_JGT, reg: A, other: 1, to: 'none' },
      // The attributes inside lie between its header and its end.
      insn(BPF_ALU64 | BPF_ADD | BPF_X, A, AT),
      store(END_AT, A),
      insn(BPF_ALU64 | BPF_ADD | BPF_K, AT, 0, 0, 4),
    );
  }
  parts.push(
    'loop',
    { compare: BPF_JCOND, reg: 0, imm: 0, to: 'none' },
    fetch(1, END_AT),
    sub,
    { compare: BPF_JSLT, reg: 1, imm: 4, to: 'none' },
    ...half(0),
    { compare: BPF_JLT, reg: A, imm: 4, to: 'none' },
    fetch(1, END_AT),
    sub,
    { compare: BPF_JSGT, reg: A, other: 1, to: 'none' },
    store(LENGTH_AT, A),
    ...half(2),
    alu(BPF_AND, A, 0x3fff),
    { compare: BPF_JEQ, reg: A, other: X, to: 'found' },
    fetch(1, LENGTH_AT),
    insn(BPF_ALU64 | BPF_ADD | BPF_K, 1, 0, 0, 3),
    insn(BPF_ALU64 | BPF_AND | BPF_K, 1, 0, 0, -4),
    insn(BPF_ALU64 | BPF_ADD | BPF_X, AT, 1),
    { compare: BPF_JA, reg: 0, imm: 0, to: 'loop' },
    'found',
    insn(BPF_ALU | BPF_MOV | BPF_X, A, AT),
    insn(BPF_JMP | BPF_JA, 0, 0, 1),
    'none',
    movImm(A, 0),
  );
  return resolve(parts);
}

/** An instruction, a label, or a jump to one. */
type Part =
  | Insn
  | string
  | {
      readonly compare: number;
      readonly reg: number;
      readonly imm?: number;
      readonly other?: number;
      readonly to: string;
    };

function resolve(parts: readonly Part[]): Insn[] {
  const labels = new Map<string, number>();
  let at = 0;
  for (const part of parts) {
    if (typeof part === 'string') labels.set(part, at);
    else at++;
  }
  const insns: Insn[] = [];
  for (const part of parts) {
    if (typeof part === 'string') continue;
    if (!('compare' in part)) insns.push(part);
    else {
      const off = (labels.get(part.to) ?? 0) - insns.length - 1;
      const operand = part.other === undefined ? BPF_K : BPF_X;
      insns.push(insn(BPF_JMP | part.compare | operand, part.reg, part.other, off, part.imm));
    }
  }
  return insns;
}

/** Everything but jumps. */
function straight({ code, k }: ClassicInsn): Insn[] {
  const mode = code & 0xe0;
  switch (code & 7) {
    case BPF_LD:
      if (mode === BPF_ABS) return k >= SKF_AD_OFF ? ancillary(k - SKF_AD_OFF) : [insn(code, 0, 0, 0, k)];
      if (mode === BPF_IND) return [insn(code, 0, X, 0, k)];
      if (mode === BPF_IMM) return [movImm(A, k)];
      return mode === BPF_MEM ? [insn(BPF_LDX | BPF_MEM_MODE | BPF_W, A, FP, slot(k))] : [loadField(0)];
    case BPF_LDX:
      if (mode === BPF_MSH) {
        return [
          movReg(TMP, A),
          insn(BPF_LD | BPF_ABS | BPF_B, 0, 0, 0, k),
          alu(BPF_AND, A, 15),
          alu(BPF_LSH, A, 2),
          movReg(X, A),
          movReg(A, TMP),
        ];
      }
      if (mode === BPF_LEN) return [insn(BPF_LDX | BPF_MEM_MODE | BPF_W, X, CTX, 0)];
      return mode === BPF_IMM ? [movImm(X, k)] : [insn(BPF_LDX | BPF_MEM_MODE | BPF_W, X, FP, slot(k))];
    case BPF_ST:
      return [insn(BPF_STX | BPF_MEM_MODE | BPF_W, FP, A, slot(k))];
    case BPF_STX:
      return [insn(BPF_STX | BPF_MEM_MODE | BPF_W, FP, X, slot(k))];
    case BPF_ALU: {
      const op = code & 0xf0;
      if (op === BPF_NEG) return [insn(BPF_ALU | BPF_NEG, A)];
      if ((code & BPF_X) === 0) return [alu(op, A, k)];
      const operation = insn(BPF_ALU | op | BPF_X, A, X);
      if (op !== BPF_DIV && op !== BPF_MOD) return [operation];
      return [insn(BPF_JMP32 | BPF_JNE | BPF_K, X, 0, 2, 0), movImm(A, 0), EXIT, operation];
    }
    case BPF_RET:
      return (code & BPF_A) !== 0 ? [EXIT] : [movImm(A, k), EXIT];
    default:
      return [code === BPF_MISC ? movReg(X, A) : movReg(A, X)];
  }
}

/** The comparison that holds when the given one does not; there is none for BPF_JSET. */
const OPPOSITE: ReadonlyMap<number, number> = new Map([
  [BPF_JEQ, BPF_JNE],
  [BPF_JGT, BPF_JLE],
  [BPF_JGE, BPF_JLT],
]);

/** A jump from instruction `from` to `to`. */
function goto_(from: number, to: number): Insn {
  const off = to - from - 1;
  return off <= 0x7fff ? insn(BPF_JMP | BPF_JA, 0, 0, off) : insn(BPF_JMP32 | BPF_JA, 0, 0, 0, off);
}

/** A jump whose parts begin at `from`; `place` says where an instruction of the classic program went. */
function jump({ code, jt, jf, k }: ClassicInsn, pc: number, from: number, place: (pc: number) => number): Insn[] {
  const op = code & 0xf0;
  if (op === BPF_JA) return k === 0 ? [] : [goto_(from, place(pc + 1 + k))];
  const compare = (condition: number, to: number): Insn =>
    (code & BPF_X) !== 0
      ? insn(BPF_JMP32 | condition | BPF_X, A, X, to - from - 1)
      : insn(BPF_JMP32 | condition | BPF_K, A, 0, to - from - 1, k);
  if (jt === jf) return jt === 0 ? [] : [goto_(from, place(pc + 1 + jt))];
  if (jf === 0) return [compare(op, place(pc + 1 + jt))];
  const opposite = OPPOSITE.get(op);
  if (jt === 0 && opposite !== undefined) return [compare(opposite, place(pc + 1 + jf))];
  return [compare(op, place(pc + 1 + jt)), goto_(from + 1, place(pc + 1 + jf))];
}

/** Which instructions some path reaches; classic jumps go forwards only. */
function reachable(program: readonly ClassicInsn[]): boolean[] {
  const seen = program.map((_, pc) => pc === 0);
  program.forEach(({ code, jt, jf, k }, pc) => {
    if (!seen[pc]) return;
    switch (code & 7) {
      case BPF_JMP:
        if ((code & 0xf0) === BPF_JA) seen[pc + 1 + k] = true;
        else {
          seen[pc + 1 + jt] = true;
          seen[pc + 1 + jf] = true;
        }
        break;
      case BPF_RET:
        break;
      default:
        seen[pc + 1] = true;
    }
  });
  return seen;
}

/**
 * The translation of a program that `checkClassic` takes. What no path reaches is left out: classic BPF allows it, eBPF
 * does not.
 */
export function translateClassic(program: readonly ClassicInsn[]): Translation {
  const live = reachable(program);
  const insns = [movImm(A, 0), movImm(X, 0), insn(BPF_ALU64 | BPF_MOV | BPF_X, CTX, 1)];
  const isJump = ({ code }: ClassicInsn): boolean => (code & 7) === BPF_JMP;
  // Where each classic instruction goes; how long a jump is does not depend on the distance.
  const starts: number[] = [];
  let at = insns.length;
  for (let pc = 0; pc < program.length; pc++) {
    const classic = program[pc];
    starts.push(at);
    if (!live[pc]) continue;
    const what = isAncillaryLoad(classic) ? UNSUPPORTED.get(classic.k - SKF_AD_OFF) : undefined;
    if (what !== undefined) return { ok: false, message: `netloom does not support ${what} in a translated program` };
    at += isJump(classic) ? jump(classic, pc, 0, () => 1).length : straight(classic).length;
  }
  program.forEach((classic, pc) => {
    if (!live[pc]) return;
    for (const i of isJump(classic) ? jump(classic, pc, starts[pc], (to) => starts[to]) : straight(classic))
      insns.push(i);
  });
  return { ok: true, insns };
}

const isAncillaryLoad = ({ code, k }: ClassicInsn): boolean =>
  (code & 7) === BPF_LD && (code & 0xe0) === BPF_ABS && k >= SKF_AD_OFF;
