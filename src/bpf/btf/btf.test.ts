import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LoadError } from '../load-error.ts';
import { Btf, essentialName } from './btf.ts';
import { BtfBuilder } from './build.ts';
import * as F from './format.ts';

function sample(): BtfBuilder {
  const b = new BtfBuilder();
  const int = b.int('int', 4, F.BTF_INT_SIGNED);
  const u8 = b.int('unsigned char', 1);
  const u32 = b.typedef('u32', b.int('unsigned int', 4));
  const s = b.next;
  b.struct('node', 32, [
    { name: 'next', type: s + 1, bitOffset: 0 },
    { name: 'mac', type: s + 2, bitOffset: 64 },
    { name: 'a', type: u32, bitOffset: 128, bitfieldSize: 3 },
    { name: 'b', type: u32, bitOffset: 131, bitfieldSize: 7 },
    { name: 'n', type: b.next + 3, bitOffset: 192 },
  ]);
  b.ptr(s);
  b.array(u8, 6, int);
  b.const(u32);
  b.enum(
    'state',
    [
      { name: 'A', value: 1 },
      { name: 'B', value: -2 },
    ],
    true,
  );
  b.enum64('big', [{ name: 'X', value: 0x1122334455667788n }]);
  b.enum64('neg', [{ name: 'Y', value: -1n }], true);
  b.fwd('gone', true);
  const proto = b.funcProto(int, [
    { name: 'ctx', type: s + 1 },
    { name: 'n', type: u32 },
  ]);
  const fn = b.func('run', proto, F.BTF_FUNC_GLOBAL);
  b.declTag('arg:nonnull', fn, 0);
  const v = b.var('counter', u32);
  b.datasec('.bss', 4, [{ type: v, offset: 0, size: 4 }]);
  b.float('double', 8);
  b.typeTag('user', int);
  return b;
}

describe('BTF', () => {
  for (const littleEndian of [true, false]) {
    test(`is read as it was written, ${littleEndian ? 'little' : 'big'} endian`, () => {
      const btf = Btf.parse(sample().bytes(littleEndian));
      expect(btf.littleEndian).toBe(littleEndian);
      const node = btf.find('node', F.BTF_KIND_STRUCT);
      expect(btf.sizeOf(node)).toBe(32);
      expect(btf.members(node).map((m) => [m.name, m.bitOffset, m.bitfieldSize])).toEqual([
        ['next', 0, 0],
        ['mac', 64, 0],
        ['a', 128, 3],
        ['b', 131, 7],
        ['n', 192, 0],
      ]);
      expect(btf.sizeOf(btf.member(node, 1).type)).toBe(6);
      expect(btf.name(btf.resolve(btf.member(node, 4).type))).toBe('unsigned int');
      expect(btf.enumerators(btf.find('state'))).toEqual([
        { name: 'A', value: 1n },
        { name: 'B', value: -2n },
      ]);
      expect(btf.enumerator(btf.find('big'), 0).value).toBe(0x1122334455667788n);
      expect(btf.enumerator(btf.find('neg'), 0).value).toBe(-1n);
      expect(btf.kindFlag(btf.find('gone'))).toBe(true);
      expect(btf.func(btf.find('run'))).toEqual({
        name: 'run',
        linkage: 'global',
        returns: 'int',
        params: [
          { name: 'ctx', kind: 'mem', size: 32, pointee: 'node', tags: ['nonnull'] },
          { name: 'n', kind: 'int', size: 4, pointee: '', tags: [] },
        ],
      });
      expect(btf.vars(btf.find('.bss'))).toEqual([{ type: btf.find('counter'), offset: 0, size: 4 }]);
      expect(btf.sizeOf(btf.find('double'))).toBe(8);
    });
  }

  test('of a module continues numbers and strings of its base', () => {
    const base = sample().build();
    const b = new BtfBuilder(base);
    const own = b.struct('mod_node', 8, [{ name: 'next', type: b.next + 1, bitOffset: 0 }]);
    b.ptr(base.find('node'));
    const split = b.build();
    expect(own).toBe(base.end);
    expect(split.name(own)).toBe('mod_node');
    expect(split.member(own, 0).name).toBe('next');
    expect(split.name(split.target(split.member(own, 0).type))).toBe('node');
    expect(split.named('node')).toEqual(base.named('node'));
    expect(split.func(base.find('run'))?.name).toBe('run');
  });

  test('names lose their flavour behind three underscores', () => {
    const names = ['sk_buff___old', 'a___b___c', '___x', 'a____b', 'plain', 'x___', 'x___y'];
    expect(names.map(essentialName)).toEqual(['sk_buff', 'a___b', '___x', 'a____b', 'plain', 'x___', 'x']);
  });
});

describe('hostile BTF', () => {
  const refused = (bytes: Uint8Array, message: RegExp): void => {
    expect(() => Btf.parse(bytes)).toThrow(LoadError);
    expect(() => Btf.parse(bytes)).toThrow(message);
  };

  test('with a type that contains itself is refused', () => {
    const b = new BtfBuilder();
    b.struct('a', 4, [{ name: 'x', type: 2, bitOffset: 0 }]);
    b.typedef('t', 1);
    refused(b.bytes(), /STRUCT 1 contains itself/);
    const c = new BtfBuilder();
    c.const(2);
    c.volatile(1);
    refused(c.bytes(), /CONST 1 contains itself/);
    const p = new BtfBuilder();
    p.ptr(2);
    p.ptr(1);
    refused(p.bytes(), /leads back to itself/);
  });

  test('with a data section inside of itself is refused', () => {
    const b = new BtfBuilder();
    b.var('v', 2);
    b.datasec('.data', 4, [{ type: 1, offset: 0, size: 4 }]);
    refused(b.bytes(), /contains itself/);
  });

  test('nested absurdly deep is refused', () => {
    const b = new BtfBuilder();
    b.int('int', 4);
    for (let i = 1; i < 250; i++) b.array(i, 1, 1);
    refused(b.bytes(), /more than 200 deep/);
  });

  test('with names or types that are not there is refused, and says where', () => {
    const name = sample().bytes();
    new DataView(name.buffer).setUint32(24, 0xffff, true);
    refused(name, /^\.BTF\+0x18: INT 1 has its name at 65535, outside/);
    const b = new BtfBuilder();
    b.ptr(7);
    refused(b.bytes(), /^\.BTF\+0x20: PTR 1 refers to type 7; there are 1$/);
  });

  test('cut anywhere or changed in any byte is read or refused', () => {
    const bytes = sample().bytes();
    for (let length = 0; length < bytes.length; length++) refused(bytes.subarray(0, length), /^\.BTF\+0x/);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
        (flips) => {
          const copy = bytes.slice();
          for (const [at, value] of flips) copy[at] = value;
          try {
            const btf = Btf.parse(copy);
            for (let id = 0; id < btf.end; id++) {
              btf.name(id);
              btf.sizeOf(id);
              btf.func(id);
            }
          } catch (error) {
            if (!(error instanceof LoadError)) throw error;
          }
        },
      ),
      { numRuns: 500 },
    );
  });
});
