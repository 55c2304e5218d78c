/**
 * One Wasm module for one program: a function for each subprogram, one for each hash table looked up, and the exports
 *
 *     main(ctx, frame pointer) -> r0, i64        for the table of programs
 *     run(run block) -> low word of r0           the high word is left in the run block
 *     callback(run block, function, r1..r4) -> low word of r0
 *     batch(run block, handles, n, results)      for XDP and tc (batch.ts)
 */
import { Code, I32, I64, OP, WasmModule } from '../../core/wasm.ts';
import { BPF_JCOND, BPF_JMP } from '../insn.ts';
import { RUN_CTX, RUN_FP, RUN_RET_HI } from '../runtime/run.ts';
import { batchKind, defineBatch } from './batch.ts';
import { Frame } from './frame.ts';
import { FunctionWriter } from './function.ts';
import { controlFlow, functionStarts, type Graph } from './graph.ts';
import { declareImports, type Imports } from './imports.ts';
import { type CompileInput, NotCompiled } from './input.ts';
import { defineHashLookup } from './lookup.ts';
import { defineLpmLookup, isLpm } from './lookup-lpm.ts';
import type { Check } from './memory.ts';

/** V8's limit on the bytes of one function. */
const MAX_FUNCTION_BYTES = 7_654_321;
const DEFAULT_DEPTH = 512;
/** A program of more instructions is called by its batch loop, not written into it once more. */
const INLINE_INSNS = 4096;
const MAX_SUBPROGS = 1 << 16;

const MAIN_PARAMS = [I32, I32];
const SUB_PARAMS = [I64, I64, I64, I64, I64, I32];

type Sub = { readonly start: number; readonly end: number; readonly depth: number; readonly func: number };

export class ModuleWriter {
  readonly input: CompileInput;
  readonly wasm: WasmModule = new WasmModule();
  readonly imports: Imports;
  readonly check: Check;
  /** The program has a `may_goto`. */
  readonly mayGoto: boolean;
  readonly #subs: readonly Sub[];
  readonly #numberAt = new Map<number, number>();
  readonly #lookups = new Map<number, number>();
  #table = -1;

  constructor(input: CompileInput) {
    this.input = input;
    const { insns, name } = input.spec;
    const seen = (pc: number): boolean => this.seen(pc);
    this.imports = declareImports(this.wasm, input, seen);
    this.check = { func: this.imports.check };
    this.mayGoto = insns.some((insn) => insn.code === (BPF_JMP | BPF_JCOND));
    const starts = functionStarts(insns);
    if (starts.length > MAX_SUBPROGS) throw new NotCompiled(`programs of more than ${MAX_SUBPROGS} functions`);
    const depths = new Map(input.facts?.subprogs.map((s) => [s.start, s.stackDepth]));
    this.#subs = starts.map((start, i) => {
      this.#numberAt.set(start, i);
      return {
        start,
        end: starts[i + 1] ?? insns.length,
        depth: Math.min(DEFAULT_DEPTH, ((depths.get(start) ?? DEFAULT_DEPTH) + 7) & ~7),
        func: this.wasm.declare(
          i === 0 ? MAIN_PARAMS : SUB_PARAMS,
          [I64],
          i === 0 ? name || 'main' : `${name || 'main'}_${start}`,
        ),
      };
    });
  }

  seen(pc: number): boolean {
    return this.input.facts?.insns[pc]?.seen ?? true;
  }

  /** Function number of the subprogram that starts at `pc`. */
  subprogAt(pc: number): number {
    return this.#subs[this.subprogNumber(pc)].func;
  }
  subprogNumber(pc: number): number {
    const number = this.#numberAt.get(pc);
    if (number === undefined) throw new NotCompiled(`a call into the middle of a function`, pc);
    return number;
  }

  /** The function that looks up keys in the hash table or trie `spec.maps[index]`. */
  lookupOf(index: number): number {
    let func = this.#lookups.get(index);
    if (func === undefined) {
      func = this.wasm.declare([I32], [I32], `lookup_${this.input.spec.maps[index]?.name || index}`);
      this.#lookups.set(index, func);
    }
    return func;
  }

  /** The module's own table: subprogram n is entry n. */
  ownTable(): number {
    if (this.#table < 0) this.#table = this.wasm.table(this.#subs.length);
    return this.#table;
  }

  graphOf(sub: Sub): Graph {
    return controlFlow(this.input.spec.insns, sub.start, sub.end, (pc) => this.seen(pc));
  }

  get main(): Sub {
    return this.#subs[0];
  }

  bytes(): Uint8Array {
    const { wasm } = this;
    this.#subs.forEach((sub, i) => {
      if (!this.seen(sub.start)) wasm.define(sub.func, [], new Code().op(OP.unreachable));
      else this.#defineFunction(sub, i);
    });
    this.#defineRun();
    if (this.#subs.length > 1) this.#defineCallback();
    const kind = this.input.noBatch ? undefined : batchKind(this.input.spec.type);
    if (kind !== undefined) defineBatch(this, kind, this.input.spec.insns.length <= INLINE_INSNS);
    for (const [index, func] of this.#lookups) {
      const map = this.input.maps[index];
      (isLpm(map) ? defineLpmLookup : defineHashLookup)(wasm, func, map);
    }
    if (this.#table >= 0 && this.#subs.length > 1)
      wasm.elements(
        this.#table,
        1,
        this.#subs.slice(1).map((s) => s.func),
      );
    wasm.export('main', 'func', this.main.func);
    return wasm.bytes();
  }

  #defineFunction(sub: Sub, number: number): void {
    const code = new Code(1024);
    const isMain = number === 0;
    const params = isMain ? MAIN_PARAMS.length : SUB_PARAMS.length;
    const frame = new Frame({
      code,
      params,
      regs: isMain ? [] : [-1, 0, 1, 2, 3, 4],
      fp: isMain ? 1 : 5,
      depth: sub.depth,
    });
    if (isMain) {
      code.get(0);
      frame.setLow(1);
    }
    new FunctionWriter(this, frame, this.graphOf(sub), false).write();
    if (code.length > MAX_FUNCTION_BYTES)
      throw new NotCompiled(`functions of more than ${MAX_FUNCTION_BYTES} bytes of Wasm (this one has ${code.length})`);
    this.wasm.define(sub.func, frame.locals, code);
  }

  /** Runs `body` (which leaves an i64) with the run block in local 0 as the current one; leaves the low word. */
  #entered(code: Code, outer: number, result: number, body: () => void): void {
    const cell = this.input.runCell;
    code.i32(0).mem(OP['i32.load'], cell).set(outer);
    code.i32(0).get(0).mem(OP['i32.store'], cell);
    body();
    code.set(result);
    code.i32(0).get(outer).mem(OP['i32.store'], cell);
    code.get(result).op(OP['i32.wrap_i64']);
  }

  #defineRun(): void {
    const func = this.wasm.declare([I32], [I32], 'run');
    const code = new Code();
    this.#entered(code, 1, 2, () => {
      code.get(0).mem(OP['i32.load'], RUN_CTX).get(0).mem(OP['i32.load'], RUN_FP).call(this.main.func);
    });
    code.get(0).get(2).i64(32).op(OP['i64.shr_u']).mem(OP['i64.store32'], RUN_RET_HI);
    this.wasm.define(func, [I32, I64], code);
    this.wasm.export('run', 'func', func);
  }

  #defineCallback(): void {
    const func = this.wasm.declare([I32, I32, I32, I32, I32, I32], [I32], 'callback');
    const code = new Code();
    this.#entered(code, 6, 7, () => {
      for (let n = 2; n <= 5; n++) code.get(n).op(OP['i64.extend_i32_u']);
      code.i64(0).get(0).mem(OP['i32.load'], RUN_FP);
      code.get(1).i32(1).op(OP['i32.sub']).callIndirect(this.imports.subType, this.ownTable());
    });
    this.wasm.define(func, [I32, I64], code);
    this.wasm.export('callback', 'func', func);
  }
}

/** The Wasm module of a program. Throws `NotCompiled` for what only the interpreter can run. */
export function compile(input: CompileInput): Uint8Array {
  return new ModuleWriter(input).bytes();
}
