/** Statements of the tracing language as instructions, and the program of one block for one point. */
import type { TracePoint } from '../btf-types/index.ts';
import * as b from '../insn.ts';
import { type Block, type Expr, type MapPlace, type Stmt, TraceError } from './ast.ts';
import { Code } from './code.ts';
import { CTX, Expressions, MAP_UPDATE, VALUE } from './expression.ts';
import { type Aggregation, EVENTS, type Event, keyBytes, type Plan, type Shape, type TraceMap } from './plan.ts';
import { INT, shapeOf, type Type } from './types.ts';

const FP = 10;
const OTHER = 8;
const MORE = 9;
const MAP_DELETE = 3;
const PERF_EVENT_OUTPUT = 25;
const CURRENT_CPU = 0xffff_ffffn;

const AGGREGATIONS: Readonly<Record<string, Aggregation>> = {
  count: 'count',
  sum: 'sum',
  avg: 'avg',
  min: 'min',
  max: 'max',
  hist: 'hist',
  lhist: 'lhist',
};
const ARITHMETIC: Readonly<Record<string, number>> = {
  '+': b.BPF_ADD,
  '-': b.BPF_SUB,
  '*': b.BPF_MUL,
  '/': b.BPF_DIV,
  '%': b.BPF_MOD,
  '&': b.BPF_AND,
  '|': b.BPF_OR,
  '^': b.BPF_XOR,
};

/** Instructions of a block at one point (undefined: BEGIN or END). */
export function generate(block: Block, point: TracePoint | undefined, plan: Plan): b.Insn[] {
  return new Statements(point, plan).program(block);
}

class Statements {
  readonly #code = new Code();
  readonly #plan: Plan;
  readonly #e: Expressions;
  readonly #variables = new Map<string, Type>();

  constructor(point: TracePoint | undefined, plan: Plan) {
    this.#plan = plan;
    this.#e = new Expressions(this.#code, { point, plan, variables: this.#variables });
  }

  program(block: Block): b.Insn[] {
    const code = this.#code;
    const end = code.label();
    code.move(CTX, 1);
    if (block.filter !== undefined) {
      this.#e.number(block.filter);
      code.when(b.BPF_JEQ, VALUE, 0, end);
    }
    this.#variablesOf(block.body);
    for (const s of block.body) this.#statement(s);
    code.place(end);
    code.constant(0, 0n);
    code.exit();
    return code.finish();
  }

  /** Gives every variable its place, at the type of its first value. */
  #variablesOf(body: readonly Stmt[]): void {
    for (const s of body) {
      if (s.kind === 'if') {
        this.#variablesOf(s.yes);
        this.#variablesOf(s.no);
      } else if (s.kind === 'set' && !this.#variables.has(s.variable)) {
        const type = this.#e.type(s.value);
        if (type.kind === 'struct') throw new TraceError('a variable holds a number or text, no struct', s);
        this.#variables.set(s.variable, type);
        const { bytes } = shapeOf(type);
        const place = this.#e.place(bytes, s);
        this.#e.slots.set(s.variable, place);
        this.#e.zero(place, bytes);
      }
    }
  }

  #statement(s: Stmt): void {
    const mark = this.#e.mark();
    switch (s.kind) {
      case 'set':
        this.#set(s);
        break;
      case 'store':
        this.#store(s);
        break;
      case 'if': {
        const code = this.#code;
        const [no, end] = [code.label(), code.label()];
        this.#e.number(s.test);
        code.when(b.BPF_JEQ, VALUE, 0, no);
        for (const inner of s.yes) this.#statement(inner);
        code.goto(end);
        code.place(no);
        for (const inner of s.no) this.#statement(inner);
        code.place(end);
        break;
      }
      case 'call':
        this.#call(s);
    }
    this.#e.release(mark);
  }

  #set(s: Extract<Stmt, { kind: 'set' }>): void {
    const place = this.#e.slots.get(s.variable) ?? 0;
    const type = this.#variables.get(s.variable);
    const value = this.#e.type(s.value);
    if (type?.kind === 'bytes' || value.kind === 'bytes') {
      if (s.op !== '' || value.kind !== 'bytes' || type?.kind !== 'bytes' || value.bytes > type.bytes)
        throw new TraceError(`$${s.variable} cannot take this`, s);
      return this.#e.bytes(s.value, place, type.bytes);
    }
    this.#e.number(s.value);
    if (s.op !== '') {
      this.#code.move(OTHER, VALUE);
      this.#code.load(VALUE, FP, place, 8);
      this.#code.alu(ARITHMETIC[s.op], VALUE, OTHER);
    }
    this.#code.store(FP, place, VALUE);
  }

  #store(s: Extract<Stmt, { kind: 'store' }>): void {
    const { value, place, op } = s;
    const how = value.kind === 'call' ? AGGREGATIONS[value.name] : undefined;
    if (how !== undefined && value.kind === 'call' && op === '') return this.#aggregate(place, how, value);
    const type = this.#e.type(value);
    const shape = shapeOf(type);
    if (type.kind === 'bytes') {
      if (op !== '') throw new TraceError('text is only stored', s);
      const map = this.#e.mapOf(place, 'value', shape);
      if (map.value.bytes !== shape.bytes) throw new TraceError(`@${place.name} holds other values elsewhere`, s);
      const at = this.#e.place(shape.bytes, s);
      this.#e.bytes(value, at, shape.bytes);
      return this.#update(map, this.#e.key(place, map), at);
    }
    const map = this.#e.mapOf(place, 'value', shape);
    if (map.value.bytes !== 8) throw new TraceError(`@${place.name} holds text elsewhere`, s);
    const at = this.#e.place(8, s);
    this.#e.number(value);
    this.#code.store(FP, at, VALUE);
    const key = this.#e.key(place, map);
    if (op !== '') {
      const none = this.#code.label();
      this.#e.lookup(map, key);
      this.#code.constant(OTHER, 0n);
      this.#code.when(b.BPF_JEQ, 0, 0, none);
      this.#code.load(OTHER, 0, 0, 8);
      this.#code.place(none);
      this.#code.load(VALUE, FP, at, 8);
      this.#code.alu(ARITHMETIC[op], OTHER, VALUE);
      this.#code.store(FP, at, OTHER);
    }
    this.#update(map, key, at);
  }

  #update(map: TraceMap, key: number, value: number): void {
    const code = this.#code;
    code.map(1, map.index);
    this.#e.address(2, key);
    this.#e.address(3, value);
    code.constant(4, 0n);
    code.call(MAP_UPDATE);
  }

  #aggregate(place: MapPlace, how: Aggregation, call: Extract<Expr, { kind: 'call' }>): void {
    const code = this.#code;
    const wanted = how === 'count' ? 0 : how === 'lhist' ? 4 : 1;
    if (call.args.length !== wanted) throw new TraceError(`${call.name}() takes ${wanted} arguments`, call);
    const shape: Shape =
      how === 'count' || how === 'hist' || how === 'lhist' ? shapeOf(INT) : this.#shape(call.args[0]);
    const buckets = how === 'lhist' ? this.#buckets(call) : undefined;
    const map = this.#e.mapOf(place, how, shape, buckets);
    const value = this.#e.place(16, call);
    if (how === 'count') code.constant(VALUE, 1n);
    else this.#e.number(call.args[0]);
    code.store(FP, value, VALUE);
    code.storeImm(FP, value + 8, 1);
    const key = this.#e.key(place, map);
    if (how === 'hist' || how === 'lhist') {
      code.load(VALUE, FP, value, 8);
      if (map.buckets === undefined) this.#log2();
      else this.#linear(map.buckets);
      code.store(FP, key + keyBytes(map) - 8, VALUE);
      code.storeImm(FP, value, 1);
    }
    const [none, end] = [code.label(), code.label()];
    this.#e.lookup(map, key);
    code.when(b.BPF_JEQ, 0, 0, none);
    code.load(OTHER, FP, value, 8);
    code.load(MORE, 0, 0, 8);
    if (how === 'min' || how === 'max') {
      const signed = map.value.show === 'signed';
      const op = how === 'min' ? (signed ? b.BPF_JSGE : b.BPF_JGE) : signed ? b.BPF_JSLE : b.BPF_JLE;
      code.whenReg(op, OTHER, MORE, end);
    } else code.alu(b.BPF_ADD, OTHER, MORE);
    code.store(0, 0, OTHER);
    if (how === 'avg') {
      code.load(MORE, 0, 8, 8);
      code.aluImm(b.BPF_ADD, MORE, 1);
      code.store(0, 8, MORE);
    }
    code.goto(end);
    code.place(none);
    this.#update(map, key, value);
    code.place(end);
  }

  #shape(expr: Expr): Shape {
    const type = this.#e.type(expr);
    if (type.kind !== 'int') throw new TraceError('a number is needed here', expr);
    return { bytes: 8, show: type.show === 'signed' ? 'signed' : 'unsigned' };
  }

  #buckets(call: Extract<Expr, { kind: 'call' }>): readonly [number, number, number] {
    const [min, max, step] = call.args.slice(1).map((arg) => {
      if (arg.kind !== 'number' || arg.value > 0x7fff_ffffn) throw new TraceError('lhist() takes constants', arg);
      return Number(arg.value);
    });
    if (step < 1 || max <= min) throw new TraceError('lhist(value, min, max, step): min < max, step > 0', call);
    return [min, max, step];
  }

  /** r7 = number of the power of two that r7 lies in: 0 for negative numbers, 1 for 0, 2 for 1, 3 for 2 and 3... */
  #log2(): void {
    const code = this.#code;
    const [negative, zero, end] = [code.label(), code.label(), code.label()];
    code.when(b.BPF_JSLT, VALUE, 0, negative);
    code.when(b.BPF_JEQ, VALUE, 0, zero);
    code.constant(OTHER, 2n);
    for (const shift of [32, 16, 8, 4, 2, 1]) {
      const small = code.label();
      code.move(MORE, VALUE);
      code.aluImm(b.BPF_RSH, MORE, shift);
      code.when(b.BPF_JEQ, MORE, 0, small);
      code.move(VALUE, MORE);
      code.aluImm(b.BPF_ADD, OTHER, shift);
      code.place(small);
    }
    code.move(VALUE, OTHER);
    code.goto(end);
    code.place(negative);
    code.constant(VALUE, 0n);
    code.goto(end);
    code.place(zero);
    code.constant(VALUE, 1n);
    code.place(end);
  }

  /** r7 = 0 below `min`, then one number a step, and the last one from `max` on. */
  #linear([min, max, step]: readonly [number, number, number]): void {
    const code = this.#code;
    const [below, above, end] = [code.label(), code.label(), code.label()];
    code.when(b.BPF_JSLT, VALUE, min, below);
    code.when(b.BPF_JSGE, VALUE, max, above);
    code.aluImm(b.BPF_SUB, VALUE, min);
    code.aluImm(b.BPF_DIV, VALUE, step);
    code.aluImm(b.BPF_ADD, VALUE, 1);
    code.goto(end);
    code.place(below);
    code.constant(VALUE, 0n);
    code.goto(end);
    code.place(above);
    code.constant(VALUE, BigInt(Math.ceil((max - min) / step) + 1));
    code.place(end);
  }

  #call(s: Extract<Stmt, { kind: 'call' }>): void {
    switch (s.name) {
      case 'printf':
        return this.#printf(s);
      case 'print':
      case 'clear': {
        const [arg] = s.args;
        if (s.args.length !== 1 || arg.kind !== 'map' || arg.keys.length > 0)
          throw new TraceError(`${s.name}() takes a map: ${s.name}(@name)`, s);
        return this.#send({ kind: s.name, map: arg.name }, [], s);
      }
      case 'exit':
        if (s.args.length > 0) throw new TraceError('exit() takes nothing', s);
        return this.#send({ kind: 'exit' }, [], s);
      case 'delete': {
        const [arg] = s.args;
        if (s.args.length !== 1 || arg.kind !== 'map')
          throw new TraceError('delete() takes a place: delete(@name[key])', s);
        const map = this.#e.mapOf(arg, undefined, shapeOf(INT));
        const key = this.#e.key(arg, map);
        this.#code.map(1, map.index);
        this.#e.address(2, key);
        return this.#code.call(MAP_DELETE);
      }
      default:
        throw new TraceError(`there is no function ${s.name}()`, s);
    }
  }

  #printf(s: Extract<Stmt, { kind: 'call' }>): void {
    const [format, ...args] = s.args;
    if (format?.kind !== 'string') throw new TraceError('printf() takes a format first', s);
    const wanted = [...format.value.matchAll(/%[-0]?\d*(?:ll|l|h)?([duxXscip%])/g)].filter((m) => m[1] !== '%').length;
    if (wanted !== args.length) throw new TraceError(`the format has ${wanted} values, ${args.length} are given`, s);
    const shapes = args.map((arg) => shapeOf(this.#e.type(arg)));
    this.#send({ kind: 'printf', format: format.value, args: shapes }, args, s);
  }

  /** Sends an event: its number, then its values. */
  #send(event: Event, args: readonly Expr[], s: Stmt): void {
    const code = this.#code;
    const shapes = args.map((arg) => shapeOf(this.#e.type(arg)));
    const size = 8 + shapes.reduce((sum, shape) => sum + shape.bytes, 0);
    const at = this.#e.place(size, s);
    code.storeImm(FP, at, this.#plan.event(event));
    let offset = at + 8;
    args.forEach((arg, i) => {
      this.#e.bytes(arg, offset, shapes[i].bytes);
      offset += shapes[i].bytes;
    });
    code.move(1, CTX);
    code.map(2, EVENTS);
    code.constant(3, CURRENT_CPU);
    this.#e.address(4, at);
    code.constant(5, BigInt(size));
    code.call(PERF_EVENT_OUTPUT);
  }
}
