/**
 * WebAssembly modules as bytes (WebAssembly Core Specification 2.0, section 5 "Binary format"): one growing buffer, LEB128
 * numbers, and the sections that netloom's compilers use. Opcodes are named as in the text format.
 *
 *     const m = new WasmModule();
 *     const add = m.declare([I32, I32], [I32]);
 *     m.define(add, [], new Code().get(0).get(1).op(OP['i32.add']));
 *     m.export('add', 'func', add);
 *     new WebAssembly.Instance(new WebAssembly.Module(m.bytes()));
 */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
const FUNCREF = 0x70;
/** Block type without a result. */
export const VOID = 0x40;

export const OP = {
  unreachable: 0x00,
  nop: 0x01,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  else: 0x05,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  return_call: 0x12,
  return_call_indirect: 0x13,
  drop: 0x1a,
  select: 0x1b,
  'local.get': 0x20,
  'local.set': 0x21,
  'local.tee': 0x22,
  'global.get': 0x23,
  'global.set': 0x24,
  'i32.load': 0x28,
  'i64.load': 0x29,
  'f32.load': 0x2a,
  'f64.load': 0x2b,
  'i32.load8_s': 0x2c,
  'i32.load8_u': 0x2d,
  'i32.load16_s': 0x2e,
  'i32.load16_u': 0x2f,
  'i64.load8_s': 0x30,
  'i64.load8_u': 0x31,
  'i64.load16_s': 0x32,
  'i64.load16_u': 0x33,
  'i64.load32_s': 0x34,
  'i64.load32_u': 0x35,
  'i32.store': 0x36,
  'i64.store': 0x37,
  'f32.store': 0x38,
  'f64.store': 0x39,
  'i32.store8': 0x3a,
  'i32.store16': 0x3b,
  'i64.store8': 0x3c,
  'i64.store16': 0x3d,
  'i64.store32': 0x3e,
  'memory.size': 0x3f,
  'i32.const': 0x41,
  'i64.const': 0x42,
  'i32.eqz': 0x45,
  'i32.eq': 0x46,
  'i32.ne': 0x47,
  'i32.lt_s': 0x48,
  'i32.lt_u': 0x49,
  'i32.gt_s': 0x4a,
  'i32.gt_u': 0x4b,
  'i32.le_s': 0x4c,
  'i32.le_u': 0x4d,
  'i32.ge_s': 0x4e,
  'i32.ge_u': 0x4f,
  'i64.eqz': 0x50,
  'i64.eq': 0x51,
  'i64.ne': 0x52,
  'i64.lt_s': 0x53,
  'i64.lt_u': 0x54,
  'i64.gt_s': 0x55,
  'i64.gt_u': 0x56,
  'i64.le_s': 0x57,
  'i64.le_u': 0x58,
  'i64.ge_s': 0x59,
  'i64.ge_u': 0x5a,
  'i32.clz': 0x67,
  'i32.ctz': 0x68,
  'i32.popcnt': 0x69,
  'i32.add': 0x6a,
  'i32.sub': 0x6b,
  'i32.mul': 0x6c,
  'i32.div_s': 0x6d,
  'i32.div_u': 0x6e,
  'i32.rem_s': 0x6f,
  'i32.rem_u': 0x70,
  'i32.and': 0x71,
  'i32.or': 0x72,
  'i32.xor': 0x73,
  'i32.shl': 0x74,
  'i32.shr_s': 0x75,
  'i32.shr_u': 0x76,
  'i32.rotl': 0x77,
  'i32.rotr': 0x78,
  'i64.clz': 0x79,
  'i64.ctz': 0x7a,
  'i64.popcnt': 0x7b,
  'i64.add': 0x7c,
  'i64.sub': 0x7d,
  'i64.mul': 0x7e,
  'i64.div_s': 0x7f,
  'i64.div_u': 0x80,
  'i64.rem_s': 0x81,
  'i64.rem_u': 0x82,
  'i64.and': 0x83,
  'i64.or': 0x84,
  'i64.xor': 0x85,
  'i64.shl': 0x86,
  'i64.shr_s': 0x87,
  'i64.shr_u': 0x88,
  'i64.rotl': 0x89,
  'i64.rotr': 0x8a,
  'i32.wrap_i64': 0xa7,
  'i64.extend_i32_s': 0xac,
  'i64.extend_i32_u': 0xad,
  'i64.trunc_f64_u': 0xb1,
  'f64.convert_i64_u': 0xba,
  'f64.lt': 0x63,
  'f64.const': 0x44,
  'i32.extend8_s': 0xc0,
  'i32.extend16_s': 0xc1,
  'i64.extend8_s': 0xc2,
  'i64.extend16_s': 0xc3,
  'i64.extend32_s': 0xc4,
} as const;

/** Opcodes behind the prefix 0xfd, for `simd` and `simdLoad`. */
export const SIMD = {
  'v128.load': 0x00,
  'i16x8.splat': 0x10,
  'i16x8.eq': 0x2d,
  'i8x16.bitmask': 0x64,
  'i16x8.bitmask': 0x84,
} as const;
export const SIMD_PREFIX = 0xfd;

/** A byte buffer that grows, with the number formats of the binary format. */
export class Bytes {
  #u8: Uint8Array;
  #length = 0;

  constructor(capacity = 256) {
    this.#u8 = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  #room(n: number): void {
    if (this.#length + n <= this.#u8.length) return;
    const grown = new Uint8Array(Math.max(this.#u8.length * 2, this.#length + n));
    grown.set(this.#u8.subarray(0, this.#length));
    this.#u8 = grown;
  }

  byte(value: number): this {
    if (this.#length === this.#u8.length) this.#room(1);
    this.#u8[this.#length++] = value;
    return this;
  }

  /** Unsigned LEB128 of a number below 2^32. */
  u32(value: number): this {
    value >>>= 0;
    while (value > 0x7f) {
      this.byte((value & 0x7f) | 0x80);
      value >>>= 7;
    }
    return this.byte(value);
  }

  /** Signed LEB128 of a 32-bit number. */
  s32(value: number): this {
    value |= 0;
    for (;;) {
      const low = value & 0x7f;
      value >>= 7;
      if ((value === 0 && (low & 0x40) === 0) || (value === -1 && (low & 0x40) !== 0)) return this.byte(low);
      this.byte(low | 0x80);
    }
  }

  /** Signed LEB128 of the 64-bit number with these two words. */
  s64(low: number, high: number): this {
    if (high === low >> 31) return this.s32(low);
    let lo = low | 0;
    let hi = high | 0;
    for (;;) {
      const part = lo & 0x7f;
      lo = (lo >>> 7) | (hi << 25);
      hi >>= 7;
      if ((hi === 0 && lo === 0 && (part & 0x40) === 0) || (hi === -1 && lo === -1 && (part & 0x40) !== 0))
        return this.byte(part);
      this.byte(part | 0x80);
    }
  }

  append(bytes: Uint8Array): this {
    this.#room(bytes.length);
    this.#u8.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  name(text: string): this {
    const bytes = new TextEncoder().encode(text);
    return this.u32(bytes.length).append(bytes);
  }

  /** What was written so far; a view that the next write may detach from. */
  view(): Uint8Array {
    return this.#u8.subarray(0, this.#length);
  }
}

/** A function's instructions. Every method appends one and returns the same object. */
export class Code extends Bytes {
  op(opcode: number): this {
    return this.byte(opcode);
  }
  get(local: number): this {
    return this.byte(OP['local.get']).u32(local);
  }
  set(local: number): this {
    return this.byte(OP['local.set']).u32(local);
  }
  tee(local: number): this {
    return this.byte(OP['local.tee']).u32(local);
  }
  i32(value: number): this {
    return this.byte(OP['i32.const']).s32(value);
  }
  /** A 64-bit constant by its words; with one argument the sign-extended 32-bit number. */
  i64(low: number, high: number = low >> 31): this {
    return this.byte(OP['i64.const']).s64(low, high);
  }
  /** A load or store at the address on the stack plus `offset`. Alignment is a hint, and none is given. */
  mem(opcode: number, offset: number): this {
    return this.byte(opcode).byte(0).u32(offset);
  }
  simd(opcode: number): this {
    return this.byte(SIMD_PREFIX).u32(opcode);
  }
  simdLoad(opcode: number, offset: number): this {
    return this.byte(SIMD_PREFIX).u32(opcode).byte(0).u32(offset);
  }
  /** The double 0. */
  f64Zero(): this {
    this.byte(OP['f64.const']);
    for (let i = 0; i < 8; i++) this.byte(0);
    return this;
  }
  block(type: number = VOID): this {
    return this.byte(OP.block).byte(type);
  }
  loop(type: number = VOID): this {
    return this.byte(OP.loop).byte(type);
  }
  if(type: number = VOID): this {
    return this.byte(OP.if).byte(type);
  }
  else(): this {
    return this.byte(OP.else);
  }
  end(): this {
    return this.byte(OP.end);
  }
  br(depth: number): this {
    return this.byte(OP.br).u32(depth);
  }
  brIf(depth: number): this {
    return this.byte(OP.br_if).u32(depth);
  }
  /** Branches to `depths[index]`, beyond them to `other`. */
  brTable(depths: readonly number[], other: number): this {
    this.byte(OP.br_table).u32(depths.length);
    for (const depth of depths) this.u32(depth);
    return this.u32(other);
  }
  call(func: number): this {
    return this.byte(OP.call).u32(func);
  }
  callIndirect(type: number, table: number): this {
    return this.byte(OP.call_indirect).u32(type).u32(table);
  }
  returnCallIndirect(type: number, table: number): this {
    return this.byte(OP.return_call_indirect).u32(type).u32(table);
  }
  globalGet(index: number): this {
    return this.byte(OP['global.get']).u32(index);
  }
  globalSet(index: number): this {
    return this.byte(OP['global.set']).u32(index);
  }
}

const KINDS = { func: 0, table: 1, memory: 2, global: 3 } as const;
export type WasmKind = keyof typeof KINDS;

type Import = { readonly module: string; readonly name: string; readonly describe: (b: Bytes) => void };
type Func = { readonly type: number; name: string; locals: readonly number[]; code: Code | undefined };

/** A module under construction. Imports come before the first declaration: their numbers precede all others. */
export class WasmModule {
  readonly #types: Uint8Array[] = [];
  readonly #typeOf = new Map<string, number>();
  readonly #imports: Import[] = [];
  readonly #importNames: string[] = [];
  #tableImports = 0;
  #globalImports = 0;
  readonly #funcs: Func[] = [];
  readonly #tables: number[] = [];
  readonly #globals: { readonly type: number; readonly value: number }[] = [];
  readonly #exports: { readonly name: string; readonly kind: WasmKind; readonly index: number }[] = [];
  readonly #elements: { readonly table: number; readonly offset: number; readonly funcs: readonly number[] }[] = [];

  /** The number of a function type; equal types have one number. */
  type(params: readonly number[], results: readonly number[]): number {
    const key = `${params}>${results}`;
    let index = this.#typeOf.get(key);
    if (index === undefined) {
      const b = new Bytes().byte(0x60).u32(params.length);
      for (const p of params) b.byte(p);
      b.u32(results.length);
      for (const r of results) b.byte(r);
      index = this.#types.push(b.view()) - 1;
      this.#typeOf.set(key, index);
    }
    return index;
  }

  importMemory(module: string, name: string, min: number, max: number): void {
    this.#imports.push({ module, name, describe: (b) => b.byte(KINDS.memory).byte(1).u32(min).u32(max) });
  }

  importTable(module: string, name: string, min: number): number {
    this.#imports.push({ module, name, describe: (b) => b.byte(KINDS.table).byte(FUNCREF).byte(0).u32(min) });
    return this.#tableImports++;
  }

  importGlobal(module: string, name: string, type: number, mutable: boolean): number {
    this.#imports.push({
      module,
      name,
      describe: (b) =>
        b
          .byte(KINDS.global)
          .byte(type)
          .byte(mutable ? 1 : 0),
    });
    return this.#globalImports++;
  }

  importFunc(module: string, name: string, params: readonly number[], results: readonly number[]): number {
    if (this.#funcs.length > 0) throw new Error(`import of ${module}.${name} after the first function`);
    const type = this.type(params, results);
    this.#imports.push({ module, name, describe: (b) => b.byte(KINDS.func).u32(type) });
    return this.#importNames.push(name) - 1;
  }

  /** A function whose code follows by `define`; its number can be called already. */
  declare(params: readonly number[], results: readonly number[], name = ''): number {
    const type = this.type(params, results);
    this.#funcs.push({ type, name, locals: [], code: undefined });
    return this.#importNames.length + this.#funcs.length - 1;
  }

  /** The code (without the last `end`) and the types of the locals after the parameters. */
  define(func: number, locals: readonly number[], code: Code): void {
    const f = this.#funcs[func - this.#importNames.length];
    f.locals = locals;
    f.code = code;
  }

  /** A table of `size` functions of the module's own. */
  table(size: number): number {
    return this.#tableImports + this.#tables.push(size) - 1;
  }

  /** Functions put into a table when the module is instantiated. */
  elements(table: number, offset: number, funcs: readonly number[]): void {
    this.#elements.push({ table, offset, funcs });
  }

  /** A mutable global of type I32 or I64. */
  global(type: number, value: number): number {
    return this.#globalImports + this.#globals.push({ type, value }) - 1;
  }

  export(name: string, kind: WasmKind, index: number): void {
    this.#exports.push({ name, kind, index });
  }

  /** The module in the binary format. */
  bytes(): Uint8Array {
    const out = new Bytes(4096).append(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
    const section = <T>(id: number, items: readonly T[], write: (b: Bytes, item: T) => void): void => {
      if (items.length === 0) return;
      const b = new Bytes(1024).u32(items.length);
      for (const item of items) write(b, item);
      out.byte(id).u32(b.length).append(b.view());
    };
    section(1, this.#types, (b, t) => b.append(t));
    section(2, this.#imports, (b, i) => i.describe(b.name(i.module).name(i.name)));
    section(3, this.#funcs, (b, f) => b.u32(f.type));
    section(4, this.#tables, (b, size) => b.byte(FUNCREF).byte(0).u32(size));
    section(6, this.#globals, (b, g) => {
      b.byte(g.type).byte(1);
      b.byte(g.type === I64 ? OP['i64.const'] : OP['i32.const']).s32(g.value);
      b.byte(OP.end);
    });
    section(7, this.#exports, (b, e) => b.name(e.name).byte(KINDS[e.kind]).u32(e.index));
    section(9, this.#elements, (b, e) => {
      b.byte(2).u32(e.table).byte(OP['i32.const']).s32(e.offset).byte(OP.end).byte(0).u32(e.funcs.length);
      for (const f of e.funcs) b.u32(f);
    });
    section(10, this.#funcs, (b, f) => {
      if (f.code === undefined) throw new Error(`function ${f.name} was declared and not defined`);
      const locals = runs(f.locals);
      const head = new Bytes().u32(locals.length);
      for (const [count, type] of locals) head.u32(count).byte(type);
      b.u32(head.length + f.code.length + 1)
        .append(head.view())
        .append(f.code.view())
        .byte(OP.end);
    });
    this.#names(out);
    return out.view().slice();
  }

  /** The custom section "name": what debuggers and the text form call the functions. */
  #names(out: Bytes): void {
    const named = [...this.#importNames, ...this.#funcs.map((f) => f.name)]
      .map((name, index) => ({ name, index }))
      .filter(({ name }) => name !== '');
    const map = new Bytes().u32(named.length);
    for (const { name, index } of named) map.u32(index).name(name);
    const b = new Bytes().name('name').byte(1).u32(map.length).append(map.view());
    out.byte(0).u32(b.length).append(b.view());
  }
}

/** Locals as the binary format wants them: (count, type) of each run of equal types. */
function runs(locals: readonly number[]): [number, number][] {
  const out: [number, number][] = [];
  for (const type of locals) {
    const last = out.at(-1);
    if (last !== undefined && last[1] === type) last[0]++;
    else out.push([1, type]);
  }
  return out;
}
