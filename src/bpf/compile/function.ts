/**
 * Writes one function of a program: its blocks in the structure that `structure.ts` finds, each instruction by the file for
 * its class. The same writer serves the functions of a module and the body inlined in `batch`.
 */
import { META, META_BYTES } from '../../core/slab.ts';
import { type Code, F64, I32, I64, OP } from '../../core/wasm.ts';
import { BPF_F_RDONLY_PROG, BPF_MAP_TYPE_ARRAY } from '../../wire/uapi/bpf.ts';
import {
  BPF_ABS,
  BPF_ADD,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_CALL,
  BPF_IND,
  BPF_JMP,
  BPF_LD,
  BPF_LDX,
  BPF_MEM,
  BPF_MOV,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STX,
  BPF_X,
  classOf,
  type Insn,
  isLdImm64,
  sizeOf,
} from '../insn.ts';
import * as layout from '../maps/layout.ts';
import { isSkbContext, NARROW_FIELDS, SKB } from '../runtime/ctx.ts';
import { RUN_CTX, RUN_PACKET } from '../runtime/run.ts';
import { reverseWord, writeAlu } from './alu.ts';
import { writeCall } from './call.ts';
import type { Frame } from './frame.ts';
import type { Graph } from './graph.ts';
import { type CompiledMap, NotCompiled } from './input.ts';
import { MAY_GOTO_LOOPS, writeCondition } from './jump.ts';
import { writeAtomic, writeLoad, writeProbe, writeStore } from './memory.ts';
import type { ModuleWriter } from './module.ts';
import { type BlockWriter, writeStructure } from './structure.ts';
import { type Known, pushConstant, Tracker } from './tracker.ts';

const PAGE = 65_536;
const MAX_INLINE_LOOKUPS = 8;
const MAX_INLINE_KEY = 64;
const MAX_INLINE_INSNS = 4096;

export class FunctionWriter implements BlockWriter {
  readonly module: ModuleWriter;
  readonly frame: Frame;
  /** The code stands inside the batch loop: an exit leaves a block with r0 on the stack instead of returning. */
  readonly inlined: boolean;
  readonly #insns: readonly Insn[];
  readonly #graph: Graph;
  #track = new Tracker();
  /** What is known where the blocks begin whose edges in were written so far. */
  readonly #handedOn = new Map<number, Tracker>();
  /** 1: a loop closes here, so that not all edges in are written before. */
  readonly #closes: Uint8Array;
  #lookups = 0;
  /** Pushes the context's field at this offset as i32 without loading it; false when it cannot. */
  readonly #ctxField: (at: number) => boolean;
  #depth = 0;

  constructor(module: ModuleWriter, frame: Frame, graph: Graph, inlined: boolean, ctxField?: (at: number) => boolean) {
    this.module = module;
    this.frame = frame;
    this.inlined = inlined;
    this.#ctxField = ctxField ?? ((): boolean => false);
    this.#insns = module.input.spec.insns;
    this.#graph = graph;
    this.#closes = new Uint8Array(graph.count);
    for (let b = 0; b < graph.count; b++) {
      if (graph.taken[b] >= 0 && graph.taken[b] <= b) this.#closes[graph.taken[b]] = 1;
      if (graph.next[b] >= 0 && graph.next[b] <= b) this.#closes[graph.next[b]] = 1;
    }
  }

  /** Writes it all, from setting up the frame to the last exit. */
  write(): void {
    const f = this.frame;
    f.code.get(f.fp).i32(f.depth).op(OP['i32.sub']).set(f.base);
    if (this.module.mayGoto) f.code.i32(MAY_GOTO_LOOPS).set(f.loops);
    writeStructure(this.#graph, f.code, this, f);
  }

  body(block: number, depth: number): void {
    this.#track = this.#handedOn.get(block) ?? new Tracker();
    this.#handedOn.delete(block);
    if (block === 0 && this.#closes[0] === 0) this.#track.learn(1, { kind: 'ctx' });
    this.#depth = depth;
    const insns = this.#insns;
    const end = this.#graph.end[block];
    for (let pc = this.#graph.start[block]; pc < end; pc++) {
      this.#insn(insns[pc], pc);
      if (isLdImm64(insns[pc])) pc++;
    }
    this.#handOn(this.#graph.taken[block]);
    this.#handOn(this.#graph.next[block]);
  }

  #handOn(block: number): void {
    if (block < 0 || this.#closes[block] === 1) return;
    const met = this.#handedOn.get(block);
    if (met === undefined) this.#handedOn.set(block, new Tracker(this.#track));
    else met.meet(this.#track);
  }

  condition(block: number, negate: boolean): void {
    const pc = this.#graph.end[block];
    writeCondition(this.frame, this.#insns[pc], pc, negate);
  }

  exit(_block: number, depth: number): void {
    this.#depth = depth;
    this.frame.reg(0);
    this.leave(0);
  }

  /** Ends the function with the i64 on the stack; `inside` blocks are open that the structure does not know of. */
  leave(inside: number): void {
    if (this.inlined) this.frame.code.br(this.#depth + inside);
    else this.frame.code.op(OP.return);
  }

  /** Pushes the address of the current run block. */
  pushRun(): Code {
    return this.frame.code.i32(0).mem(OP['i32.load'], this.module.input.runCell);
  }

  known(r: number): Known | undefined {
    return this.#track.known(r);
  }

  /** Index of the map that the call at `pc` is always given in register `r`; -1 when that is not known. */
  mapOf(pc: number, r: number): number {
    const known = this.#track.known(r);
    if (known?.kind === 'map') return known.map;
    return this.module.input.facts?.insns[pc]?.mapIndex ?? -1;
  }

  #insn(insn: Insn, pc: number): void {
    const f = this.frame;
    switch (classOf(insn)) {
      case BPF_ALU:
      case BPF_ALU64: {
        const known = this.#computed(insn);
        writeAlu(f, insn, pc);
        this.#track.learn(insn.dst, known);
        return;
      }
      case BPF_LDX:
        if (this.module.input.facts?.insns[pc]?.mayFault === true) writeProbe(f, insn, this.module.input.pages * PAGE);
        else if (!this.#knownLoad(insn)) writeLoad(f, this.module.check, insn);
        this.#track.learn(insn.dst, undefined);
        return;
      case BPF_ST:
        this.#store(insn, true);
        return;
      case BPF_STX:
        if ((insn.code & 0xe0) !== BPF_ATOMIC) {
          this.#store(insn, false);
          return;
        }
        writeAtomic(f, this.module.check, insn, pc);
        this.#track.forgetStored();
        // Fetching operations write src, comparing ones r0, load-acquire dst.
        for (const r of [0, insn.src, insn.dst]) this.#track.learn(r, undefined);
        return;
      case BPF_LD:
        if (isLdImm64(insn)) return this.#immediate(insn, pc);
        this.#packetLoad(insn, pc);
        this.#track.forgetCallerSaved();
        return;
      default:
        if (insn.code !== (BPF_JMP | BPF_CALL)) throw new NotCompiled(`opcode 0x${insn.code.toString(16)}`, pc);
        if (writeCall(this, insn, pc)) this.#track.forgetMemory();
        this.#track.forgetCallerSaved();
    }
  }

  /** LD_IMM64 in all its meanings. */
  #immediate(insn: Insn, pc: number): void {
    const f = this.frame;
    const high = this.#insns[pc + 1].imm;
    const { maps } = this.module.input;
    let known: Known | undefined;
    switch (insn.src) {
      case 0:
        f.code.i64(insn.imm, high);
        break;
      case BPF_PSEUDO_MAP_FD:
      case BPF_PSEUDO_MAP_IDX:
        known = { kind: 'map', map: insn.imm };
        f.code.i64(maps[insn.imm].address, 0);
        break;
      case BPF_PSEUDO_MAP_VALUE:
      case BPF_PSEUDO_MAP_IDX_VALUE:
        known = { kind: 'value', map: insn.imm, off: high };
        f.code.i64(maps[insn.imm].word(layout.MAP_VALUES) + high, 0);
        break;
      case BPF_PSEUDO_FUNC:
        known = { kind: 'func', pc: pc + 1 + insn.imm };
        f.code.i64(this.module.subprogNumber(pc + 1 + insn.imm) + 1);
        break;
      case BPF_PSEUDO_BTF_ID:
        throw new NotCompiled('addresses of kernel variables', pc);
      default:
        throw new NotCompiled(`LD_IMM64 with source ${insn.src}`, pc);
    }
    f.set(insn.dst);
    this.#track.learn(insn.dst, known);
  }

  /** What the destination of an ALU instruction is known to hold afterwards. */
  #computed(insn: Insn): Known | undefined {
    if (insn.code === (BPF_ALU64 | BPF_MOV | BPF_X) && insn.off === 0) return this.#track.known(insn.src);
    const before = this.#track.known(insn.dst);
    if (before?.kind === 'stack' && insn.code === (BPF_ALU64 | BPF_ADD))
      return { kind: 'stack', off: before.off + insn.imm };
    return undefined;
  }

  #store(insn: Insn, immediate: boolean): void {
    if (this.#mayBeNarrow(insn)) {
      const { code } = this.frame;
      this.pushRun().mem(OP['i32.load'], RUN_CTX);
      this.frame.low(insn.dst).op(OP['i32.eq']).if();
      this.#narrowStore(insn, immediate);
      code.else();
      writeStore(this.frame, this.module.check, insn, immediate);
      code.end();
    } else writeStore(this.frame, this.module.check, insn, immediate);
    const value = immediate ? BigInt.asUintN(64, BigInt(insn.imm)) : (): unknown => this.frame.reg(insn.src);
    this.#track.store(this.frame, insn.dst, insn.off, sizeOf(insn.code), value);
  }

  /** It may be one to a field of `struct __sk_buff` that the kernel keeps in 16 bits. */
  #mayBeNarrow(insn: Insn): boolean {
    const { spec, facts } = this.module.input;
    if (!NARROW_FIELDS.includes(insn.off) || sizeOf(insn.code) !== 4 || !isSkbContext(spec.type)) return false;
    return this.#track.known(insn.dst)?.kind !== 'stack' && (facts === undefined || facts.ctxWritten.has(insn.off));
  }

  /** As `narrowField` of runtime/ctx.ts. */
  #narrowStore(insn: Insn, immediate: boolean): void {
    const f = this.frame;
    const { code } = f;
    const value = (): Code => (immediate ? code.i32(insn.imm) : f.low(insn.src));
    if (insn.off === SKB.queueMapping) {
      value().i32(0xffff).op(OP['i32.lt_u']).if();
      f.low(insn.dst);
      value().mem(OP['i32.store'], insn.off).end();
    } else {
      f.low(insn.dst);
      value().i32(0xffff).op(OP['i32.and']).mem(OP['i32.store'], insn.off);
    }
  }

  /** Pushes `size` bytes at r10 + `off` as i64 when it is known what they are; else false. */
  pushStored(off: number, size: number): boolean {
    return this.#track.push(this.frame.code, off, size);
  }

  /** A lookup of this hash table may be written in place: the first few of a program that is not large. */
  mayInline(map: CompiledMap): boolean {
    const small = map.keySize <= MAX_INLINE_KEY && this.#insns.length <= MAX_INLINE_INSNS;
    return small && this.#lookups++ < MAX_INLINE_LOOKUPS;
  }

  /** A load whose result is known: constants of read-only maps, what was just stored, fields of a batch's context. */
  #knownLoad(insn: Insn): boolean {
    const known = this.#track.known(insn.src);
    if (known === undefined || (insn.code & 0xe0) !== BPF_MEM || this.module.input.checking) return false;
    if (known.kind === 'value') return this.#constantLoad(insn, known);
    const f = this.frame;
    if (known.kind === 'ctx') {
      if (sizeOf(insn.code) !== 4 || !this.#ctxField(insn.off)) return false;
      f.setLow(insn.dst);
      return true;
    }
    if (known.kind !== 'stack') return false;
    const off = known.off + insn.off;
    const size = sizeOf(insn.code);
    if (!this.#track.whole(off, size) || !this.#track.push(f.code, off, size)) return false;
    f.set(insn.dst);
    return true;
  }

  /** A load from a frozen read-only array whose place is known is its contents. */
  #constantLoad(insn: Insn, known: { readonly map: number; readonly off: number }): boolean {
    const map = this.module.input.maps[known.map];
    if (map.type !== BPF_MAP_TYPE_ARRAY || !map.frozen || (map.flags & BPF_F_RDONLY_PROG) === 0) return false;
    const value = map.value(known.off + insn.off, sizeOf(insn.code));
    if (value === undefined) return false;
    const f = this.frame;
    pushConstant(f.code, value);
    f.set(insn.dst);
    return true;
  }

  /** LD_ABS and LD_IND: the value in r0, or the end of the function with 0. */
  #packetLoad(insn: Insn, pc: number): void {
    const f = this.frame;
    const { code } = f;
    const mode = insn.code & 0xe0;
    if (mode !== BPF_ABS && mode !== BPF_IND) throw new NotCompiled(`opcode 0x${insn.code.toString(16)}`, pc);
    const size = sizeOf(insn.code);
    const offset = f.named('offset', I32);
    const meta = f.named('meta', I32);
    const length = f.named('length', I32);
    const value = f.named('value', F64);
    if (mode === BPF_IND) f.low(insn.src).i32(insn.imm).op(OP['i32.add']);
    else code.i32(insn.imm);
    code.set(offset);
    // Inside of the packet's data: a plain load.
    this.pushRun().mem(OP['i32.load'], RUN_PACKET).i32(META_BYTES).op(OP['i32.mul']).tee(meta);
    code.mem(OP['i32.load'], META.len * 4).set(length);
    code.get(offset).get(length).op(OP['i32.lt_u']);
    code.get(offset).i32(size).op(OP['i32.add']).get(length).op(OP['i32.le_u']).op(OP['i32.and']).if(I64);
    code
      .get(meta)
      .mem(OP['i32.load'], META.head * 4)
      .get(offset)
      .op(OP['i32.add']);
    if (size === 4) {
      code.mem(OP['i32.load'], 0);
      reverseWord(f);
    } else if (size === 2) {
      code.mem(OP['i32.load16_u'], 0).tee(offset).i32(8).op(OP['i32.shr_u']);
      code.get(offset).i32(8).op(OP['i32.shl']).op(OP['i32.or']).i32(0xffff).op(OP['i32.and']);
    } else code.mem(OP['i32.load8_u'], 0);
    code.op(OP['i64.extend_i32_u']).else();
    // The magic negative offsets, and the failures.
    code.get(offset).i32(size).call(this.module.imports.load).tee(value);
    code.f64Zero().op(OP['f64.lt']).if().i64(0);
    this.leave(2);
    code.end().get(value).op(OP['i64.trunc_f64_u']).end();
    f.set(0);
  }
}
