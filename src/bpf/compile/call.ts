/**
 * Calls: helpers and kernel functions in JavaScript, subprograms as Wasm functions, tail calls through the shared table, and
 * the helpers that need no JavaScript at all (lookups of known maps, bpf_loop).
 */
import { I32, I64, OP } from '../../core/wasm.ts';
import { BPF_MAP_TYPE_ARRAY_OF_MAPS } from '../../wire/uapi/bpf.ts';
import { BPF_PSEUDO_CALL, BPF_PSEUDO_KFUNC_CALL, type Insn } from '../insn.ts';
import * as layout from '../maps/layout.ts';
import { isNftKfunc } from '../runtime/kfuncs-nft.ts';
import { MAX_TAIL_CALL_CNT, RUN_ARG_HI, RUN_FP, RUN_RET_HI, RUN_TAIL_CALLS } from '../runtime/run.ts';
import type { FunctionWriter } from './function.ts';
import { BPF_FUNC_TAIL_CALL, type ImportedHelper } from './imports.ts';
import { NotCompiled } from './input.ts';
import { isArray, isHash, keyWords, writeArrayLookup, writeFirstBucket, writeKeyWord } from './lookup.ts';
import { isLpm } from './lookup-lpm.ts';

const BPF_FUNC_MAP_LOOKUP = 1;
const BPF_FUNC_GET_SMP_PROCESSOR_ID = 8;
const BPF_FUNC_LOOP = 181;
/** Most iterations of bpf_loop (BPF_MAX_LOOPS). */
const MAX_LOOPS = 8 * 1024 * 1024;
const E2BIG = 7;
const EINVAL = 22;

/** Helpers that are given a function of the program: most call it before they return, timers keep it. */
export const CALLS_BACK: ReadonlySet<number> = new Set([164, 170, 180, BPF_FUNC_LOOP, 209]);

/** Writes a call; false when nothing but r0 has changed afterwards. */
export function writeCall(w: FunctionWriter, insn: Insn, pc: number): boolean {
  const f = w.frame;
  if (insn.src === BPF_PSEUDO_CALL) {
    for (let r = 1; r <= 5; r++) f.reg(r);
    f.code.get(f.base).call(w.module.subprogAt(pc + 1 + insn.imm));
    f.set(0);
    return true;
  }
  const { imports } = w.module;
  if (insn.src === BPF_PSEUDO_KFUNC_CALL) {
    const name = w.module.input.spec.kfuncs?.get(insn.imm) ?? '';
    if (name === 'nft_jump' || name === 'nft_goto') {
      writeChain(w, name === 'nft_goto');
      return true;
    }
    const kfunc = imports.kfuncs.get(insn.imm);
    if (kfunc === undefined) throw new NotCompiled(`kernel function ${insn.imm}`, pc);
    writeHelper(w, kfunc, !isNftKfunc(name));
    return true;
  }
  if (insn.imm === BPF_FUNC_TAIL_CALL) {
    writeTailCall(w);
    return false;
  }
  // In checking mode the helper itself hands out what it finds.
  if (!w.module.input.checking) {
    if (insn.imm === BPF_FUNC_MAP_LOOKUP && writeLookup(w, pc)) return false;
    if (insn.imm === BPF_FUNC_GET_SMP_PROCESSOR_ID && w.module.input.cpus === 1) {
      f.code.i64(0);
      f.set(0);
      return false;
    }
    if (insn.imm === BPF_FUNC_LOOP) {
      writeLoop(w);
      return true;
    }
  }
  const helper = imports.helpers.get(insn.imm);
  if (helper === undefined) throw new NotCompiled(`helper ${insn.imm}`, pc);
  writeHelper(w, helper, CALLS_BACK.has(insn.imm));
  return true;
}

function writeHelper(w: FunctionWriter, helper: ImportedHelper, callsBack: boolean): void {
  const f = w.frame;
  const { code } = f;
  const wide = helper.wide ?? 0;
  let block = -1;
  if (wide !== 0 || callsBack) {
    block = f.a32;
    w.pushRun().set(block);
  }
  for (let n = 1; n <= 5; n++) {
    if (((wide >> n) & 1) === 0) continue;
    code.get(block);
    f.high(n).mem(OP['i32.store'], RUN_ARG_HI + (n - 1) * 4);
  }
  // The frame of a callback lies below this one.
  let outer = -1;
  if (callsBack) {
    outer = f.named('outer', I32);
    code.get(block).mem(OP['i32.load'], RUN_FP).set(outer);
    code.get(block).get(f.base).mem(OP['i32.store'], RUN_FP);
  }
  for (let n = 1; n <= 5; n++) f.low(n);
  code.call(helper.func);
  if (helper.ret === 'u64') {
    code.op(OP['i64.extend_i32_u']);
    w.pushRun().mem(OP['i64.load32_u'], RUN_RET_HI).i64(32).op(OP['i64.shl']).op(OP['i64.or']);
  } else code.op(helper.ret === 'int' ? OP['i64.extend_i32_s'] : OP['i64.extend_i32_u']);
  f.set(0);
  if (callsBack) {
    w.pushRun();
    code.get(outer).mem(OP['i32.store'], RUN_FP);
  }
}

/** bpf_map_lookup_elem of a map that is always the same one; false when the helper has to do it. */
function writeLookup(w: FunctionWriter, pc: number): boolean {
  const f = w.frame;
  const index = w.mapOf(pc, 1);
  if (index < 0) return false;
  const { maps, cpus } = w.module.input;
  const map = maps[index];
  if (map === undefined) return false;
  const key = w.module.input.facts?.insns[pc]?.mapKey;
  if (isArray(map, cpus) && map.type !== BPF_MAP_TYPE_ARRAY_OF_MAPS && key !== undefined) {
    const index = Number(BigInt.asUintN(32, key));
    if (index < map.maxEntries) f.code.i32(map.word(layout.MAP_VALUES) + index * map.word(layout.MAP_STRIDE));
    else f.code.i32(0);
  } else if (isArray(map, cpus)) {
    const at = w.known(2);
    if (at?.kind === 'stack' && w.pushStored(at.off, 4)) f.code.op(OP['i32.wrap_i64']);
    else f.low(2).mem(OP['i32.load'], 0);
    writeArrayLookup(f.code, map, f.a32);
  } else if (isHash(map, cpus) && w.mayInline(map)) {
    const words = Array.from({ length: keyWords(map) }, (_, i) => f.named(`word${i}`, I64));
    const at = w.known(2);
    words.forEach((word, i) => {
      const left = map.keySize - i * 8;
      if (at?.kind !== 'stack' || !w.pushStored(at.off + i * 8, Math.min(8, left)))
        writeKeyWord(f.code, left, () => f.low(2), i * 8);
      f.code.set(word);
    });
    const miss = (): unknown => f.low(2).call(w.module.lookupOf(index));
    writeFirstBucket(f.code, map, words, (name, type) => f.named(name, type), miss);
  } else if (isHash(map, cpus) || isLpm(map)) {
    f.low(2).call(w.module.lookupOf(index));
  } else return false;
  f.setLow(0);
  return true;
}

/** nft_jump(ctx, program): its result; nft_goto: this function ends with it. */
function writeChain(w: FunctionWriter, tail: boolean): void {
  const f = w.frame;
  const { mainType, programs } = w.module.imports;
  f.low(1).get(tail ? f.fp : f.base);
  f.low(2);
  if (tail) f.code.returnCallIndirect(mainType, programs);
  else {
    f.code.callIndirect(mainType, programs);
    f.set(0);
  }
}

/** bpf_loop(nr, callback, context, flags): the iterations called from here. */
function writeLoop(w: FunctionWriter): void {
  const f = w.frame;
  const { code } = f;
  const i = f.named('loop', I64);
  const n = f.named('count', I64);
  const result = f.a64;
  f.reg(4).op(OP['i64.eqz']).if();
  f.reg(1).i64(-1, 0).op(OP['i64.and']).tee(n).i64(MAX_LOOPS).op(OP['i64.le_u']).if();
  code.i64(0).set(i);
  code.block().loop();
  code.get(i).get(n).op(OP['i64.ge_u']).brIf(1);
  code.get(i);
  f.reg(3).i64(0).i64(0).i64(0).get(f.base);
  const known = w.known(2);
  if (known?.kind === 'func') code.call(w.module.subprogAt(known.pc));
  else {
    f.low(2);
    code.i32(1).op(OP['i32.sub']).callIndirect(w.module.imports.subType, w.module.ownTable());
  }
  code.set(result).get(i).i64(1).op(OP['i64.add']).set(i);
  code.get(result).op(OP['i64.eqz']).brIf(0).end().end();
  code.get(i).set(f.regs[0]);
  code.else().i64(-E2BIG).set(f.regs[0]).end();
  code.else().i64(-EINVAL).set(f.regs[0]).end();
}

/** bpf_tail_call(ctx, map, index): on success the other program's result is this function's. */
function writeTailCall(w: FunctionWriter): void {
  const f = w.frame;
  const { code } = f;
  const { imports } = w.module;
  const target = f.named('target', I32);
  const map = f.a32;
  f.low(3);
  f.low(2)
    .tee(map)
    .mem(OP['i32.load'], layout.MAP_MAX_ENTRIES * 4)
    .op(OP['i32.lt_u'])
    .if();
  w.pushRun().mem(OP['i32.load'], RUN_TAIL_CALLS).i32(MAX_TAIL_CALL_CNT).op(OP['i32.lt_u']).if();
  f.low(3)
    .get(map)
    .mem(OP['i32.load'], layout.MAP_STRIDE * 4)
    .op(OP['i32.mul']);
  code
    .get(map)
    .mem(OP['i32.load'], layout.MAP_VALUES * 4)
    .op(OP['i32.add']);
  code.mem(OP['i32.load'], 0).tee(target).if();
  w.pushRun();
  w.pushRun().mem(OP['i32.load'], RUN_TAIL_CALLS).i32(1).op(OP['i32.add']).mem(OP['i32.store'], RUN_TAIL_CALLS);
  f.low(1).get(f.fp).get(target).i32(1).op(OP['i32.sub']);
  if (w.inlined) {
    // The batch loop goes on afterwards.
    code.callIndirect(imports.mainType, imports.programs);
    w.leave(3);
  } else code.returnCallIndirect(imports.mainType, imports.programs);
  code.end().end().end();
}
