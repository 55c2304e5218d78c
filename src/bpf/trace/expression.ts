/**
 * Expressions of the tracing language as instructions. A number or a pointer ends up in r7; text and addresses end up in a
 * place on the stack. r6 is the context, r8 and r9 are for the moment.
 */
import { DROP } from '../../core/drop.ts';
import { INTEGERS } from '../btf-types/declaration.ts';
import { offsetOf } from '../btf-types/index.ts';
import * as b from '../insn.ts';
import { type Expr, type MapPlace, type Position, TraceError } from './ast.ts';
import type { Code } from './code.ts';
import { type Aggregation, keyBytes, type Plan, type Shape, type TraceMap } from './plan.ts';
import { ADDR_BYTES, INT, memberOf, type Scope, shapeOf, type Type, typeOf } from './types.ts';

export const CTX = 6;
export const VALUE = 7;
const OTHER = 8;
const MORE = 9;
const FP = 10;

// Helpers (bpf-helpers(7)).
export const MAP_LOOKUP = 1;
export const MAP_UPDATE = 2;
const KTIME_GET_NS = 5;
const GET_SMP_PROCESSOR_ID = 8;
const GET_CURRENT_COMM = 16;
const PROBE_READ_KERNEL = 113;
const PROBE_READ_KERNEL_STR = 115;

const ARITHMETIC: Readonly<Record<string, number>> = {
  '+': b.BPF_ADD,
  '-': b.BPF_SUB,
  '*': b.BPF_MUL,
  '/': b.BPF_DIV,
  '%': b.BPF_MOD,
  '&': b.BPF_AND,
  '|': b.BPF_OR,
  '^': b.BPF_XOR,
  '<<': b.BPF_LSH,
  '>>': b.BPF_RSH,
};
const COMPARE: Readonly<Record<string, readonly [unsigned: number, signed: number]>> = {
  '==': [b.BPF_JEQ, b.BPF_JEQ],
  '!=': [b.BPF_JNE, b.BPF_JNE],
  '<': [b.BPF_JLT, b.BPF_JSLT],
  '>': [b.BPF_JGT, b.BPF_JSGT],
  '<=': [b.BPF_JLE, b.BPF_JSLE],
  '>=': [b.BPF_JGE, b.BPF_JSGE],
};
const READ_WIDTHS: Readonly<Record<string, number>> = { u8: 1, u16: 2, u32: 4, u64: 8 };
const MAX_STACK = 480;

export class Expressions {
  readonly code: Code;
  readonly scope: Scope & { readonly variables: Map<string, Type>; readonly plan: Plan };
  /** Where variables live. */
  readonly slots: Map<string, number> = new Map();
  #used = 0;

  constructor(code: Code, scope: Scope & { readonly variables: Map<string, Type> }) {
    this.code = code;
    this.scope = scope;
  }

  /** A place on the stack: its offset from the frame pointer. */
  place(bytes: number, at: Position): number {
    this.#used += Math.ceil(bytes / 8) * 8;
    if (this.#used > MAX_STACK) throw new TraceError('this needs more stack than a program has', at);
    return -this.#used;
  }
  mark(): number {
    return this.#used;
  }
  release(mark: number): void {
    this.#used = mark;
  }

  type(expr: Expr): Type {
    return typeOf(expr, this.scope);
  }

  /** dst = fp + offset. */
  address(dst: number, place: number): void {
    this.code.move(dst, FP);
    this.code.aluImm(b.BPF_ADD, dst, place);
  }

  zero(place: number, bytes: number): void {
    for (let i = 0; i < bytes; i += 8) this.code.storeImm(FP, place + i, 0);
  }

  /** Leaves a number in r7. */
  number(expr: Expr): void {
    const type = this.type(expr);
    if (type.kind === 'bytes') throw new TraceError('a number is needed here, not text', expr);
    this.#value(expr);
  }

  #value(expr: Expr): void {
    const { code } = this;
    switch (expr.kind) {
      case 'number':
        return code.constant(VALUE, expr.value);
      case 'name':
        return this.#named(expr);
      case 'variable':
        return code.load(VALUE, FP, this.slots.get(expr.name) ?? 0, 8);
      case 'map':
        return this.#mapValue(expr);
      case 'argument':
        return this.#argument(expr);
      case 'member':
        return this.#member(expr);
      case 'call':
        return this.#call(expr);
      case 'unary':
        this.number(expr.of);
        if (expr.op === '-') return code.emit(b.BPF_ALU64 | b.BPF_NEG, VALUE);
        if (expr.op === '~') return code.aluImm(b.BPF_XOR, VALUE, -1);
        return this.#truth((yes) => code.when(b.BPF_JEQ, VALUE, 0, yes));
      case 'binary':
        return this.#binary(expr);
      case 'choice': {
        const [no, end] = [code.label(), code.label()];
        this.number(expr.test);
        code.when(b.BPF_JEQ, VALUE, 0, no);
        this.number(expr.yes);
        code.goto(end);
        code.place(no);
        this.number(expr.no);
        code.place(end);
        return;
      }
      default:
        throw new TraceError('a number is needed here', expr);
    }
  }

  #named(expr: Extract<Expr, { kind: 'name' }>): void {
    const { code } = this;
    const { name } = expr;
    if (name === 'nsecs' || name === 'cpu') {
      code.call(name === 'nsecs' ? KTIME_GET_NS : GET_SMP_PROCESSOR_ID);
      return code.move(VALUE, 0);
    }
    const reason = Object.entries(DROP).find(([key]) => key === name || `SKB_DROP_REASON_${key}` === name);
    if (reason === undefined) throw new TraceError(`there is no ${name}`, expr);
    code.constant(VALUE, BigInt(reason[1]));
  }

  #argument(expr: Extract<Expr, { kind: 'argument' }>): void {
    this.type(expr);
    const index = this.scope.point?.args.findIndex((a) => a.name === expr.name) ?? 0;
    const arg = this.scope.point?.args[index];
    if (arg?.type.kind !== 'int' && arg?.type.kind !== 'enum') return this.code.load(VALUE, CTX, index * 8, 8);
    this.#load(
      CTX,
      index * 8,
      arg.type.kind === 'enum' ? 4 : arg.type.size,
      arg.type.kind === 'int' && arg.type.signed,
    );
  }

  #load(src: number, off: number, size: number, signed: boolean): void {
    this.code.load(VALUE, src, off, size);
    if (signed && size < 8) this.code.emit(b.BPF_ALU64 | b.BPF_MOV | b.BPF_X, VALUE, VALUE, size * 8);
  }

  /** Leaves the pointer in r7 that the struct `expr` lies behind; its distance from there. */
  #struct(expr: Expr, ifNull: (() => void)[]): number {
    const type = this.type(expr);
    if (expr.kind === 'member') {
      const member = memberOf(expr, this.scope);
      const of = this.type(expr.of);
      const offset = of.kind === 'struct' ? offsetOf(of.name, member.name) : 0;
      const before = this.#struct(expr.of, ifNull);
      if (member.type.kind === 'struct') return before + offset;
      this.code.load(VALUE, VALUE, before + offset, 8);
      return 0;
    }
    this.number(expr);
    if (type.kind === 'struct' && type.nullable) {
      const label = this.code.label();
      this.code.when(b.BPF_JEQ, VALUE, 0, label);
      ifNull.push(() => this.code.place(label));
    }
    return 0;
  }

  /** Runs `body` on a member's place; a NULL on the way makes it 0. */
  #atMember(expr: Extract<Expr, { kind: 'member' }>, body: (offset: number) => void, otherwise: () => void): void {
    const ifNull: (() => void)[] = [];
    const of = this.type(expr.of);
    const member = memberOf(expr, this.scope);
    const offset = of.kind === 'struct' ? offsetOf(of.name, member.name) : 0;
    body(this.#struct(expr.of, ifNull) + offset);
    if (ifNull.length === 0) return;
    const end = this.code.label();
    this.code.goto(end);
    for (const place of ifNull) place();
    otherwise();
    this.code.place(end);
  }

  #member(expr: Extract<Expr, { kind: 'member' }>): void {
    const { type } = memberOf(expr, this.scope);
    if (type.kind === 'struct') throw new TraceError(`${expr.name} is a struct: name one of its members`, expr);
    const size = type.kind === 'pointer' ? 8 : type.kind === 'enum' ? 4 : INTEGERS[type.name][1];
    this.#atMember(
      expr,
      (offset) => this.#load(VALUE, offset, size, type.kind === 'int' && type.signed),
      () => this.code.constant(VALUE, 0n),
    );
  }

  #call(expr: Extract<Expr, { kind: 'call' }>): void {
    const { code } = this;
    const [arg] = expr.args;
    this.type(expr);
    switch (expr.name) {
      case 'ntop':
        return this.number(arg);
      case 'bswap': {
        const type = this.type(arg);
        this.number(arg);
        const bits = type.kind === 'int' ? type.bits : 64;
        if (bits > 8) code.emit(b.BPF_ALU | b.BPF_END | b.BPF_X, VALUE, 0, 0, bits);
        return;
      }
      case 'sport':
      case 'dport':
      case 'protocol': {
        const place = this.place(8, expr);
        this.#network(arg, place, expr);
        if (expr.name === 'protocol') return this.#protocol(place);
        return this.#port(place, expr.name === 'sport' ? 0 : 2);
      }
      default: {
        const size = READ_WIDTHS[expr.name];
        if (size === undefined) throw new TraceError(`${expr.name}() gives no number`, expr);
        const place = this.place(8, expr);
        this.number(arg);
        this.#read(place, size, VALUE, 0);
        code.load(VALUE, FP, place, size);
      }
    }
  }

  /** Copies `size` bytes from the address in `src` + off to the stack; what is not there reads as zero. */
  #read(place: number, size: number, src: number, off: number): void {
    const { code } = this;
    this.zero(place, size);
    code.move(3, src);
    if (off !== 0) code.aluImm(b.BPF_ADD, 3, off);
    this.address(1, place);
    code.constant(2, BigInt(size));
    code.call(PROBE_READ_KERNEL);
  }

  /** Leaves the address of the network header of a packet in r8, and its version (4, 6) in r9. */
  #network(packet: Expr, scratch: number, at: Position): void {
    const { code } = this;
    const type = this.type(packet);
    if (type.kind !== 'struct' || type.name !== 'sk_buff')
      throw new TraceError('a packet (struct sk_buff) is needed here', at);
    const done = code.label();
    const none = code.label();
    this.number(packet);
    if (type.nullable) code.when(b.BPF_JEQ, VALUE, 0, none);
    code.load(OTHER, VALUE, offsetOf('sk_buff', 'head'), 8);
    code.load(MORE, VALUE, offsetOf('sk_buff', 'network_header'), 2);
    code.alu(b.BPF_ADD, OTHER, MORE);
    this.#read(scratch, 1, OTHER, 0);
    code.load(MORE, FP, scratch, 1);
    code.aluImm(b.BPF_RSH, MORE, 4);
    if (!type.nullable) return;
    code.goto(done);
    code.place(none);
    code.constant(OTHER, 0n);
    code.constant(MORE, 0n);
    code.place(done);
  }

  #protocol(place: number): void {
    const { code } = this;
    const [six, end] = [code.label(), code.label()];
    code.when(b.BPF_JEQ, MORE, 6, six);
    this.#read(place, 1, OTHER, 9);
    code.goto(end);
    code.place(six);
    this.#read(place, 1, OTHER, 6);
    code.place(end);
    code.load(VALUE, FP, place, 1);
  }

  #port(place: number, off: number): void {
    const { code } = this;
    const [six, end] = [code.label(), code.label()];
    code.when(b.BPF_JEQ, MORE, 6, six);
    // The first byte is still there: the length of the header in words.
    code.load(VALUE, FP, place, 1);
    code.aluImm(b.BPF_AND, VALUE, 15);
    code.aluImm(b.BPF_LSH, VALUE, 2);
    code.alu(b.BPF_ADD, OTHER, VALUE);
    this.#read(place, 2, OTHER, off);
    code.goto(end);
    code.place(six);
    this.#read(place, 2, OTHER, 40 + off);
    code.place(end);
    code.load(VALUE, FP, place, 2);
    code.emit(b.BPF_ALU | b.BPF_END | b.BPF_X, VALUE, 0, 0, 16);
  }

  #binary(expr: Extract<Expr, { kind: 'binary' }>): void {
    const { code } = this;
    const { op, left, right } = expr;
    if (op === '&&' || op === '||') return this.#logic(expr);
    const types = [this.type(left), this.type(right)];
    if (types.some((t) => t.kind === 'bytes')) return this.#compareText(expr, types);
    const mark = this.mark();
    const place = this.place(8, expr);
    this.number(left);
    code.store(FP, place, VALUE);
    this.number(right);
    code.move(OTHER, VALUE);
    code.load(VALUE, FP, place, 8);
    this.release(mark);
    const arithmetic = ARITHMETIC[op];
    if (arithmetic !== undefined) return code.alu(arithmetic, VALUE, OTHER);
    const signed = types.some((t) => t.kind === 'int' && t.show === 'signed');
    this.#truth((yes) => code.whenReg(COMPARE[op][signed ? 1 : 0], VALUE, OTHER, yes));
  }

  /** r7 = 1 when `jump` jumps, else 0. */
  #truth(jump: (yes: ReturnType<Code['label']>) => void): void {
    const { code } = this;
    const [yes, end] = [code.label(), code.label()];
    jump(yes);
    code.constant(VALUE, 0n);
    code.goto(end);
    code.place(yes);
    code.constant(VALUE, 1n);
    code.place(end);
  }

  #logic(expr: Extract<Expr, { kind: 'binary' }>): void {
    const { code } = this;
    const [short, end] = [code.label(), code.label()];
    const op = expr.op === '&&' ? b.BPF_JEQ : b.BPF_JNE;
    this.number(expr.left);
    code.when(op, VALUE, 0, short);
    this.number(expr.right);
    code.when(op, VALUE, 0, short);
    code.constant(VALUE, expr.op === '&&' ? 1n : 0n);
    code.goto(end);
    code.place(short);
    code.constant(VALUE, expr.op === '&&' ? 0n : 1n);
    code.place(end);
  }

  #compareText(expr: Extract<Expr, { kind: 'binary' }>, types: readonly Type[]): void {
    const { code } = this;
    if (expr.op !== '==' && expr.op !== '!=') throw new TraceError('text is only equal or not', expr);
    if (types.some((t) => t.kind !== 'bytes')) throw new TraceError('text is compared with text', expr);
    const mark = this.mark();
    const size = Math.max(...types.map((t) => (t.kind === 'bytes' ? t.bytes : 0)));
    const [left, right] = [this.place(size, expr), this.place(size, expr)];
    this.bytes(expr.left, left, size);
    this.bytes(expr.right, right, size);
    const differs = code.label();
    const end = code.label();
    for (let i = 0; i < size; i += 8) {
      code.load(VALUE, FP, left + i, 8);
      code.load(OTHER, FP, right + i, 8);
      code.whenReg(b.BPF_JNE, VALUE, OTHER, differs);
    }
    this.release(mark);
    code.constant(VALUE, expr.op === '==' ? 1n : 0n);
    code.goto(end);
    code.place(differs);
    code.constant(VALUE, expr.op === '==' ? 0n : 1n);
    code.place(end);
  }

  /** Writes a value of any kind to `size` bytes of the stack, zeros behind it. */
  bytes(expr: Expr, place: number, size: number): void {
    const { code } = this;
    const type = this.type(expr);
    if (type.kind !== 'bytes') {
      this.number(expr);
      code.store(FP, place, VALUE);
      return;
    }
    this.zero(place, size);
    if (expr.kind === 'string') {
      for (let i = 0; i < expr.value.length; i++) code.storeImm(FP, place + i, expr.value.charCodeAt(i) & 0xff, 1);
    } else if (expr.kind === 'name') {
      this.address(1, place);
      code.constant(2, 16n);
      code.call(GET_CURRENT_COMM);
    } else if (expr.kind === 'member') this.#textMember(expr, place);
    else if (expr.kind === 'map') this.#textOfMap(expr, place, type.bytes);
    else if (expr.kind === 'call' && expr.name === 'str') {
      this.number(expr.args[0]);
      code.move(3, VALUE);
      this.address(1, place);
      code.constant(2, BigInt(type.bytes));
      code.call(PROBE_READ_KERNEL_STR);
    } else if (expr.kind === 'call') this.#ipAddress(expr, place);
    else if (expr.kind === 'variable') {
      const from = this.slots.get(expr.name) ?? 0;
      for (let i = 0; i < type.bytes; i += 8) {
        code.load(VALUE, FP, from + i, 8);
        code.store(FP, place + i, VALUE);
      }
    } else throw new TraceError('text cannot be computed like this', expr);
  }

  #textMember(expr: Extract<Expr, { kind: 'member' }>, place: number): void {
    const { size } = memberOf(expr, this.scope);
    this.#atMember(
      expr,
      (offset) => {
        for (let i = 0; i < size; ) {
          const width = [8, 4, 2, 1].find((w) => i + w <= size) ?? 1;
          this.code.load(OTHER, VALUE, offset + i, width);
          this.code.store(FP, place + i, OTHER, width);
          i += width;
        }
      },
      () => undefined,
    );
  }

  /** saddr(skb), daddr(skb): family and address. */
  #ipAddress(expr: Extract<Expr, { kind: 'call' }>, place: number): void {
    const { code } = this;
    const source = expr.name === 'saddr';
    const [six, end] = [code.label(), code.label()];
    this.#network(expr.args[0], place, expr);
    this.zero(place, ADDR_BYTES);
    code.when(b.BPF_JEQ, MORE, 6, six);
    code.when(b.BPF_JNE, MORE, 4, end);
    code.storeImm(FP, place, 2);
    this.#read(place + 8, 4, OTHER, source ? 12 : 16);
    code.goto(end);
    code.place(six);
    code.storeImm(FP, place, 10);
    this.#read(place + 8, 16, OTHER, source ? 8 : 24);
    code.place(end);
  }

  /** Writes the key of a place in a map to the stack. */
  key(place: MapPlace, map: TraceMap): number {
    const at = this.place(keyBytes(map), place);
    this.zero(at, keyBytes(map));
    let offset = at;
    for (const key of place.keys) {
      const { bytes } = shapeOf(this.type(key));
      this.bytes(key, offset, bytes);
      offset += bytes;
    }
    return at;
  }

  /** The map of a place, for `how` or for reading. */
  mapOf(
    place: MapPlace,
    how: Aggregation | undefined,
    value: Shape,
    buckets?: readonly [number, number, number],
  ): TraceMap {
    const keys = place.keys.map((key) => shapeOf(this.type(key)));
    return this.scope.plan.map(place, place.name, keys, how, value, buckets);
  }

  /** r0 = address of the value, or 0. */
  lookup(map: TraceMap, key: number): void {
    this.code.map(1, map.index);
    this.address(2, key);
    this.code.call(MAP_LOOKUP);
  }

  #mapValue(expr: MapPlace): void {
    const { code } = this;
    const mark = this.mark();
    const map = this.mapOf(expr, undefined, shapeOf(INT));
    const key = this.key(expr, map);
    this.lookup(map, key);
    code.constant(VALUE, 0n);
    const none = code.label();
    code.when(b.BPF_JEQ, 0, 0, none);
    code.load(VALUE, 0, 0, 8);
    code.place(none);
    this.release(mark);
  }

  #textOfMap(expr: MapPlace, place: number, bytes: number): void {
    const { code } = this;
    const map = this.mapOf(expr, undefined, { bytes, show: 'text' });
    this.lookup(map, this.key(expr, map));
    const none = code.label();
    code.when(b.BPF_JEQ, 0, 0, none);
    for (let i = 0; i < bytes; i += 8) {
      code.load(VALUE, 0, i, 8);
      code.store(FP, place + i, VALUE);
    }
    code.place(none);
  }
}
