/**
 * A program for the interpreter: instructions, maps, where its functions begin.
 */
import { BPF_CALL, BPF_JMP, BPF_PSEUDO_CALL, BPF_PSEUDO_FUNC, type Insn, isLdImm64 } from '../insn.ts';
import type { BpfMap } from '../maps/map.ts';
import type { ProgramSpec } from '../program.ts';
import type { HelperTable, KfuncTable } from '../runtime/helper.ts';
import type { MachineProgram } from '../runtime/machine.ts';
import type { Run } from '../runtime/run.ts';
import { Interpreter } from './interp.ts';

/** First instructions of all functions, in order: the number of a subprogram is its place here. */
export function subprogStarts(insns: readonly Insn[]): number[] {
  const starts = new Set([0]);
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    if (insn.code === (BPF_JMP | BPF_CALL) && insn.src === BPF_PSEUDO_CALL) starts.add(pc + 1 + insn.imm);
    if (isLdImm64(insn)) {
      if (insn.src === BPF_PSEUDO_FUNC) starts.add(pc + 1 + insn.imm);
      pc++;
    }
  }
  return [...starts].sort((a, b) => a - b);
}

export type InterpOptions = {
  readonly helpers: HelperTable;
  readonly kfuncs: KfuncTable;
  /** Loads that give zero when nothing is at their address, by instruction. */
  readonly insns?: readonly { readonly mayFault?: boolean }[];
  /** Instructions one run may take; default 100,000,000. */
  readonly budget?: number;
};

export class InterpProgram implements MachineProgram {
  readonly id: number;
  readonly spec: ProgramSpec;
  readonly maps: readonly BpfMap[];
  readonly insns: readonly Insn[];
  readonly subprogs: readonly number[];
  readonly mayFault: ReadonlySet<number>;
  readonly #options: InterpOptions;

  constructor(id: number, spec: ProgramSpec, maps: readonly BpfMap[], options: InterpOptions) {
    this.id = id;
    this.spec = spec;
    this.maps = maps;
    this.insns = spec.insns;
    this.subprogs = subprogStarts(spec.insns);
    this.mayFault = new Set(options.insns?.flatMap((insn, pc) => (insn.mayFault === true ? [pc] : [])));
    this.#options = options;
  }

  /**
   * Runs it on the context of `run`; the low 32 bits of r0. Throws `BadAccess` or `BudgetExceeded`, which an accepted
   * program never causes.
   */
  enter(run: Run): number {
    const { helpers, kfuncs, budget = 100_000_000 } = this.#options;
    run.program = this;
    run.progType = this.spec.type;
    const r0 = new Interpreter(run, helpers, kfuncs, budget).main(this);
    return Number(BigInt.asUintN(32, r0));
  }

  /** Calls the function number `fn` - 1 on its own, as a timer does. */
  call(run: Run, fn: number, r1: number, r2: number, r3: number): number {
    const { helpers, kfuncs, budget = 100_000_000 } = this.#options;
    run.program = this;
    run.progType = this.spec.type;
    const args = [r1, r2, r3].map((r) => BigInt(r >>> 0));
    const r0 = new Interpreter(run, helpers, kfuncs, budget).call(this, this.subprogs[fn - 1], args);
    return Number(BigInt.asIntN(32, r0));
  }
}
