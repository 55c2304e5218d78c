/**
 * What the compiler is given: a program, what the verifier found out about it, and where things lie in the memory that it
 * shares with the packets.
 */
import type { ProgramSpec } from '../program.ts';

/** What is known of one instruction after verification. */
export type InsnFacts = {
  /** The verifier walked over it; what it never saw is dead and left out. */
  readonly seen: boolean;
  /** Helper calls whose map argument is always the same map: its index in `spec.maps`; else -1. */
  readonly mapIndex: number;
  /** A load that gives zero when its address is (nearly) NULL. */
  readonly mayFault?: boolean;
  /** Map helper calls whose key is always the same constant: its first four bytes. */
  readonly mapKey?: bigint;
};

/** The part of a `Verdict` that the compiler reads. */
export type Facts = {
  readonly insns: readonly InsnFacts[];
  readonly subprogs: readonly { readonly start: number; readonly end: number; readonly stackDepth: number }[];
  /** Byte offsets of the context that the program reads and writes. */
  readonly ctxRead: ReadonlySet<number>;
  readonly ctxWritten: ReadonlySet<number>;
};

/** How a helper's arguments and result cross into JavaScript (runtime/helper.ts). */
export type HelperAbi = { readonly wide?: number; readonly ret: 'int' | 'u32' | 'u64' };

/** A map as the program's code sees it. */
export type CompiledMap = {
  /** Address of the descriptor: the run-time value of an LD_IMM64 of this map. */
  readonly address: number;
  readonly type: number;
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  readonly flags: number;
  readonly frozen: boolean;
  /** A word of the descriptor (maps/layout.ts). */
  word(n: number): number;
  /** Bytes of the first value of a frozen read-only array. */
  value(offset: number, size: number): bigint | undefined;
};

export type CompileInput = {
  readonly spec: ProgramSpec;
  /** Without it every instruction counts as reachable, no map as known, and frames are 512 bytes. */
  readonly facts?: Facts;
  /** In the order of `spec.maps`. */
  readonly maps: readonly CompiledMap[];
  readonly helper: (id: number) => HelperAbi | undefined;
  readonly kfunc?: (name: string) => HelperAbi | undefined;
  /** Pages of the memory: it never grows. */
  readonly pages: number;
  /** Address of the word that holds the address of the current run block. */
  readonly runCell: number;
  /** Processors of the machine: with one, per-CPU maps need no processor number. */
  readonly cpus: number;
  /** Every access asks the imported `check` first. */
  readonly checking?: boolean;
  /** Leave the `batch` export out. */
  readonly noBatch?: boolean;
};

/** A construct that the compiler has no code for; the interpreter runs such programs. */
export class NotCompiled extends Error {
  /** Instruction the reason lies at, -1 for the whole program. */
  readonly insn: number;
  constructor(reason: string, insn = -1) {
    super(`netloom does not compile ${reason}${insn < 0 ? '' : ` (instruction ${insn})`}`);
    this.name = 'NotCompiled';
    this.insn = insn;
  }
}
