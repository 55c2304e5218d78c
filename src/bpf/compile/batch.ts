/**
 * `batch(run block, handles, n, results)`: one call from JavaScript for many packets. The loop fills the fields of the context
 * that the program reads from the packet's metadata (core/slab.ts), runs the program, takes back the fields it writes,
 * and stores the low word of r0.
 *
 * A program that redirects leaves more than a number behind: then the imported `after(packet number, verdict)` is called.
 */

import { META, META_BYTES } from '../../core/slab.ts';
import { Code, I32, I64, OP } from '../../core/wasm.ts';
import { BPF_PROG_TYPE_SCHED_ACT, BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_XDP } from '../../wire/uapi/bpf.ts';
import { CB_QUEUE_MAPPING, CB_TC_CLASSID, CB_TC_INDEX, SKB, SKB_SIZE, XDP } from '../runtime/ctx.ts';
import { RUN_CTX, RUN_FP, RUN_META, RUN_PACKET, RUN_SCRATCH, RUN_TAIL_CALLS } from '../runtime/run.ts';
import { Frame } from './frame.ts';
import { FunctionWriter } from './function.ts';
import type { ModuleWriter } from './module.ts';

/**
 * Word of the run block that says, when a batch starts, which device its packets are on: its index, or 0 for each packet's
 * incoming one, -1 for its outgoing one.
 */
export const RUN_DEVICE: number = RUN_SCRATCH;

export type BatchKind = 'xdp' | 'skb';

/** Which context the batches of a program type fill; undefined: it has none. */
export function batchKind(progType: number): BatchKind | undefined {
  if (progType === BPF_PROG_TYPE_XDP) return 'xdp';
  return progType === BPF_PROG_TYPE_SCHED_CLS || progType === BPF_PROG_TYPE_SCHED_ACT ? 'skb' : undefined;
}

// Locals behind the four parameters.
const [BLOCK, HANDLES, N, RESULTS] = [0, 1, 2, 3];
const [PACKET, CTX, FP, META_AT, I, OUTER, HEAD] = [4, 5, 6, 7, 8, 9, 10];
const DEVICE = 11;
const END = 12;
const R0 = 13;
const LOCALS = [I32, I32, I32, I32, I32, I32, I32, I32, I32, I64];

export function defineBatch(w: ModuleWriter, kind: BatchKind, inline: boolean): void {
  const func = w.wasm.declare([I32, I32, I32, I32], [], 'batch');
  const code = new Code(1024);
  const locals = [...LOCALS];
  const cell = w.input.runCell;
  code.i32(0).mem(OP['i32.load'], cell).set(OUTER);
  code.i32(0).get(BLOCK).mem(OP['i32.store'], cell);
  code.get(BLOCK).mem(OP['i32.load'], RUN_CTX).set(CTX);
  code.get(BLOCK).mem(OP['i32.load'], RUN_FP).set(FP);
  code.get(BLOCK).mem(OP['i32.load'], RUN_DEVICE).set(DEVICE);
  code.block().loop();
  code.get(I).get(N).op(OP['i32.ge_u']).brIf(1);
  code.get(HANDLES).get(I).i32(2).op(OP['i32.shl']).op(OP['i32.add']).mem(OP['i32.load'], 0).tee(PACKET);
  code.i32(META_BYTES).op(OP['i32.mul']).set(META_AT);
  code.get(BLOCK).get(PACKET).mem(OP['i32.store'], RUN_PACKET);
  if (w.imports.tailCalls) code.get(BLOCK).i32(0).mem(OP['i32.store'], RUN_TAIL_CALLS);
  const f = new Fields(code, w);
  f.meta(META.head).tee(HEAD);
  f.meta(META.len).op(OP['i32.add']).set(END);
  code.get(BLOCK).get(HEAD).mem(OP['i32.store'], RUN_META);
  if (kind === 'xdp') fillXdp(f);
  else fillSkb(f);
  if (inline) {
    code.block(I64);
    const frame = new Frame({
      code,
      params: 4,
      regs: [],
      fp: FP,
      depth: w.main.depth,
      locals,
    });
    code.get(CTX);
    frame.setLow(1);
    new FunctionWriter(w, frame, w.graphOf(w.main), true, (at) => pushField(f, kind, at)).write();
    code.end();
  } else code.get(CTX).get(FP).call(w.main.func);
  code.set(R0);
  if (kind === 'skb') flushSkb(f);
  code.get(RESULTS).get(I).i32(2).op(OP['i32.shl']).op(OP['i32.add']).get(R0).mem(OP['i64.store32'], 0);
  if (w.imports.after >= 0) code.get(I).get(R0).op(OP['i32.wrap_i64']).call(w.imports.after);
  code.get(I).i32(1).op(OP['i32.add']).set(I).br(0).end().end();
  code.i32(0).get(OUTER).mem(OP['i32.store'], cell);
  w.wasm.define(func, locals, code);
  w.wasm.export('batch', 'func', func);
}

/** Pushes a field of the context from where it comes from: the program's first block asks before anything has changed. */
function pushField(f: Fields, kind: BatchKind, at: number): boolean {
  const data = kind === 'xdp' ? XDP.data : SKB.data;
  const end = kind === 'xdp' ? XDP.dataEnd : SKB.dataEnd;
  if (at === data) f.code.get(HEAD);
  else if (at === end) f.code.get(END);
  else return false;
  return true;
}

/** Moves words between metadata and context, those that the program looks at. */
class Fields {
  readonly code: Code;
  readonly #w: ModuleWriter;

  constructor(code: Code, w: ModuleWriter) {
    this.code = code;
    this.#w = w;
  }

  /** The program reads some of the `size` bytes at `at` of its context. */
  reads(at: number, size = 4): boolean {
    return this.#any(this.#w.input.facts?.ctxRead, at, size) || this.writes(at, size);
  }
  writes(at: number, size = 4): boolean {
    return this.#any(this.#w.input.facts?.ctxWritten, at, size);
  }
  #any(set: ReadonlySet<number> | undefined, at: number, size: number): boolean {
    // Programs entered by tail calls look at fields of their own.
    if (set === undefined || this.#w.imports.tailCalls) return true;
    for (let i = 0; i < size; i++) if (set.has(at + i)) return true;
    return false;
  }

  /** ctx[at] = what `push` pushes, as i32. */
  put(at: number, push: () => unknown): void {
    if (!this.reads(at)) return;
    this.code.get(CTX);
    push();
    this.code.mem(OP['i32.store'], at);
  }
  /** Pushes a word of the packet's metadata. */
  meta(word: number): Code {
    return this.code.get(META_AT).mem(OP['i32.load'], word * 4);
  }
  word(at: number, word: number): void {
    this.put(at, () => this.meta(word));
  }
  /** The metadata word becomes what the program wrote. */
  back(at: number, word: number): void {
    if (!this.writes(at)) return;
    this.code
      .get(META_AT)
      .get(CTX)
      .mem(OP['i32.load'], at)
      .mem(OP['i32.store'], word * 4);
  }
}

function fillXdp(f: Fields): void {
  // data and data_end always: helpers look at them too.
  f.code.get(CTX).get(HEAD).mem(OP['i32.store'], XDP.data);
  f.code.get(CTX).get(END).mem(OP['i32.store'], XDP.dataEnd);
  f.put(XDP.dataMeta, () => f.code.get(HEAD));
  f.word(XDP.ingressIfindex, META.iif);
  f.word(XDP.rxQueueIndex, META.cb + CB_QUEUE_MAPPING);
  f.word(XDP.egressIfindex, META.oif);
}

/** The value on the stack, 16 bits, in network order. */
function swapped(f: Fields, word: number): Code {
  f.meta(word).i32(8).op(OP['i32.shl']).i32(0xff00).op(OP['i32.and']);
  return f.meta(word).i32(8).op(OP['i32.shr_u']).i32(0xff).op(OP['i32.and']).op(OP['i32.or']);
}

function fillSkb(f: Fields): void {
  const { code } = f;
  code.get(CTX).get(HEAD).mem(OP['i32.store'], SKB.data);
  code.get(CTX).get(END).mem(OP['i32.store'], SKB.dataEnd);
  f.put(SKB.dataMeta, () => code.get(HEAD));
  f.word(SKB.len, META.len);
  f.word(SKB.wireLen, META.len);
  f.word(SKB.pktType, META.pktType);
  f.word(SKB.mark, META.mark);
  f.word(SKB.priority, META.priority);
  f.word(SKB.hash, META.hash);
  f.word(SKB.gsoSize, META.gsoSize);
  f.word(SKB.ingressIfindex, META.iif);
  f.put(SKB.ifindex, () => {
    // device == -1 ? oif : device == 0 ? iif : device
    f.meta(META.oif);
    f.code.get(DEVICE);
    f.meta(META.iif).get(DEVICE).op(OP.select);
    f.code.get(DEVICE).i32(-1).op(OP['i32.eq']).op(OP.select);
  });
  f.put(SKB.protocol, () => swapped(f, META.protocol));
  f.put(SKB.vlanPresent, () => f.meta(META.vlanProto).i32(0).op(OP['i32.ne']));
  f.word(SKB.vlanTci, META.vlanTci);
  f.put(SKB.vlanProto, () => swapped(f, META.vlanProto));
  f.word(SKB.queueMapping, META.cb + CB_QUEUE_MAPPING);
  f.word(SKB.tcIndex, META.cb + CB_TC_INDEX);
  f.word(SKB.tcClassid, META.cb + CB_TC_CLASSID);
  for (let i = 0; i < 5; i++) f.word(SKB.cb + i * 4, META.cb + i);
  if (f.reads(SKB.tstamp, 8)) {
    code
      .get(CTX)
      .get(META_AT)
      .mem(OP['f64.load'], META.tstamp * 4)
      .op(OP['i64.trunc_f64_u']);
    code.mem(OP['i64.store'], SKB.tstamp);
  }
  // What lies in no metadata is 0, as far as a batch goes.
  for (const at of [SKB.napiId, SKB.family, SKB.gsoSegs, SKB.tstampType]) f.put(at, () => code.i32(0));
  for (let at = SKB.remoteIp4; at < SKB.dataMeta; at += 4) f.put(at, () => code.i32(0));
  for (const at of [SKB.flowKeys, SKB.sk, SKB.hwtstamp])
    if (at + 8 <= SKB_SIZE && f.reads(at, 8)) code.get(CTX).i64(0).mem(OP['i64.store'], at);
}

function flushSkb(f: Fields): void {
  f.back(SKB.mark, META.mark);
  f.back(SKB.priority, META.priority);
  f.back(SKB.queueMapping, META.cb + CB_QUEUE_MAPPING);
  f.back(SKB.tcIndex, META.cb + CB_TC_INDEX);
  f.back(SKB.tcClassid, META.cb + CB_TC_CLASSID);
  for (let i = 0; i < 5; i++) f.back(SKB.cb + i * 4, META.cb + i);
  if (!f.writes(SKB.tstamp, 8)) return;
  f.code.get(META_AT).get(CTX).mem(OP['i64.load'], SKB.tstamp).op(OP['f64.convert_i64_u']);
  f.code.mem(OP['f64.store'], META.tstamp * 4);
}
