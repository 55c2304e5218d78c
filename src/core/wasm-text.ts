/**
 * A WebAssembly module as text (WebAssembly Core Specification 2.0, section 6 "Text format"): what `core/wasm.ts` emits and
 * no more, one instruction a line, nested blocks indented, functions by the names of the "name" section.
 */
import { OP, SIMD, SIMD_PREFIX } from './wasm.ts';

const MNEMONIC: ReadonlyMap<number, string> = new Map(Object.entries(OP).map(([name, code]) => [code, name]));
const SIMD_MNEMONIC: ReadonlyMap<number, string> = new Map(Object.entries(SIMD).map(([name, code]) => [code, name]));
const TYPES: Readonly<Record<number, string>> = {
  127: 'i32',
  126: 'i64',
  125: 'f32',
  124: 'f64',
  123: 'v128',
  112: 'funcref',
};
const KINDS = ['func', 'table', 'memory', 'global'];

class Reader {
  at = 0;
  readonly #u8: Uint8Array;
  constructor(u8: Uint8Array) {
    this.#u8 = u8;
  }
  get done(): boolean {
    return this.at >= this.#u8.length;
  }
  byte(): number {
    if (this.done) throw new RangeError(`the module ends within something at byte ${this.at}`);
    return this.#u8[this.at++];
  }
  u32(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const b = this.byte();
      value += (b & 0x7f) * 2 ** shift;
      if (b < 0x80) return value;
    }
  }
  s64(): bigint {
    let value = 0n;
    for (let shift = 0n; ; ) {
      const b = this.byte();
      value |= BigInt(b & 0x7f) << shift;
      shift += 7n;
      if (b < 0x80) return BigInt.asIntN(Number(shift), value);
    }
  }
  take(n: number): Uint8Array {
    this.at += n;
    if (this.at > this.#u8.length) throw new RangeError(`the module ends within ${n} bytes before ${this.at}`);
    return this.#u8.subarray(this.at - n, this.at);
  }
  name(): string {
    return new TextDecoder().decode(this.take(this.u32()));
  }
}

type FuncType = { readonly params: string[]; readonly results: string[] };

const signature = (t: FuncType): string =>
  `${t.params.length > 0 ? ` (param ${t.params.join(' ')})` : ''}${t.results.length > 0 ? ` (result ${t.results.join(' ')})` : ''}`;

/** The text form of a module made by `WasmModule`. */
export function wasmText(module: Uint8Array): string {
  const sections = new Map<number, Uint8Array>();
  const r = new Reader(module);
  r.take(8);
  while (!r.done) {
    const id = r.byte();
    sections.set(id, r.take(r.u32()));
  }
  const lines: string[] = ['(module'];
  const types: FuncType[] = [];
  const names = functionNames(sections.get(0));
  const funcTypes: number[] = [];
  const each = (id: number, read: (r: Reader, i: number) => void): void => {
    const body = sections.get(id);
    if (body === undefined) return;
    const s = new Reader(body);
    const count = s.u32();
    for (let i = 0; i < count; i++) read(s, i);
  };
  const list = (s: Reader): string[] => Array.from({ length: s.u32() }, () => TYPES[s.byte()]);
  const called = (func: number): string => (names.has(func) ? `$${names.get(func)}` : String(func));

  each(1, (s) => {
    s.byte();
    types.push({ params: list(s), results: list(s) });
  });
  types.forEach((t, i) => {
    lines.push(`  (type ${i} (func${signature(t)}))`);
  });
  each(2, (s) => {
    const from = `"${s.name()}" "${s.name()}"`;
    const kind = s.byte();
    let what: string;
    if (kind === 0) {
      const type = s.u32();
      what = `func ${called(funcTypes.push(type) - 1)}${signature(types[type])}`;
    } else if (kind === 1) {
      s.take(2);
      what = `table ${s.u32()} funcref`;
    } else if (kind === 2) {
      const limited = s.byte() === 1;
      what = `memory ${s.u32()}${limited ? ` ${s.u32()}` : ''}`;
    } else {
      const type = TYPES[s.byte()];
      what = `global ${s.byte() === 1 ? `(mut ${type})` : type}`;
    }
    lines.push(`  (import ${from} (${what}))`);
  });
  const imported = funcTypes.length;
  each(3, (s) => funcTypes.push(s.u32()));
  each(4, (s) => {
    s.take(2);
    lines.push(`  (table ${s.u32()} funcref)`);
  });
  each(6, (s) => {
    const type = TYPES[s.byte()];
    s.take(2);
    lines.push(`  (global (mut ${type}) (${type}.const ${s.s64()}))`);
    s.byte();
  });
  each(7, (s) => {
    const name = s.name();
    const kind = s.byte();
    const index = s.u32();
    lines.push(`  (export "${name}" (${KINDS[kind]} ${kind === 0 ? called(index) : index}))`);
  });
  each(9, (s) => {
    s.byte();
    const table = s.u32();
    s.byte();
    const offset = s.s64();
    s.take(2);
    const funcs = Array.from({ length: s.u32() }, () => called(s.u32()));
    lines.push(`  (elem (table ${table}) (i32.const ${offset}) func ${funcs.join(' ')})`);
  });
  each(10, (s, i) => {
    const body = new Reader(s.take(s.u32()));
    const type = types[funcTypes[imported + i]];
    lines.push(`  (func ${called(imported + i)}${signature(type)}`);
    const locals: string[] = [];
    for (let n = body.u32(); n > 0; n--) {
      const count = body.u32();
      const local = TYPES[body.byte()];
      for (let k = 0; k < count; k++) locals.push(local);
    }
    if (locals.length > 0) lines.push(`    (local ${locals.join(' ')})`);
    instructions(body, called, lines);
    lines.push('  )');
  });
  lines.push(')');
  return `${lines.join('\n')}\n`;
}

function functionNames(section: Uint8Array | undefined): Map<number, string> {
  const names = new Map<number, string>();
  if (section === undefined) return names;
  const r = new Reader(section);
  r.name();
  r.byte();
  r.u32();
  for (let n = r.u32(); n > 0; n--) names.set(r.u32(), r.name());
  return names;
}

function instructions(r: Reader, called: (func: number) => string, lines: string[]): void {
  let depth = 2;
  while (!r.done) {
    const code = r.byte();
    if (code === SIMD_PREFIX) {
      lines.push(`${'  '.repeat(Math.min(depth, 40))}${simd(r)}`);
      continue;
    }
    const name = MNEMONIC.get(code);
    if (name === undefined) throw new RangeError(`opcode 0x${code.toString(16)} is not one that netloom emits`);
    if (code === OP.end || code === OP.else) depth--;
    if (code === OP.end && r.done) return;
    // Deep nesting would make lines of blanks.
    lines.push(`${'  '.repeat(Math.min(depth, 40))}${name}${immediates(r, code, called)}`);
    if (code === OP.block || code === OP.loop || code === OP.if || code === OP.else) depth++;
  }
}

function simd(r: Reader): string {
  const code = r.u32();
  const name = SIMD_MNEMONIC.get(code);
  if (name === undefined) throw new RangeError(`SIMD opcode 0x${code.toString(16)} is not one that netloom emits`);
  if (code !== SIMD['v128.load']) return name;
  r.u32();
  const offset = r.u32();
  return offset === 0 ? name : `${name} offset=${offset}`;
}

function immediates(r: Reader, code: number, called: (func: number) => string): string {
  switch (code) {
    case OP.block:
    case OP.loop:
    case OP.if: {
      const type = r.byte();
      return type === 0x40 ? '' : ` (result ${TYPES[type]})`;
    }
    case OP.br:
    case OP.br_if:
    case OP['local.get']:
    case OP['local.set']:
    case OP['local.tee']:
    case OP['global.get']:
    case OP['global.set']:
    case OP['memory.size']:
      return ` ${r.u32()}`;
    case OP.br_table:
      return ` ${Array.from({ length: r.u32() + 1 }, () => r.u32()).join(' ')}`;
    case OP.call:
    case OP.return_call:
      return ` ${called(r.u32())}`;
    case OP.call_indirect:
    case OP.return_call_indirect: {
      const type = r.u32();
      return ` ${r.u32()} (type ${type})`;
    }
    case OP['f64.const']:
      return ` ${new Float64Array(r.take(8).slice().buffer)[0]}`;
    case OP['i32.const']:
    case OP['i64.const']:
      return ` ${r.s64()}`;
    default: {
      if (code < OP['i32.load'] || code > OP['i64.store32']) return '';
      r.u32();
      const offset = r.u32();
      return offset === 0 ? '' : ` offset=${offset}`;
    }
  }
}
