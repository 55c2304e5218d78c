/**
 * What the verifier knows at one point of one path through a program: registers and stack of every active frame, and
 * the references, locks and sections that are held (Documentation/bpf/verifier.rst).
 */
import type { Instance } from './live-stack.ts';
import type { LoopVisit } from './loops.ts';
import { Reg, SCALAR_VALUE } from './reg.ts';

// Contents of one stack byte.
export const STACK_INVALID = 0;
export const STACK_SPILL = 1;
export const STACK_MISC = 2;
export const STACK_ZERO = 3;
export const STACK_DYNPTR = 4;
export const STACK_ITER = 5;

/** Eight nibbles of the same content. */
const ALL = 0x11111111;

/**
 * Eight bytes of stack. Nibble j of `types` is the content of the byte j below the top: nibble 0 is the byte with the
 * highest address, nibble 7 the one that the slot's offset names.
 */
export class StackSlot {
  types = 0;
  /** The spilled register, a dynptr or iterator; meaningful when the bytes say so. */
  readonly reg: Reg;

  constructor(reg: Reg = new Reg()) {
    this.reg = reg;
  }

  at(j: number): number {
    return (this.types >>> (j * 4)) & 15;
  }
  set(j: number, type: number): void {
    const shift = j * 4;
    this.types = ((this.types & ~(15 << shift)) | (type << shift)) >>> 0;
  }
  fill(type: number): void {
    this.types = Math.imul(ALL, type) >>> 0;
  }
  is(type: number): boolean {
    return this.types === Math.imul(ALL, type) >>> 0;
  }
  /** A register was spilled here: whole, or its low part. */
  get spilled(): boolean {
    return this.types >>> 28 === STACK_SPILL;
  }
  get spilledScalar(): boolean {
    return this.spilled && this.reg.type === SCALAR_VALUE;
  }
  clone(): StackSlot {
    const content = this.types >>> 28;
    const holds = content === STACK_SPILL || content === STACK_DYNPTR || content === STACK_ITER;
    const slot = new StackSlot(holds ? this.reg.clone() : new Reg());
    slot.types = this.types;
    return slot;
  }
}

/** Range that a callback's return value must lie in. */
export type RetRange = { readonly min: number; readonly max: number };

/** r0 to r10. */
const newRegs = (): Reg[] => Array.from({ length: 11 }, () => new Reg());

/** One active function: its registers and its stack. */
export class FuncState {
  readonly regs: Reg[];
  /** Slot i covers bytes fp-8(i+1) .. fp-8i-1. */
  stack: StackSlot[] = [];
  /** The calling instruction, -1 for the main program. */
  readonly callsite: number;
  readonly frameno: number;
  readonly subprog: number;
  /** Which slots are alive in this chain of calls; found when it is first asked for. */
  instance: Instance | undefined = undefined;
  inCallback = false;
  inAsyncCallback = false;
  inException = false;
  callbackRet: RetRange | undefined = undefined;
  /** Entries into an asynchronous callback, to tell one from the next. */
  asyncEntries = 0;
  /** How often the callback at this call instruction was entered on this path. */
  callbackDepth = 0;

  constructor(callsite: number, frameno: number, subprog: number, regs: Reg[] = newRegs()) {
    this.callsite = callsite;
    this.frameno = frameno;
    this.subprog = subprog;
    this.regs = regs;
  }

  clone(): FuncState {
    const regs: Reg[] = [];
    for (const reg of this.regs) regs.push(reg.clone());
    const f = new FuncState(this.callsite, this.frameno, this.subprog, regs);
    for (const slot of this.stack) f.stack.push(slot.clone());
    f.instance = this.instance;
    f.inCallback = this.inCallback;
    f.inAsyncCallback = this.inAsyncCallback;
    f.inException = this.inException;
    f.callbackRet = this.callbackRet;
    f.asyncEntries = this.asyncEntries;
    f.callbackDepth = this.callbackDepth;
    return f;
  }

  /** The slot, made (with unknown content) when the stack had not grown that far. */
  slot(spi: number): StackSlot {
    while (this.stack.length <= spi) this.stack.push(new StackSlot());
    return this.stack[spi];
  }
}

/** Something held: an acquired object, a spin lock, saved interrupt flags. */
export type Ref = {
  readonly kind: 'ptr' | 'lock' | 'res_lock' | 'irq';
  readonly id: number;
  /** The acquiring instruction. */
  readonly insn: number;
  /** For locks: what it is held in (map or BTF object), to be unlocked with the same. */
  readonly owner: unknown;
};

/** One step of a path that jumps, or that touches the stack: needed to walk back for precision. */
export type Step = {
  /** The step before it since the last recorded state: paths that part share what lies behind them. */
  readonly before: Step | undefined;
  readonly insn: number;
  readonly prev: number;
  /** Stack slot touched by this instruction: frame and slot, -1 when none. */
  frame: number;
  spi: number;
  /** Registers and slots that shared an id when a comparison narrowed one: pairs (frame, regno or 16 + slot). */
  linked: readonly number[] | undefined;
};

/** Frames, held things, and how the path came here. */
export class State {
  frames: FuncState[] = [];
  refs: Ref[] = [];
  activeLocks = 0;
  activeRcuLocks = 0;
  activePreemptLocks = 0;
  activeIrqId = 0;
  speculative = false;
  inSleepable = false;
  /** Paths that go on from here and have not ended. */
  branches = 0;
  parent: State | undefined = undefined;
  /** Where this state was recorded, and the last instruction before it was handed on. */
  insn = 0;
  firstInsn = 0;
  lastInsn = 0;
  dfsDepth = 0;
  callbackUnrollDepth = 0;
  mayGotoDepth = 0;
  /** The last step since the state that `parent` records, and how many they are. */
  history: Step | undefined = undefined;
  steps = 0;
  /** Recorded states: the loop that they stand in. */
  loop: LoopVisit | undefined = undefined;
  /** No longer compared with; kept while paths go on from here. */
  evicted = false;
  /** Dead registers and slots have been forgotten. */
  cleaned = false;

  get frame(): FuncState {
    return this.frames[this.frames.length - 1];
  }
  get depth(): number {
    return this.frames.length - 1;
  }

  clone(): State {
    const s = new State();
    for (const frame of this.frames) s.frames.push(frame.clone());
    if (this.refs.length > 0) s.refs = this.refs.slice();
    s.activeLocks = this.activeLocks;
    s.activeRcuLocks = this.activeRcuLocks;
    s.activePreemptLocks = this.activePreemptLocks;
    s.activeIrqId = this.activeIrqId;
    s.speculative = this.speculative;
    s.inSleepable = this.inSleepable;
    s.branches = this.branches;
    s.parent = this.parent;
    s.insn = this.insn;
    s.firstInsn = this.firstInsn;
    s.lastInsn = this.lastInsn;
    s.dfsDepth = this.dfsDepth;
    s.callbackUnrollDepth = this.callbackUnrollDepth;
    s.mayGotoDepth = this.mayGotoDepth;
    s.history = this.history;
    s.steps = this.steps;
    return s;
  }
}
