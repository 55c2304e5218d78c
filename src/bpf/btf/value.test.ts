import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BtfBuilder } from './build.ts';
import * as F from './format.ts';
import { type BtfValue, readValue, valueToJson, writeValue } from './value.ts';

function types() {
  const b = new BtfBuilder();
  const int = b.int('int', 4, F.BTF_INT_SIGNED);
  const u64 = b.int('unsigned long', 8);
  const bool = b.int('_Bool', 1, F.BTF_INT_BOOL);
  const char = b.int('char', 1, F.BTF_INT_CHAR);
  const state = b.enum('state', [
    { name: 'DOWN', value: 0 },
    { name: 'UP', value: 1 },
  ]);
  const inner = b.union('', 8, [
    { name: 'wide', type: u64, bitOffset: 0 },
    { name: 'low', type: int, bitOffset: 0 },
  ]);
  const struct = b.struct('entry', 40, [
    { name: 'n', type: int, bitOffset: 0, bitfieldSize: 5 },
    { name: 'm', type: int, bitOffset: 5, bitfieldSize: 12 },
    { name: 'on', type: bool, bitOffset: 32 },
    { name: 'state', type: state, bitOffset: 64 },
    { name: '', type: inner, bitOffset: 128 },
    { name: 'name', type: b.array(char, 4, int), bitOffset: 192 },
    { name: 'list', type: b.array(int, 2, int), bitOffset: 224 },
  ]);
  return { btf: b.build(), int, u64, struct };
}

test('a value written is the value read', () => {
  const { btf, struct } = types();
  const range = (bits: number) => fc.integer({ min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 });
  const value = fc.record({
    n: range(5),
    m: range(12),
    on: fc.boolean(),
    state: fc.nat(5),
    wide: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    name: fc.stringMatching(/^[a-z]{0,4}$/),
    list: fc.array(range(32), { minLength: 2, maxLength: 2 }),
  });
  fc.assert(
    fc.property(value, (v) => {
      const bytes = new Uint8Array(40).fill(0xa5);
      writeValue(btf, struct, bytes, 0, v);
      expect(readValue(btf, struct, bytes)).toMatchObject(v);
    }),
    { numRuns: 200 },
  );
});

test('what does not fit its type is refused with the name of the member', () => {
  const { btf, struct } = types();
  const bytes = new Uint8Array(40);
  const refused = (value: BtfValue, message: RegExp): void =>
    expect(() => writeValue(btf, struct, bytes, 0, value)).toThrow(message);
  refused({ n: 40 }, /^n: 40 does not fit in 5 bits/);
  refused({ list: [1, 2, 3] }, /^list: 3 elements for an array of 2/);
  refused({ list: [1, 'x'] }, /^list\[1\]: "x" is no number/);
  refused({ nope: 1 }, /there is no member 'nope'/);
  refused(3, /an object with its members is wanted/);
  writeValue(btf, struct, bytes, 0, { state: 'UP' });
  expect(bytes[8]).toBe(1);
});

test('values print as JSON, enumerators by name', () => {
  const { btf, struct, u64 } = types();
  const bytes = new Uint8Array(40);
  writeValue(btf, struct, bytes, 0, { n: -3, m: 7, on: true, state: 1, wide: 5n, name: 'eth', list: [1, -2] });
  expect(valueToJson(btf, struct, bytes)).toBe(
    '{"n":-3,"m":7,"on":true,"state":"UP","(anon)":{"wide":5,"low":5},"name":"eth","list":[1,-2]}',
  );
  expect(valueToJson(btf, u64, new Uint8Array(8).fill(255), 2)).toBe('18446744073709551615');
});
