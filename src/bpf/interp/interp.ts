/**
 * The reference interpreter: all of RFC 9669, the kernel's additions (`may_goto`, load-acquire, store-release), calls,
 * callbacks and tail calls. Registers are BigInts, every access is checked, instructions are counted. What it answers is
 * what compiled code must answer.
 */
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_AND,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEMSX,
  BPF_OR,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_X,
  BPF_XCHG,
  BPF_XOR,
  type Insn,
  isLdImm64,
  MAX_BPF_STACK,
  sizeOf,
} from '../insn.ts';
import { BPF_MAP_STRUCT_BYTES } from '../maps/layout.ts';
import { contextSize } from '../runtime/ctx.ts';
import type { HelperImpl, HelperTable, KfuncTable } from '../runtime/helper.ts';
import { valuesOf } from '../runtime/machine.ts';
import { BadAccess, Regions } from '../runtime/regions.ts';
import { MAX_TAIL_CALL_CNT, type Run } from '../runtime/run.ts';
import { tailCallTarget } from '../runtime/tail-call.ts';
import { alu, swapBytes, u32, u64 } from './alu.ts';
import { checkArgs } from './helper-args.ts';
import { taken } from './jump.ts';
import { CheckedMemory } from './memory.ts';
import { loadPacket } from './packet.ts';
import type { InterpProgram } from './program.ts';

/** Times a `may_goto` falls through at most, each time its function is entered. */
export const MAY_GOTO_LIMIT = 8_388_608;

const TAIL_CALL = 12;
/** Below this address lies nothing that a program may see. */
const FIRST_ADDRESS = 4096n;
const FP = 10;

/** The run took more instructions than it was allowed. */
export class BudgetExceeded extends Error {
  constructor(budget: number) {
    super(`the program did not end within ${budget} instructions`);
    this.name = 'BudgetExceeded';
  }
}

type Frame = {
  program: InterpProgram;
  /** Instruction that runs next when a call made from here returns. */
  pc: number;
  readonly regs: BigUint64Array;
  mayGoto: number;
};

export class Interpreter {
  readonly #run: Run;
  readonly #helpers: HelperTable;
  readonly #kfuncs: KfuncTable;
  readonly #memory: CheckedMemory;
  readonly #regions: Regions;
  readonly #budget: number;
  /** Instructions executed. */
  steps = 0;

  constructor(run: Run, helpers: HelperTable, kfuncs: KfuncTable, budget: number) {
    this.#run = run;
    this.#helpers = helpers;
    this.#kfuncs = kfuncs;
    this.#budget = budget;
    this.#regions = run.regions ?? new Regions();
    this.#memory = new CheckedMemory(run, this.#regions, contextSize(run.progType));
  }

  /** Runs a program on the run's context; r0 as it leaves it. */
  main(program: InterpProgram): bigint {
    return this.call(program, 0, [BigInt(this.#run.ctx)]);
  }

  /** Runs the function that begins at `pc`. */
  call(program: InterpProgram, pc: number, args: readonly bigint[]): bigint {
    const run = this.#run;
    const { regions, callback } = run;
    run.regions = this.#regions;
    try {
      return this.#enter(program, pc, args, run.fp);
    } finally {
      run.regions = regions;
      run.callback = callback;
    }
  }

  /** Calls a function of `program` and everything it calls, until it returns. */
  #enter(program: InterpProgram, pc: number, args: readonly bigint[], fp: number): bigint {
    const run = this.#run;
    const previous = run.callback;
    const stackBefore = this.#memory.stackLow;
    const frames: Frame[] = [this.#frame(program, pc, args, fp)];
    run.callback = (fn, r1, r2, r3, r4) => {
      const frame = frames[frames.length - 1];
      const start = frame.program.subprogs[fn - 1];
      const words = [r1, r2, r3, r4].map((r) => BigInt(r >>> 0));
      return Number(
        BigInt.asIntN(32, this.#enter(frame.program, start, words, Number(frame.regs[FP]) - MAX_BPF_STACK)),
      );
    };
    let r0 = 0n;
    while (frames.length > 0) r0 = this.#step(frames, r0);
    run.callback = previous;
    this.#memory.stackLow = stackBefore;
    return r0;
  }

  #frame(program: InterpProgram, pc: number, args: readonly bigint[], fp: number): Frame {
    if (fp - MAX_BPF_STACK < this.#run.stackBase)
      throw new BadAccess('a stack frame', fp - MAX_BPF_STACK, MAX_BPF_STACK);
    this.#memory.stackLow = fp - MAX_BPF_STACK;
    const regs = new BigUint64Array(11);
    args.forEach((value, i) => {
      regs[i + 1] = value;
    });
    regs[FP] = BigInt(fp);
    return { program, pc, regs, mayGoto: MAY_GOTO_LIMIT };
  }

  /** Runs the innermost frame until it calls or returns; the value it returned, else `r0`. */
  #step(frames: Frame[], r0: bigint): bigint {
    const frame = frames[frames.length - 1];
    const { regs } = frame;
    const memory = this.#memory;
    let { insns } = frame.program;
    let pc = frame.pc;
    for (;;) {
      if (++this.steps > this.#budget) throw new BudgetExceeded(this.#budget);
      const insn = insns[pc];
      if (insn === undefined) throw new RangeError(`execution ran to instruction ${pc}, outside of the program`);
      const { code, dst, src, off, imm } = insn;
      pc++;
      switch (code & 7) {
        case BPF_ALU:
        case BPF_ALU64:
          regs[dst] = this.#alu(insn, regs);
          break;
        case BPF_LDX: {
          const at = u64(regs[src] + BigInt(off));
          const faults = at < FIRST_ADDRESS && frame.program.mayFault.has(pc - 1);
          const value = faults ? 0n : memory.load(at, sizeOf(code));
          regs[dst] = (code & 0xe0) === BPF_MEMSX ? BigInt.asIntN(sizeOf(code) * 8, value) : value;
          break;
        }
        case BPF_ST:
          memory.store(u64(regs[dst] + BigInt(off)), sizeOf(code), BigInt(imm));
          break;
        case BPF_STX:
          if ((code & 0xe0) === BPF_ATOMIC) this.#atomic(insn, regs);
          else memory.store(u64(regs[dst] + BigInt(off)), sizeOf(code), regs[src]);
          break;
        case BPF_LD: {
          if (isLdImm64(insn)) {
            regs[dst] = this.#imm64(frame.program, pc - 1, insn, insns[pc].imm);
            pc++;
            break;
          }
          const mode = code & 0xe0;
          if (mode !== BPF_ABS && mode !== BPF_IND) throw new RangeError(`no load 0x${code.toString(16)}`);
          const offset = mode === BPF_IND ? Number(BigInt.asIntN(32, regs[src] + BigInt(imm))) : imm;
          const value = loadPacket(this.#run, offset, sizeOf(code));
          if (value < 0) {
            frames.pop();
            this.#returned(frames, 0n);
            return 0n;
          }
          regs[0] = BigInt(value);
          break;
        }
        default: {
          const op = code & 0xf0;
          if (op === BPF_JA) {
            pc += (code & 7) === BPF_JMP32 ? imm : off;
          } else if (op === BPF_JCOND) {
            if (frame.mayGoto === 0) pc += off;
            else frame.mayGoto--;
          } else if (op === BPF_EXIT) {
            frames.pop();
            this.#returned(frames, regs[0]);
            return regs[0];
          } else if (op === BPF_CALL) {
            if (src === BPF_PSEUDO_CALL) {
              frame.pc = pc;
              const args = [regs[1], regs[2], regs[3], regs[4], regs[5]];
              frames.push(this.#frame(frame.program, pc + imm, args, Number(regs[FP]) - MAX_BPF_STACK));
              return r0;
            }
            if (src === 0 && imm === TAIL_CALL) {
              const target = this.#tailCall(regs);
              if (target === undefined) {
                regs[0] = BigInt.asUintN(64, -22n);
                break;
              }
              frame.program = target;
              insns = target.insns;
              pc = 0;
              frame.mayGoto = MAY_GOTO_LIMIT;
              regs[1] = BigInt(this.#run.ctx);
              break;
            }
            frame.pc = pc;
            regs[0] = this.#helper(frame.program, src, imm, regs);
          } else {
            const b = (code & BPF_X) !== 0 ? regs[src] : BigInt(imm);
            if (taken(op, regs[dst], b, (code & 7) === BPF_JMP ? 64 : 32)) pc += off;
          }
        }
      }
    }
  }

  /** A function returned: its caller, if any, goes on with the result in r0. */
  #returned(frames: readonly Frame[], value: bigint): void {
    const caller = frames[frames.length - 1];
    if (caller === undefined) return;
    caller.regs[0] = value;
    this.#memory.stackLow = Number(caller.regs[FP]) - MAX_BPF_STACK;
  }

  #alu(insn: Insn, regs: BigUint64Array): bigint {
    const { code, dst, src, off, imm } = insn;
    const wide = (code & 7) === BPF_ALU64;
    if ((code & 0xf0) === BPF_END) {
      // 64-bit class: unconditional swap. 32-bit class: to little endian truncates, to big endian swaps.
      if (wide || (code & BPF_X) !== 0) return swapBytes(regs[dst], imm);
      return BigInt.asUintN(imm, regs[dst]);
    }
    if (wide && code === 0xbf && off === 1) throw new RangeError('netloom does not support arenas (addr_space_cast)');
    const b = (code & BPF_X) !== 0 ? regs[src] : BigInt(imm);
    return alu(code & 0xf0, regs[dst], u64(b), wide ? 64 : 32, off);
  }

  #atomic(insn: Insn, regs: BigUint64Array): void {
    const { code, dst, src, off, imm } = insn;
    const memory = this.#memory;
    const size = sizeOf(code);
    if (imm === BPF_LOAD_ACQ) {
      regs[dst] = memory.load(u64(regs[src] + BigInt(off)), size);
      return;
    }
    const at = u64(regs[dst] + BigInt(off));
    if (imm === BPF_STORE_REL) {
      memory.store(at, size, regs[src]);
      return;
    }
    const old = memory.load(at, size);
    const operand = size === 4 ? u32(regs[src]) : regs[src];
    let value: bigint;
    switch (imm) {
      case BPF_XCHG:
        value = operand;
        break;
      case BPF_CMPXCHG:
        value = old === (size === 4 ? u32(regs[0]) : regs[0]) ? operand : old;
        break;
      default:
        switch (imm & 0xf0) {
          case BPF_ADD:
            value = old + operand;
            break;
          case BPF_OR:
            value = old | operand;
            break;
          case BPF_AND:
            value = old & operand;
            break;
          case BPF_XOR:
            value = old ^ operand;
            break;
          default:
            throw new RangeError(`no atomic operation 0x${imm.toString(16)}`);
        }
    }
    memory.store(at, size, value);
    if (imm === BPF_CMPXCHG) regs[0] = old;
    else if ((imm & BPF_FETCH) !== 0) regs[src] = old;
  }

  #imm64(program: InterpProgram, pc: number, insn: Insn, high: number): bigint {
    switch (insn.src) {
      case BPF_PSEUDO_MAP_FD:
      case BPF_PSEUDO_MAP_IDX:
        this.#run.grant(program.maps[insn.imm].address, BPF_MAP_STRUCT_BYTES, false);
        return BigInt(program.maps[insn.imm].address);
      case BPF_PSEUDO_MAP_VALUE:
      case BPF_PSEUDO_MAP_IDX_VALUE: {
        const map = program.maps[insn.imm];
        const base = valuesOf(this.#run.machine, map);
        this.#run.grant(base, map.valueSize * map.maxEntries);
        return BigInt(base + high);
      }
      case BPF_PSEUDO_FUNC:
        return BigInt(program.subprogs.indexOf(pc + 1 + insn.imm) + 1);
      default:
        return (BigInt(high >>> 0) << 32n) | BigInt(insn.imm >>> 0);
    }
  }

  #helper(program: InterpProgram, src: number, imm: number, regs: BigUint64Array): bigint {
    let impl: HelperImpl | undefined;
    if (src === BPF_PSEUDO_KFUNC_CALL) {
      const name = program.spec.kfuncs?.get(imm);
      impl = name === undefined ? undefined : this.#kfuncs.get(name);
      if (impl === undefined) throw new RangeError(`netloom does not implement kernel function ${name ?? imm}`);
    } else {
      impl = this.#helpers.get(imm);
      if (impl === undefined) throw new RangeError(`netloom does not implement helper ${imm}`);
    }
    const run = this.#run;
    if (src !== BPF_PSEUDO_KFUNC_CALL) checkArgs(run, this.#memory, imm, regs, program.subprogs.length);
    const wide = impl.wide ?? 0;
    for (let n = 1; n <= 5; n++) if ((wide >> n) & 1) run.setHi(n, Number(BigInt.asIntN(32, regs[n] >> 32n)));
    const [r1, r2, r3, r4, r5] = [1, 2, 3, 4, 5].map((n) => Number(BigInt.asIntN(32, regs[n])));
    const fp = run.fp;
    run.fp = Number(regs[FP]) - MAX_BPF_STACK;
    const low = impl.call(run, r1, r2, r3, r4, r5);
    run.fp = fp;
    if (impl.ret === 'int') return u64(BigInt(low | 0));
    if (impl.ret === 'u32') return BigInt(low >>> 0);
    return (BigInt(run.retHi() >>> 0) << 32n) | BigInt(low >>> 0);
  }

  #tailCall(regs: BigUint64Array): InterpProgram | undefined {
    const run = this.#run;
    if (run.tailCalls >= MAX_TAIL_CALL_CNT) return undefined;
    const program = tailCallTarget(run.machine, Number(regs[2]), Number(u32(regs[3])));
    if (program === undefined) return undefined;
    run.tailCalls++;
    run.program = program;
    return program as InterpProgram;
  }
}
