import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Bytes, Code, I32, I64, OP, WasmModule } from './wasm.ts';
import { wasmText } from './wasm-text.ts';

function exportsOf(m: WasmModule, imports: WebAssembly.Imports = {}): Record<string, (...a: unknown[]) => unknown> {
  return new WebAssembly.Instance(new WebAssembly.Module(m.bytes() as BufferSource), imports).exports as never;
}

test('constants of every size come back from the engine', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), fc.integer(), (wide, narrow) => {
      const m = new WasmModule();
      const a = m.declare([], [I64]);
      m.define(a, [], new Code().i64(Number(BigInt.asIntN(32, wide)), Number(BigInt.asIntN(32, wide >> 32n))));
      const b = m.declare([], [I32]);
      m.define(b, [], new Code().i32(narrow));
      m.export('a', 'func', a);
      m.export('b', 'func', b);
      const e = exportsOf(m);
      expect(e.a()).toBe(wide);
      expect(e.b()).toBe(narrow);
    }),
    { numRuns: 200 },
  );
});

test('unsigned LEB128 is the shortest form', () => {
  const hex = (n: number): string => Buffer.from(new Bytes().u32(n).view()).toString('hex');
  expect([0, 127, 128, 624485, 0xffffffff].map(hex)).toEqual(['00', '7f', '8001', 'e58e26', 'ffffffff0f']);
});

test('imports, tables, globals and locals are where the module says', () => {
  const m = new WasmModule();
  m.importMemory('env', 'memory', 1, 1);
  const twice = m.importFunc('env', 'twice', [I32], [I32]);
  const counter = m.global(I32, -5);
  const own = m.table(2);
  const inc = m.declare([I32], [I32], 'inc');
  m.define(inc, [], new Code().get(0).i32(1).op(OP['i32.add']));
  const main = m.declare([I32, I32], [I32], 'main');
  // memory[8] = twice(table[arg1](arg0)); return memory[8] + counter
  m.define(
    main,
    [I64, I64, I32],
    new Code()
      .i32(0)
      .get(0)
      .get(1)
      .callIndirect(m.type([I32], [I32]), own)
      .call(twice)
      .mem(OP['i32.store'], 8)
      .i32(8)
      .mem(OP['i32.load'], 0)
      .tee(4)
      .globalGet(counter)
      .op(OP['i32.add']),
  );
  m.elements(own, 0, [inc, twice]);
  m.export('main', 'func', main);
  const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
  const e = exportsOf(m, { env: { memory, twice: (n: number) => 2 * n } });
  expect(e.main(20, 0)).toBe(37);
  expect(e.main(20, 1)).toBe(75);
  expect(wasmText(m.bytes())).toBe(`(module
  (type 0 (func (param i32) (result i32)))
  (type 1 (func (param i32 i32) (result i32)))
  (import "env" "memory" (memory 1 1))
  (import "env" "twice" (func $twice (param i32) (result i32)))
  (table 2 funcref)
  (global (mut i32) (i32.const -5))
  (export "main" (func $main))
  (elem (table 0) (i32.const 0) func $inc $twice)
  (func $inc (param i32) (result i32)
    local.get 0
    i32.const 1
    i32.add
  )
  (func $main (param i32 i32) (result i32)
    (local i64 i64 i32)
    i32.const 0
    local.get 0
    local.get 1
    call_indirect 0 (type 0)
    call $twice
    i32.store offset=8
    i32.const 8
    i32.load
    local.tee 4
    global.get 0
    i32.add
  )
)
`);
});

test('a module cut short is an error with its position', () => {
  const m = new WasmModule();
  m.define(m.declare([], []), [], new Code());
  expect(() => wasmText(m.bytes().slice(0, 20))).toThrow(/ends within/);
});
