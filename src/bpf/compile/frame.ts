/**
 * Where the code of one function finds its registers: r0..r9 are i64 locals, r10 is the i32 frame pointer, and stack accesses
 * go through the frame's lowest address, so that their offsets are never negative.
 */
import { type Code, I32, I64, OP } from '../../core/wasm.ts';
import { BPF_REG_FP } from '../insn.ts';

export class Frame {
  readonly code: Code;
  /** Local of r0..r9. */
  readonly regs: readonly number[];
  /** Frame pointer and lowest address of the frame. */
  readonly fp: number;
  readonly base: number;
  /** Bytes of the frame. */
  readonly depth: number;
  readonly #locals: number[];
  readonly #first: number;
  readonly #named = new Map<string, number>();

  constructor(options: {
    readonly code: Code;
    /** Locals that exist already: parameters. */
    readonly params: number;
    readonly regs: readonly number[];
    readonly fp: number;
    readonly depth: number;
    readonly locals?: number[];
  }) {
    this.code = options.code;
    this.#first = options.params;
    this.#locals = options.locals ?? [];
    this.regs = Array.from({ length: 10 }, (_, i) => (options.regs[i] >= 0 ? options.regs[i] : this.local(I64)));
    this.fp = options.fp;
    this.depth = options.depth;
    this.base = this.local(I32);
  }

  /** A new local. */
  local(type: number): number {
    return this.#first + this.#locals.push(type) - 1;
  }
  get locals(): readonly number[] {
    return this.#locals;
  }

  /** The local of this name, made when first asked for. */
  named(name: string, type: number): number {
    let local = this.#named.get(name);
    if (local === undefined) {
      local = this.local(type);
      this.#named.set(name, local);
    }
    return local;
  }

  // Temporaries: none lives longer than one instruction of the program.
  get a64(): number {
    return this.named('a64', I64);
  }
  get b64(): number {
    return this.named('b64', I64);
  }
  get a32(): number {
    return this.named('a32', I32);
  }
  /** The block a dispatcher goes to. */
  get state(): number {
    return this.named('state', I32);
  }
  /** Times that `may_goto` may still fall through. */
  get loops(): number {
    return this.named('loops', I32);
  }

  /** Pushes a register as i64. */
  reg(r: number): Code {
    return r === BPF_REG_FP ? this.code.get(this.fp).op(OP['i64.extend_i32_u']) : this.code.get(this.regs[r]);
  }
  /** Pushes the low word of a register. */
  low(r: number): Code {
    return r === BPF_REG_FP ? this.code.get(this.fp) : this.code.get(this.regs[r]).op(OP['i32.wrap_i64']);
  }
  /** Pushes the high word of a register. */
  high(r: number): Code {
    return this.reg(r).i64(32).op(OP['i64.shr_u']).op(OP['i32.wrap_i64']);
  }
  /** Pops an i64 into a register. */
  set(r: number): Code {
    return this.code.set(this.regs[r]);
  }
  /** Pops an i32 into a register, zero-extended. */
  setLow(r: number): Code {
    return this.code.op(OP['i64.extend_i32_u']).set(this.regs[r]);
  }
}
