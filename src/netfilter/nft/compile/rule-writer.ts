/**
 * Writes the eBPF of rules. Comparisons read header bytes where they lie; what an expression that is called needs to read is
 * stored in the register file first.
 *
 *     r6 context | r7 network header | r8 transport header | r9 end of the packet | r0..r5 for the moment
 */
import {
  BPF_ADD,
  BPF_AND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSLT,
  BPF_LSH,
  BPF_MOD,
  BPF_OR,
  BPF_SUB,
  BPF_XOR,
} from '../../../bpf/insn.ts';
import { NFT_CTX } from '../../../bpf/progtype/nft-chain.ts';
import { META } from '../../../core/slab.ts';
import { IP_CT_IS_REPLY, NF_CT_STATE_INVALID_BIT, NF_CT_STATE_UNTRACKED_BIT } from '../../../wire/uapi/ctnetlink.ts';
import { NF_DROP, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { IP_CT_UNTRACKED } from '../../conntrack/entry.ts';
import type { Expr } from '../expr.ts';
import type { Chain, Rule } from '../model.ts';
import type { Native } from '../native.ts';
import type { NftSet } from '../set/set.ts';
import type { State } from '../state.ts';
import { Asm, type Label } from './asm.ts';
import { networkOrder, type Piece, Registers } from './registers.ts';

/** Kernel functions by the number of their calls. */
export const KFUNCS: ReadonlyMap<number, string> = new Map([
  [1, 'nft_eval'],
  [2, 'nft_eval_write'],
  [3, 'nft_jump'],
  [4, 'nft_goto'],
]);
const EVAL = 1;
const EVAL_WRITE = 2;
const JUMP = 3;
const GOTO = 4;
const MAP_LOOKUP = 1;

/** Low words of results that are no verdicts: the end of the chain; jumps nested too deep. */
export const END_OF_CHAIN = -1;
export const TOO_DEEP = 0x7fff_ff10;
export const MAX_DEPTH = 16;

/** Where values of a set's map have what: slow path, verdict, number of the chain, data. */
export const ELEMENT_FLAGS = 0;
export const ELEMENT_VERDICT = 4;
export const ELEMENT_CHAIN = 8;
export const ELEMENT_DATA = 16;

const KEY_AT = -64;
const CTX = 6;
const NETWORK = 7;
const TRANSPORT = 8;
const END = 9;

/** Expressions that leave packet bytes alone; the others may write them. */
const READERS: ReadonlySet<string> = new Set(
  'meta ct fib rt hash socket osf lookup numgen connlimit xfrm objref dynset log reject notrack last limit quota counter match'.split(
    ' ',
  ),
);

/** What is known on every way to an instruction. */
type Known = {
  /** Bytes of the headers that are there; -1: the register has no pointer. */
  network: number;
  transport: number;
  end: boolean;
  l4: boolean;
};

/** What the writer asks of the compiler. */
export type Resources = {
  /** Words of a state: index in the program's maps, offset in the value. */
  state(state: State): { readonly map: number; readonly offset: number };
  /** Where the number of a chain's first program lies. */
  head(chain: Chain): { readonly map: number; readonly offset: number };
  /** All of them, by number of the chain: how many there may be. */
  readonly heads: { readonly map: number; readonly count: number };
  /** Number of an expression that is called. */
  expr(expr: Expr): number;
  /** The map behind a set and the word that says that it does not tell all; undefined: the set is asked by a call. */
  set(
    set: NftSet,
  ): { readonly map: number; readonly slow: { readonly map: number; readonly offset: number } } | undefined;
  /** Names of interfaces are to be in the context. */
  needNames(): void;
};

function minimum(family: number): number {
  return family === NFPROTO_IPV6 ? 40 : family === NFPROTO_IPV4 || family === NFPROTO_INET ? 20 : 0;
}

export class RuleWriter {
  readonly asm: Asm = new Asm();
  readonly #use: Resources;
  #regs = new Registers(NFT_CTX.regs);
  #known: Known = { network: -1, transport: -1, end: false, l4: false };
  /** Nothing behind the last rule is reached. */
  #over = false;
  /** The rest of the rule is not reached. */
  #dead = false;
  #next: Label;
  #nextKnown: Known | undefined;
  readonly #return: Label;
  readonly #tooDeep: Label;
  #handle = 0;
  /** Expressions up to here are followed by a call that reads registers. */
  #through = -1;

  constructor(use: Resources, family: number) {
    this.#use = use;
    this.#next = this.asm.label();
    this.#return = this.asm.label();
    this.#tooDeep = this.asm.label();
    this.asm.move(CTX, 1);
    const bytes = minimum(family);
    if (bytes > 0) {
      // Shorter packets do not come here.
      this.#ensure(NETWORK);
      this.#ensure(END);
      this.asm.move(1, NETWORK).alu(BPF_ADD, 1, bytes).jumpReg(BPF_JGT, 1, END, this.#return);
      this.#known.network = bytes;
    }
  }

  /** A rule, all of it. */
  rule(rule: Rule): void {
    if (this.#over) return;
    this.begin(rule.handle, rule.exprs);
    rule.exprs.forEach((expr, i) => {
      this.expr(expr, i);
    });
    this.end();
  }

  begin(handle: number, exprs: readonly Expr[]): void {
    this.#handle = handle;
    this.#next = this.asm.label();
    this.#nextKnown = undefined;
    this.#dead = false;
    this.#regs.forget();
    this.#through = exprs.findLastIndex((e) => !this.#inline(e) && e.aloof !== true);
  }

  /** The rule is over; what follows is where its `next` leads. */
  end(): void {
    if (!this.#dead) this.#meet();
    else if (this.#next.from.length === 0) this.#over = true;
    this.asm.place(this.#next);
    if (this.#nextKnown !== undefined) this.#known = this.#nextKnown;
  }

  /** The chain goes on with the program whose number lies at `link`, if any, or ends. */
  finish(link: { readonly map: number; readonly offset: number }): void {
    const { asm } = this;
    if (!this.#over) {
      asm.mapValue(1, link.map, link.offset).load(4, 2, 1, 0);
      asm.jump(BPF_JEQ, 2, 0n, 4, this.#return, 3);
      asm.move(1, CTX).kfunc(GOTO).exit();
    }
    // Code that nothing leads to would be refused.
    if (this.#return.from.length > 0) {
      asm.place(this.#return);
      asm.set(0, BigInt(END_OF_CHAIN)).exit();
    }
    if (this.#tooDeep.from.length > 0) {
      asm.place(this.#tooDeep);
      asm.set(0, BigInt(TOO_DEEP)).exit();
    }
  }

  #meet(): void {
    const k = this.#known;
    const n = this.#nextKnown;
    this.#nextKnown =
      n === undefined
        ? { ...k }
        : {
            network: Math.min(n.network, k.network),
            transport: Math.min(n.transport, k.transport),
            end: n.end && k.end,
            l4: n.l4 && k.l4,
          };
  }

  /** The label of the next rule, for one more jump there. */
  #fail(): Label {
    this.#meet();
    return this.#next;
  }

  #ensure(register: number): void {
    const k = this.#known;
    if (register === END) {
      if (!k.end) this.asm.load(4, END, CTX, NFT_CTX.dataEnd);
      k.end = true;
    } else if (register === NETWORK) {
      if (k.network < 0) this.asm.load(4, NETWORK, CTX, NFT_CTX.network);
      k.network = Math.max(k.network, 0);
    } else {
      if (k.transport < 0) this.asm.load(4, TRANSPORT, CTX, NFT_CTX.transport);
      k.transport = Math.max(k.transport, 0);
    }
  }

  /** After a call that may change the packet no pointer into it is good. */
  #forgetPointers(): void {
    Object.assign(this.#known, { network: -1, transport: -1, end: false });
  }

  #check(register: typeof NETWORK | typeof TRANSPORT, bytes: number): void {
    this.#ensure(register);
    const there = register === NETWORK ? this.#known.network : this.#known.transport;
    if (there >= bytes) return;
    this.#ensure(END);
    this.asm.move(1, register).alu(BPF_ADD, 1, bytes).jumpReg(BPF_JGT, 1, END, this.#fail());
    if (register === NETWORK) this.#known.network = bytes;
    else this.#known.transport = bytes;
  }

  /** There is code for the expression. */
  #inline(expr: Expr): boolean {
    const n = expr.native;
    if (n === undefined) return false;
    switch (n.op) {
      case 'payload':
        if (n.base === U.NFT_PAYLOAD_LL_HEADER) return n.offset + n.length <= 12;
        return n.base === U.NFT_PAYLOAD_NETWORK_HEADER || n.base === U.NFT_PAYLOAD_TRANSPORT_HEADER;
      case 'meta':
        return metaInline(n);
      case 'meta set':
        return n.key === U.NFT_META_MARK || n.key === U.NFT_META_PRIORITY;
      case 'byteorder':
        return n.length === n.size;
      case 'lookup':
        return this.#use.set(n.set) !== undefined;
      default:
        return true;
    }
  }

  /** Expression `i` of the rule. */
  expr(expr: Expr, i: number): void {
    if (this.#dead) return;
    const n = expr.native;
    if (n === undefined || !this.#inline(expr)) {
      this.#call(expr);
      return;
    }
    const through = i < this.#through;
    switch (n.op) {
      case 'immediate':
        this.#define(
          [{ at: n.to, length: n.value.length, valid: n.value.length, base: 'constant', off: 0, value: n.value }],
          through,
        );
        return;
      case 'verdict':
        this.#verdict(n.verdict.code, n.verdict.chain);
        return;
      case 'cmp':
        this.#compare(n.from, n.cmp, n.value);
        return;
      case 'range':
        this.#range(n);
        return;
      case 'bitwise':
        this.#define(this.#regs.copyOf(n.from, n.to, n.mask, n.xor), through);
        return;
      case 'byteorder':
        this.#bytes(1, n.from, n.size);
        this.asm.bigEndian(1, n.size * 8);
        this.#storeRegister(n.to, n.size, 1);
        return;
      case 'payload':
        this.#payload(n, through);
        return;
      case 'meta':
        this.#meta(n, through);
        return;
      case 'meta set':
        this.#bytes(1, n.from, 4);
        this.asm.load(4, 2, CTX, NFT_CTX.meta);
        this.asm.store(4, 2, (n.key === U.NFT_META_MARK ? META.mark : META.priority) * 4, 1);
        return;
      case 'ct state':
        this.#ctState(n.to);
        return;
      case 'counter':
        this.#state(1, n.state);
        this.asm.set(2, 1n).atomicAdd(1, 0, 2);
        this.#packetLength(2);
        this.asm.atomicAdd(1, 8, 2);
        return;
      case 'quota':
        this.#quota(n);
        return;
      case 'limit':
        this.#limit(n);
        return;
      case 'numgen':
        this.#numgen(n);
        return;
      case 'lookup':
        this.#lookup(n, expr);
        return;
    }
  }

  /** Regions the registers now hold; stored as well when a call will read them. */
  #define(regions: ReturnType<Registers['copyOf']>, through: boolean): void {
    for (const region of regions) this.#regs.define(region);
    for (const { at, length, base, off } of regions) {
      // What comes from another register must not change when that one does.
      const other = base === 'context' && off >= NFT_CTX.regs && off < NFT_CTX.iifname && off - NFT_CTX.regs !== at;
      if (through || other) this.#store(at, length);
    }
  }

  /** Stores registers that are known by their source into the context. */
  #store(at: number, length: number): void {
    for (let i = at; i < at + length; ) {
      const piece = this.#regs.piece(i, at + length - i, 0);
      // The register file lies at a multiple of eight.
      this.#piece(1, piece);
      this.asm.store(piece.size, CTX, NFT_CTX.regs + i, 1);
      i += piece.size;
    }
    this.#regs.stored(at, length);
  }

  #storeRegister(to: number, size: number, register: number): void {
    if (size === 8 && to % 8 !== 0) {
      this.asm.store(4, CTX, NFT_CTX.regs + to, register);
      this.asm.alu(0x70, register, 32).store(4, CTX, NFT_CTX.regs + to + 4, register);
    } else this.asm.store(size, CTX, NFT_CTX.regs + to, register);
    this.#regs.stored(to, size);
  }

  /** Loads a piece; `raw`: without its mask and flips. */
  #piece(dst: number, piece: Piece, raw = false): void {
    const { asm } = this;
    if (piece.constant !== undefined) {
      asm.set(dst, piece.constant);
      return;
    }
    const base = piece.base === 'network' ? NETWORK : piece.base === 'transport' ? TRANSPORT : CTX;
    asm.load(piece.size, dst, base, piece.off);
    if (piece.mask !== undefined) this.#constant(BPF_AND, dst, piece.mask, piece.size);
    if (!raw && piece.xor !== 0n) this.#constant(BPF_XOR, dst, piece.xor, piece.size);
  }

  #constant(op: number, dst: number, value: bigint, size: number): void {
    if (size <= 4) {
      this.asm.alu32(op, dst, Number(BigInt.asIntN(32, value)));
      return;
    }
    this.asm.set(4, value).aluReg(op, dst, 4);
  }

  /** dst = `size` (1, 2, 4, 8) bytes of the register file, little endian. r4 and r5 are used. */
  #bytes(dst: number, at: number, size: number): void {
    for (let i = 0; i < size; ) {
      const piece = this.#regs.piece(at + i, size - i);
      this.#piece(i === 0 ? dst : 5, piece);
      if (i > 0) this.asm.alu(BPF_LSH, 5, i * 8).aluReg(BPF_OR, dst, 5);
      i += piece.size;
    }
  }

  #compare(from: number, op: number, value: Uint8Array): void {
    if (op === U.NFT_CMP_EQ) this.#equal(from, value, this.#fail(), undefined);
    else if (op === U.NFT_CMP_NEQ) {
      const other = this.asm.label();
      this.#equal(from, value, other, this.#fail());
      this.asm.place(other);
      if (other.from.length === 0) this.#dead = true;
    } else this.#ordered(from, op, value, this.#fail());
  }

  /** Goes to `unequal` when a byte differs, otherwise to `equal` or on. */
  #equal(from: number, value: Uint8Array, unequal: Label, equal: Label | undefined): void {
    const { asm } = this;
    for (let i = 0; i < value.length; ) {
      const piece = this.#regs.piece(from + i, value.length - i);
      let wanted = 0n;
      for (let k = piece.size - 1; k >= 0; k--) wanted = (wanted << 8n) | BigInt(value[i + k]);
      i += piece.size;
      if (piece.constant !== undefined) {
        if (piece.constant === wanted) continue;
        asm.goto(unequal);
        // What follows is not reached, and must not be written.
        if (equal === undefined) this.#dead = true;
        return;
      }
      this.#piece(1, piece, true);
      asm.jump(BPF_JNE, 1, wanted ^ piece.xor, piece.size, unequal, 4);
    }
    if (equal === undefined) return;
    asm.goto(equal);
  }

  /** dst = bytes in network order, as a number. */
  #number(dst: number, at: number, size: number): void {
    this.#bytes(dst, at, size);
    if (size > 1) this.asm.bigEndian(dst, size * 8);
  }

  /** Compares as numbers in network order; goes to `fail` unless it holds. */
  #ordered(from: number, op: number, value: Uint8Array, fail: Label): void {
    const { asm } = this;
    const holds = asm.label();
    const less = op === U.NFT_CMP_LT || op === U.NFT_CMP_LTE;
    for (let i = 0; i < value.length; ) {
      const left = value.length - i;
      const size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      const wanted = networkOrder(value, i, size);
      this.#number(1, from + i, size);
      i += size;
      if (i < value.length) {
        asm.jump(BPF_JLT, 1, wanted, size, less ? holds : fail, 4);
        asm.jump(BPF_JGT, 1, wanted, size, less ? fail : holds, 4);
        continue;
      }
      const unless =
        op === U.NFT_CMP_LT ? BPF_JGE : op === U.NFT_CMP_LTE ? BPF_JGT : op === U.NFT_CMP_GT ? BPF_JLE : BPF_JLT;
      asm.jump(unless, 1, wanted, size, fail, 4);
    }
    asm.place(holds);
  }

  #range(n: Native & { op: 'range' }): void {
    if (!n.invert) {
      this.#ordered(n.from, U.NFT_CMP_GTE, n.low, this.#fail());
      this.#ordered(n.from, U.NFT_CMP_LTE, n.high, this.#fail());
      return;
    }
    const outside = this.asm.label();
    this.#ordered(n.from, U.NFT_CMP_GTE, n.low, outside);
    this.#ordered(n.from, U.NFT_CMP_LTE, n.high, outside);
    this.asm.goto(this.#fail());
    this.asm.place(outside);
  }

  #payload(n: Native & { op: 'payload' }, through: boolean): void {
    const { asm } = this;
    const length = (n.length + 3) & ~3;
    const network = n.base === U.NFT_PAYLOAD_NETWORK_HEADER;
    if (network || (n.base === U.NFT_PAYLOAD_TRANSPORT_HEADER && n.fast)) {
      this.#check(network ? NETWORK : TRANSPORT, n.offset + n.length);
      const base = network ? 'network' : 'transport';
      this.#define([{ at: n.to, length, valid: n.length, base, off: n.offset }], through);
      return;
    }
    // Headers that are seldom asked for have no register of their own: the bytes are copied.
    const field = n.base === U.NFT_PAYLOAD_LL_HEADER ? NFT_CTX.mac : NFT_CTX.transportWhole;
    this.#ensure(END);
    asm
      .load(4, 2, CTX, field)
      .move(1, 2)
      .alu(BPF_ADD, 1, n.offset + n.length);
    asm.jumpReg(BPF_JGT, 1, END, this.#fail());
    for (let i = 0; i < n.length; ) {
      const left = n.length - i;
      let size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
      while ((n.to + i) % size !== 0) size >>= 1;
      asm.load(size, 1, 2, n.offset + i).store(size, CTX, NFT_CTX.regs + n.to + i, 1);
      i += size;
    }
    for (let i = n.length; i < length; i++) asm.storeImm(1, CTX, NFT_CTX.regs + n.to + i, 0);
    this.#regs.stored(n.to, length);
  }

  #meta(n: Native & { op: 'meta' }, through: boolean): void {
    const { asm } = this;
    const context = (off: number, length: number): void =>
      this.#define([{ at: n.to, length, valid: length, base: 'context', off }], through);
    const metadata = (word: number): void => {
      asm.load(4, 1, CTX, NFT_CTX.meta).load(4, 1, 1, word * 4);
      this.#storeRegister(n.to, 4, 1);
    };
    switch (n.key) {
      case U.NFT_META_LEN:
        metadata(META.len);
        return;
      case U.NFT_META_MARK:
        metadata(META.mark);
        return;
      case U.NFT_META_PRIORITY:
        metadata(META.priority);
        return;
      case U.NFT_META_PROTOCOL:
        asm
          .load(4, 1, CTX, NFT_CTX.meta)
          .load(4, 1, 1, META.protocol * 4)
          .bigEndian(1, 16);
        this.#storeRegister(n.to, 4, 1);
        return;
      case U.NFT_META_IIF:
      case U.NFT_META_SDIF:
        context(NFT_CTX.iif, 4);
        return;
      case U.NFT_META_OIF:
        context(NFT_CTX.oif, 4);
        return;
      case U.NFT_META_NFPROTO:
        context(NFT_CTX.pf, 4);
        return;
      case U.NFT_META_L4PROTO:
        if (!this.#known.l4) {
          asm.load(4, 1, CTX, NFT_CTX.hasTransport).jump(BPF_JEQ, 1, 0n, 4, this.#fail(), 4);
          this.#known.l4 = true;
        }
        context(NFT_CTX.l4proto, 4);
        return;
      case U.NFT_META_IIFNAME:
      case U.NFT_META_SDIFNAME:
        this.#use.needNames();
        context(NFT_CTX.iifname, 16);
        return;
      default:
        this.#use.needNames();
        context(NFT_CTX.oifname, 16);
    }
  }

  /** dst = bytes of the packet, from the network header on. */
  #packetLength(dst: number): void {
    this.asm.load(4, dst, CTX, NFT_CTX.meta).load(4, dst, dst, META.len * 4);
  }

  /** dst = address of a state's words. */
  #state(dst: number, state: State): void {
    const { map, offset } = this.#use.state(state);
    this.asm.mapValue(dst, map, offset);
  }

  #ctState(to: number): void {
    const { asm } = this;
    const none = asm.label();
    const done = asm.label();
    asm.load(4, 1, CTX, NFT_CTX.meta);
    asm.load(4, 2, 1, META.nfctinfo * 4).load(4, 3, 1, META.nfct * 4);
    asm.set(1, 1n).jump(BPF_JEQ, 3, 0n, 4, none, 4);
    asm.alu32(BPF_MOD, 2, IP_CT_IS_REPLY).alu32(BPF_ADD, 2, 1).alu32Reg(BPF_LSH, 1, 2).goto(done);
    asm.place(none);
    asm.set(1, BigInt(NF_CT_STATE_UNTRACKED_BIT)).jump(BPF_JEQ, 2, BigInt(IP_CT_UNTRACKED), 4, done, 4);
    asm.set(1, BigInt(NF_CT_STATE_INVALID_BIT));
    asm.place(done);
    this.#storeRegister(to, 4, 1);
  }

  #quota(n: Native & { op: 'quota' }): void {
    const { asm } = this;
    this.#state(1, n.state);
    this.#packetLength(2);
    asm.load(8, 3, 1, 0).aluReg(BPF_ADD, 3, 2).store(8, 1, 0, 3);
    asm.jump(n.invert ? BPF_JLT : BPF_JGE, 3, BigInt(n.bytes), 8, this.#fail(), 4);
  }

  #limit(n: Native & { op: 'limit' }): void {
    const { asm } = this;
    const [first, capped, over, done] = [asm.label(), asm.label(), asm.label(), asm.label()];
    this.#state(1, n.state);
    asm.load(8, 2, CTX, NFT_CTX.now).load(8, 3, 1, 8).load(8, 4, 1, 0).store(8, 1, 8, 2);
    asm.jumpImm(BPF_JEQ, 3, 0, first);
    asm.aluReg(BPF_SUB, 2, 3).aluReg(BPF_ADD, 4, 2);
    asm.place(first);
    asm.set(5, BigInt(n.full)).jumpReg(BPF_JLE, 4, 5, capped);
    asm.move(4, 5);
    asm.place(capped);
    asm.set(5, BigInt(n.cost)).jumpReg(BPF_JLT, 4, 5, over);
    asm.aluReg(BPF_SUB, 4, 5).store(8, 1, 0, 4);
    asm.goto(n.invert ? this.#fail() : done);
    asm.place(over);
    asm.store(8, 1, 0, 4);
    if (!n.invert) asm.goto(this.#fail());
    asm.place(done);
  }

  #numgen(n: Native & { op: 'numgen' }): void {
    const { asm } = this;
    const inside = asm.label();
    this.#state(1, n.state);
    asm.load(8, 2, 1, 0).alu(BPF_ADD, 2, 1).set(3, BigInt(n.modulus)).jumpReg(BPF_JLT, 2, 3, inside);
    asm.set(2, 0n);
    asm.place(inside);
    asm.store(8, 1, 0, 2).set(3, BigInt(n.offset)).aluReg(BPF_ADD, 2, 3);
    this.#storeRegister(n.to, 4, 2);
  }

  /** Puts `length` bytes of the register file onto the stack as a key. */
  key(from: number, length: number): void {
    for (let i = 0; i < length; ) {
      const piece = this.#regs.piece(from + i, length - i);
      let { size } = piece;
      while (i % size !== 0) size >>= 1;
      this.#piece(1, size === piece.size ? piece : this.#regs.piece(from + i, size));
      this.asm.store(size, 10, KEY_AT + i, 1);
      i += size;
    }
  }

  /** r0 = value of the key on the stack, or 0. */
  find(map: number): void {
    this.asm.map(1, map).move(2, 10).alu(BPF_ADD, 2, KEY_AT).helper(MAP_LOOKUP);
  }

  #lookup(n: Native & { op: 'lookup' }, expr: Expr): void {
    const { asm } = this;
    const { map, slow } = this.#use.set(n.set)!;
    const [called, found, done] = [asm.label(), asm.label(), asm.label()];
    // The call reads registers.
    this.#store(n.from, n.set.keyLength);
    this.key(n.from, n.set.keyLength);
    asm.mapValue(1, slow.map, slow.offset).load(4, 1, 1, 0).jump(BPF_JNE, 1, 0n, 4, called, 4);
    this.find(map);
    asm.jumpImm(BPF_JNE, 0, 0, found);
    asm.goto(n.invert ? done : this.#fail());
    asm.place(called);
    asm
      .move(1, CTX)
      .set(2, BigInt(this.#use.expr(expr)))
      .kfunc(EVAL);
    if (n.verdicts) {
      asm.load(4, 2, CTX, NFT_CTX.chain).alu32Reg(0xb0, 1, 0);
      const both = asm.label();
      asm.goto(both);
      asm.place(found);
      asm.load(4, 1, 0, ELEMENT_FLAGS).jump(BPF_JNE, 1, 0n, 4, called, 4);
      asm.load(4, 1, 0, ELEMENT_VERDICT).load(4, 2, 0, ELEMENT_CHAIN);
      asm.place(both);
      this.#dispatch(done);
    } else {
      // Not found, or an expression of the element does not match.
      asm.jumpImm(BPF_JNE, 0, U.NFT_CONTINUE, this.#fail()).goto(done);
      asm.place(found);
      if (n.invert) asm.goto(this.#fail());
      else {
        asm.load(4, 1, 0, ELEMENT_FLAGS).jump(BPF_JNE, 1, 0n, 4, called, 4);
        if (n.to >= 0) {
          for (let i = 0; i < n.set.dataLength; ) {
            const left = n.set.dataLength - i;
            let size = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
            while ((n.to + i) % size !== 0) size >>= 1;
            asm.load(size, 1, 0, ELEMENT_DATA + i).store(size, CTX, NFT_CTX.regs + n.to + i, 1);
            i += size;
          }
        }
      }
    }
    asm.place(done);
    if (n.to >= 0) this.#regs.stored(n.to, n.set.dataLength);
  }

  /** r1 has a verdict, r2 the number of its chain: goes where it says, to `go` when it is to go on. */
  #dispatch(go: Label): void {
    const { asm } = this;
    const [jump, leave] = [asm.label(), asm.label()];
    const code = (c: number): bigint => BigInt(c);
    asm.jump(BPF_JEQ, 1, code(U.NFT_CONTINUE), 4, go, 4);
    asm.jump(BPF_JEQ, 1, code(U.NFT_BREAK), 4, this.#fail(), 4);
    asm.jump(BPF_JEQ, 1, code(U.NFT_RETURN), 4, this.#return, 4);
    asm.jump(BPF_JEQ, 1, code(U.NFT_JUMP), 4, jump, 4);
    asm.jump(BPF_JEQ, 1, code(U.NFT_GOTO), 4, leave, 4);
    asm.storeImm(4, CTX, NFT_CTX.rule, this.#handle);
    asm.alu32Reg(0xb0, 0, 1).exit();
    asm.place(leave);
    this.#headOf(2);
    asm.move(1, CTX).kfunc(GOTO).exit();
    asm.place(jump);
    this.#headOf(2);
    const before = { ...this.#known };
    this.#jump();
    asm.goto(this.#fail());
    this.#known = before;
  }

  /** r2 = first program of chain number r2. */
  #headOf(register: number): void {
    const { map, count } = this.#use.heads;
    this.asm.jump(BPF_JGE, register, BigInt(count), 4, this.#return, 4);
    this.asm.alu(BPF_LSH, register, 2).mapValue(3, map, 0).aluReg(BPF_ADD, 3, register).load(4, register, 3, 0);
  }

  /** Runs the chain whose first program is number r2; goes on when it ends without a verdict. */
  #jump(): void {
    const { asm } = this;
    const ended = asm.label();
    asm.load(4, 1, CTX, NFT_CTX.depth).jump(BPF_JGE, 1, BigInt(MAX_DEPTH), 4, this.#tooDeep, 4);
    asm.alu32(BPF_ADD, 1, 1).store(4, CTX, NFT_CTX.depth, 1);
    asm.move(1, CTX).kfunc(JUMP);
    asm.load(4, 1, CTX, NFT_CTX.depth).alu32(BPF_SUB, 1, 1).store(4, CTX, NFT_CTX.depth, 1);
    asm.jumpImm(BPF_JSLT, 0, 0, ended).exit();
    asm.place(ended);
    this.#forgetPointers();
  }

  #verdict(code: number, chain: Chain | undefined): void {
    const { asm } = this;
    switch (code) {
      case U.NFT_CONTINUE:
        return;
      case U.NFT_BREAK:
        asm.goto(this.#fail());
        break;
      case U.NFT_RETURN:
        asm.goto(this.#return);
        break;
      case U.NFT_JUMP:
      case U.NFT_GOTO: {
        const { map, offset } = this.#use.head(chain!);
        asm.mapValue(2, map, offset).load(4, 2, 2, 0);
        if (code === U.NFT_GOTO) asm.move(1, CTX).kfunc(GOTO).exit();
        else {
          this.#jump();
          asm.goto(this.#fail());
        }
        break;
      }
      default:
        if ((code & 0xff) === NF_DROP) asm.storeImm(4, CTX, NFT_CTX.rule, this.#handle);
        asm.set(0, BigInt(code >>> 0)).exit();
    }
    this.#dead = true;
  }

  /** Has the interpreter evaluate an expression. */
  #call(expr: Expr): void {
    const { asm } = this;
    const go = asm.label();
    const writes = !READERS.has(expr.name);
    asm
      .move(1, CTX)
      .set(2, BigInt(this.#use.expr(expr)))
      .kfunc(writes ? EVAL_WRITE : EVAL);
    if (writes) this.#forgetPointers();
    // Whatever it wrote, and whatever was known by its source, lies in the context.
    if (expr.aloof !== true) this.#regs.forget();
    else if (writes) this.#regs.forget();
    if (expr.native?.op === 'lookup' && expr.native.verdicts) {
      asm.load(4, 2, CTX, NFT_CTX.chain).alu32Reg(0xb0, 1, 0);
      this.#dispatch(go);
    } else {
      asm.jumpImm(BPF_JEQ, 0, U.NFT_CONTINUE, go);
      asm.jumpImm(BPF_JEQ, 0, U.NFT_BREAK, this.#fail());
      asm.storeImm(4, CTX, NFT_CTX.rule, this.#handle);
      asm.alu32Reg(0xb0, 0, 0).exit();
    }
    asm.place(go);
  }

  /**
   * The end of a rule out of many: r0 has the address of its number, the records have its counter, verdict and handle. A rule
   * without a verdict goes on behind all of them: none of the others has its key.
   */
  record(map: number, count: number, counters: boolean): void {
    const { asm } = this;
    asm.jumpImm(BPF_JEQ, 0, 0, this.#fail());
    asm.load(4, 2, 0, 0).jump(BPF_JGE, 2, BigInt(count), 4, this.#fail(), 4);
    asm.alu(BPF_LSH, 2, 5).mapValue(1, map, 0).aluReg(BPF_ADD, 1, 2);
    if (counters) {
      asm.set(2, 1n).atomicAdd(1, 0, 2);
      this.#packetLength(2);
      asm.atomicAdd(1, 8, 2);
    }
    asm.load(4, 2, 1, 20).store(4, CTX, NFT_CTX.rule, 2).load(4, 0, 1, 16);
    asm.jump(BPF_JEQ, 0, BigInt(U.NFT_CONTINUE), 4, this.#fail(), 4);
    asm.jump(BPF_JEQ, 0, BigInt(U.NFT_RETURN), 4, this.#return, 4);
    asm.exit();
    this.#dead = true;
  }
}

function metaInline(n: Native & { op: 'meta' }): boolean {
  if (n.l2) return false;
  switch (n.key) {
    case U.NFT_META_LEN:
    case U.NFT_META_PROTOCOL:
    case U.NFT_META_PRIORITY:
    case U.NFT_META_MARK:
    case U.NFT_META_IIF:
    case U.NFT_META_OIF:
    case U.NFT_META_SDIF:
    case U.NFT_META_NFPROTO:
    case U.NFT_META_L4PROTO:
    case U.NFT_META_IIFNAME:
    case U.NFT_META_OIFNAME:
    case U.NFT_META_SDIFNAME:
      return true;
    default:
      return false;
  }
}
