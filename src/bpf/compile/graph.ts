/**
 * The control flow graph of one function of a program: basic blocks, numbered in reverse postorder, so that an edge to a
 * block of a smaller or the same number closes a loop. Nothing here recurses: programs have up to a million instructions.
 */
import {
  BPF_CALL,
  BPF_EXIT,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  classOf,
  type Insn,
  isLdImm64,
} from '../insn.ts';

/** How a block ends. */
export const END_EXIT = 0;
export const END_GOTO = 1;
/** Two ways: `taken` and `next`; the deciding instruction is the last of the block. */
export const END_BRANCH = 2;
/** Control never comes here: the verifier saw none of the ways on. */
export const END_DEAD = 3;

export type Graph = {
  /** Blocks that can be reached. */
  readonly count: number;
  /** First instruction of each block. */
  readonly start: Int32Array;
  /** One past the last plain instruction: a jump or exit that ends the block lies there. */
  readonly end: Int32Array;
  readonly kind: Uint8Array;
  /** The block jumped to (END_GOTO, END_BRANCH), -1 for none. */
  readonly taken: Int32Array;
  /** The block behind (END_BRANCH), -1 for none. */
  readonly next: Int32Array;
};

/** Where the jump at `pc` goes. */
export function jumpTarget(insn: Insn, pc: number): number {
  return pc + 1 + (classOf(insn) === BPF_JMP32 && (insn.code & 0xf0) === BPF_JA ? insn.imm : insn.off);
}

const isJump = (insn: Insn): boolean => {
  const cls = classOf(insn);
  if (cls !== BPF_JMP && cls !== BPF_JMP32) return false;
  const op = insn.code & 0xf0;
  return op !== BPF_CALL && !(cls === BPF_JMP && op === BPF_EXIT);
};
export const isExit = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_EXIT);
export const isPseudoCall = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_CALL;
export const isPseudoFunc = (insn: Insn): boolean => isLdImm64(insn) && insn.src === BPF_PSEUDO_FUNC;

/** Starts of the functions of a program, ascending: 0, what is called, and what callbacks point to. */
export function functionStarts(insns: readonly Insn[]): number[] {
  const starts = new Set([0]);
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    if (isPseudoCall(insn)) starts.add(pc + 1 + insn.imm);
    else if (isPseudoFunc(insn)) starts.add(pc + 1 + insn.imm);
    if (isLdImm64(insn)) pc++;
  }
  return [...starts].sort((a, b) => a - b);
}

/** The graph of the function in `[from, to)`. `seen(pc)` is false for instructions that are never reached. */
export function controlFlow(
  insns: readonly Insn[],
  from: number,
  to: number,
  seen: (pc: number) => boolean = () => true,
): Graph {
  const size = to - from;
  const leader = new Uint8Array(size + 1);
  leader[0] = 1;
  for (let pc = from; pc < to; pc++) {
    const insn = insns[pc];
    if (isJump(insn)) {
      leader[jumpTarget(insn, pc) - from] = 1;
      leader[pc + 1 - from] = 1;
    } else if (isExit(insn)) leader[pc + 1 - from] = 1;
    if (isLdImm64(insn)) pc++;
  }
  const blockOf = new Int32Array(size + 1).fill(-1);
  const starts: number[] = [];
  for (let i = 0; i < size; i++) if (leader[i]) blockOf[i] = starts.push(from + i) - 1;

  const n = starts.length;
  const end = new Int32Array(n);
  const kind = new Uint8Array(n);
  const taken = new Int32Array(n).fill(-1);
  const next = new Int32Array(n).fill(-1);
  const at = (pc: number): number => (pc < to && seen(pc) ? blockOf[pc - from] : -1);
  for (let b = 0; b < n; b++) {
    const stop = b + 1 < n ? starts[b + 1] : to;
    const last = insns[stop - 1];
    if (isExit(last)) {
      kind[b] = END_EXIT;
      end[b] = stop - 1;
    } else if (isJump(last)) {
      end[b] = stop - 1;
      const target = at(jumpTarget(last, stop - 1));
      const behind = (last.code & 0xf0) === BPF_JA ? -1 : at(stop);
      taken[b] = target >= 0 ? target : behind;
      next[b] = behind;
      kind[b] = taken[b] < 0 ? END_DEAD : target >= 0 && behind >= 0 && target !== behind ? END_BRANCH : END_GOTO;
    } else {
      end[b] = stop;
      taken[b] = at(stop);
      kind[b] = taken[b] < 0 ? END_DEAD : END_GOTO;
    }
  }
  return inReversePostorder({ count: n, start: Int32Array.from(starts), end, kind, taken, next });
}

function inReversePostorder(g: Graph): Graph {
  const state = new Uint8Array(g.count);
  const order: number[] = [];
  const stack = [0];
  state[0] = 1;
  const visit = (b: number): void => {
    if (b >= 0 && state[b] === 0) {
      state[b] = 1;
      stack.push(b);
    }
  };
  // Depth first: `state` counts the ways out that were tried. The taken way goes first, so that it ends up behind the
  // next one and code keeps its order.
  while (stack.length > 0) {
    const b = stack[stack.length - 1];
    if (state[b] === 1) {
      state[b] = 2;
      visit(g.taken[b]);
    } else if (state[b] === 2) {
      state[b] = 3;
      if (g.kind[b] === END_BRANCH) visit(g.next[b]);
    } else {
      order.push(b);
      stack.pop();
    }
  }
  order.reverse();
  const number = new Int32Array(g.count).fill(-1);
  order.forEach((b, i) => {
    number[b] = i;
  });
  const pick = (from: Int32Array): Int32Array => Int32Array.from(order, (b) => from[b]);
  const renamed = (from: Int32Array): Int32Array => Int32Array.from(order, (b) => (from[b] < 0 ? -1 : number[from[b]]));
  return {
    count: order.length,
    start: pick(g.start),
    end: pick(g.end),
    kind: Uint8Array.from(order, (b) => g.kind[b]),
    taken: renamed(g.taken),
    next: Int32Array.from(order, (b) => (g.kind[b] === END_BRANCH ? number[g.next[b]] : -1)),
  };
}
