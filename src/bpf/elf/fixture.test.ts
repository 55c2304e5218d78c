import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BtfBuilder } from '../btf/build.ts';
import * as F from '../btf/format.ts';
import * as I from '../insn.ts';
import * as E from './elf.ts';
import { buildElf, CODE, code, DATA, type FixtureSection, type FixtureSymbol, words } from './fixture.ts';
import { LoadError, loadObject } from './index.ts';

const insn = (op: number, dst = 0, src = 0, off = 0, imm = 0): I.Insn => ({ code: op, dst, src, off, imm });
const mov = (dst: number, imm: number): I.Insn => insn(I.BPF_ALU64 | I.BPF_MOV, dst, 0, 0, imm);
const call = (imm = -1): I.Insn => insn(I.BPF_JMP | I.BPF_CALL, 0, I.BPF_PSEUDO_CALL, 0, imm);
const exit: I.Insn = insn(I.BPF_JMP | I.BPF_EXIT);
const wide = (dst: number, low = 0): I.Insn[] => [insn(I.BPF_LD | I.BPF_DW, dst, 0, 0, low), insn(0)];

const func = (
  name: string,
  section: string,
  value: number,
  size: number,
  more: Partial<FixtureSymbol> = {},
): FixtureSymbol => ({
  name,
  section,
  value: value * 8,
  size: size * 8,
  type: E.STT_FUNC,
  ...more,
});

/** main calls b, then a; b calls a: libbpf's order behind main is b, a. */
function calls(littleEndian = true): Uint8Array {
  const text = [mov(0, 1), exit, mov(1, 5), call(), exit];
  const main = [mov(1, 0), call(), call(), exit];
  return buildElf(
    [
      { name: '.text', ...CODE, bytes: code(text, littleEndian), relocations: [{ offset: 24, type: 10, symbol: 'a' }] },
      {
        name: 'xdp',
        ...CODE,
        bytes: code(main, littleEndian),
        relocations: [
          { offset: 8, type: 10, symbol: 'b' },
          { offset: 16, type: 10, symbol: 'a' },
        ],
      },
      { name: 'license', ...DATA, bytes: new TextEncoder().encode('GPL\0') },
      { name: 'version', ...DATA, bytes: words([0x61200], littleEndian) },
    ],
    [func('a', '.text', 0, 2), func('b', '.text', 2, 3), func('main', 'xdp', 0, 4)],
    littleEndian,
  );
}

describe('linking', () => {
  for (const littleEndian of [true, false]) {
    test(`appends each called function once, in the order of the first call (${littleEndian ? 'LE' : 'BE'})`, () => {
      const object = loadObject(calls(littleEndian), { name: 'x/my-prog.bpf.o' });
      expect([object.name, object.license, object.version]).toEqual(['my-prog', 'GPL', 0x61200]);
      expect(object.programs.map((p) => [p.name, p.section, p.type, p.expectedAttachType])).toEqual([
        ['main', 'xdp', 6, 37],
      ]);
      // main 0..3, b 4..6, a 7..8
      expect(object.programs[0].insns).toEqual([
        mov(1, 0),
        call(2),
        call(4),
        exit,
        mov(1, 5),
        call(1),
        exit,
        mov(0, 1),
        exit,
      ]);
    });
  }

  test('takes static programs, and functions that programs share outside of .text', () => {
    const object = loadObject(
      buildElf(
        [
          { name: 'tc', ...CODE, bytes: code([call(1), exit, mov(0, 2), exit]) },
          { name: '?xdp', ...CODE, bytes: code([mov(0, 2), exit]) },
        ],
        [
          func('entry', 'tc', 0, 2, { bind: E.STB_LOCAL }),
          func('shared', 'tc', 2, 2, { bind: E.STB_LOCAL }),
          func('spare', '?xdp', 0, 2),
        ],
      ),
    );
    expect(object.programs.map((p) => [p.name, p.autoload, p.insns.length])).toEqual([
      ['entry', true, 4],
      ['shared', true, 2],
      ['spare', false, 2],
    ]);
  });

  test('refuses a call that leads nowhere, with the place of the call', () => {
    const bytes = buildElf(
      [{ name: 'xdp', ...CODE, bytes: code([mov(0, 0), call(7), exit]) }],
      [func('main', 'xdp', 0, 3)],
    );
    expect(() => loadObject(bytes)).toThrow("xdp+0x8: call leads to instruction 9 of 'xdp', where no function starts");
    expect(loadObject(bytes, { lenient: true }).programs[0].problem?.offset).toBe(8);
  });

  test('ends functions that call each other without end', () => {
    const bytes = buildElf(
      [
        { name: '.text', ...CODE, bytes: code([call(-1), exit]), relocations: [{ offset: 0, type: 10, symbol: 'f' }] },
        { name: 'xdp', ...CODE, bytes: code([call(), exit]), relocations: [{ offset: 0, type: 10, symbol: 'f' }] },
      ],
      [func('f', '.text', 0, 2), func('main', 'xdp', 0, 2)],
    );
    expect(loadObject(bytes).programs[0].insns).toEqual([call(1), exit, call(-1), exit]);
  });
});

describe('maps of old objects', () => {
  const object = (map: readonly number[], names: readonly string[], sections: readonly FixtureSection[] = []) => {
    const size = (map.length / names.length) * 4;
    return loadObject(
      buildElf(
        [
          { name: 'maps', ...DATA, bytes: words(map) },
          {
            name: 'xdp',
            ...CODE,
            bytes: code([...wide(1), exit]),
            relocations: [{ offset: 0, type: 1, symbol: names[names.length - 1] }],
          },
          ...sections,
        ],
        [
          ...names.map((name, i) => ({ name, section: 'maps', value: i * size, size, type: E.STT_OBJECT })),
          func('main', 'xdp', 0, 3),
          ...sections.map((s) => func(`tail_${s.name}`, s.name, 0, 1)),
        ],
      ),
    );
  };

  test('struct bpf_map_def', () => {
    const { maps, programs } = object([1, 4, 8, 100, 1, 2, 4, 16, 10, 0], ['h', 'a']);
    expect(maps.map((m) => [m.name, m.type, m.keySize, m.valueSize, m.maxEntries, m.flags])).toEqual([
      ['h', 1, 4, 8, 100, 1],
      ['a', 2, 4, 16, 10, 0],
    ]);
    expect(programs[0].insns[0]).toEqual({ ...wide(1)[0], src: I.BPF_PSEUDO_MAP_FD, imm: 1 });
  });

  test("iproute2's struct bpf_elf_map, with inner maps and tail call sections", () => {
    const inner = [2, 4, 4, 1, 0, 42, 2, 0, 0];
    const outer = [12, 4, 4, 8, 0, 0, 0, 42, 0];
    const jumps = [3, 4, 4, 2, 0, 7, 0, 0, 0];
    const { maps } = object(
      [...inner, ...outer, ...jumps],
      ['in', 'out', 'jmp'],
      [{ name: '7/1', ...CODE, bytes: code([exit]) }],
    );
    expect(maps[0].pinned).toBe(true);
    expect(maps[1].inner).toMatchObject({ name: 'in', type: 2, valueSize: 4 });
    expect(maps[1].slots).toEqual([{ index: 0, map: 0 }]);
    expect(maps[2].slots).toEqual([{ index: 1, program: 'tail_7/1' }]);
  });

  test('of unknown shape are refused', () => {
    expect(() => object([1, 4, 8, 100], ['m'])).toThrow(/^maps\+0x0: 16 bytes for 1 maps are no known map definitions/);
  });
});

/** An object with BTF: a map in `.maps`, data, a hidden function, an extern kernel function. */
function withBtf(littleEndian = true): Uint8Array {
  const b = new BtfBuilder();
  const int = b.int('int', 4, F.BTF_INT_SIGNED);
  const array = (n: number): number => b.ptr(b.array(int, n, int));
  const lock = b.struct('bpf_spin_lock', 4, [{ name: 'val', type: int, bitOffset: 0 }]);
  const value = b.struct('value', 8, [
    { name: 'n', type: int, bitOffset: 0 },
    { name: 'lock', type: lock, bitOffset: 32 },
  ]);
  const members = [
    ['type', array(1)],
    ['max_entries', array(64)],
    ['key', b.ptr(int)],
    ['value', b.ptr(value)],
  ] as const;
  const definition = b.struct(
    '',
    32,
    members.map(([name, type], i) => ({ name, type, bitOffset: i * 64 })),
  );
  b.datasec('.maps', 0, [{ type: b.var('table', definition), offset: 0, size: 32 }]);
  b.datasec('.rodata', 0, [{ type: b.var('limit', b.const(int)), offset: 0, size: 4 }]);
  const proto = b.funcProto(int, []);
  b.func('main', proto);
  b.func('inner', proto);
  const kfunc = b.func('bpf_thing', proto, F.BTF_FUNC_EXTERN);
  b.datasec('.ksyms', 0, [{ type: kfunc, offset: 0, size: 0 }]);
  const main = [...wide(1), ...wide(2), call(), call(), exit];
  return buildElf(
    [
      { name: '.text', ...CODE, bytes: code([mov(0, 1), exit], littleEndian) },
      {
        name: 'tc',
        ...CODE,
        bytes: code(main, littleEndian),
        relocations: [
          { offset: 0, type: 1, symbol: 'table' },
          { offset: 16, type: 1, symbol: 'limit' },
          { offset: 32, type: 10, symbol: 'inner' },
          { offset: 40, type: 10, symbol: 'bpf_thing' },
        ],
      },
      { name: '.maps', ...DATA, bytes: new Uint8Array(32) },
      { name: '.rodata', type: E.SHT_PROGBITS, flags: E.SHF_ALLOC, bytes: words([0, 77], littleEndian) },
      { name: '.BTF', bytes: b.bytes(littleEndian) },
    ],
    [
      { name: 'table', section: '.maps', size: 32, type: E.STT_OBJECT },
      { name: 'limit', section: '.rodata', value: 4, size: 4, type: E.STT_OBJECT },
      func('inner', '.text', 0, 2, { visibility: E.STV_HIDDEN }),
      func('main', 'tc', 0, 7),
      { name: 'bpf_thing', section: '' },
    ],
    littleEndian,
  );
}

describe('objects with BTF', () => {
  test('declare maps by types; data sections become maps', () => {
    const object = loadObject(withBtf(), { name: 'sample.o' });
    expect(object.maps).toMatchObject([
      { name: 'table', type: 1, keySize: 4, valueSize: 8, maxEntries: 64, record: { spinLock: 4 }, section: '.maps' },
      { name: 'sample.rodata', type: 2, valueSize: 8, flags: 0x480, frozen: true },
    ]);
    expect(object.maps[1].peek?.(4, 4)).toBe(77n);
    expect(object.maps[1].peek?.(6, 4)).toBeUndefined();
    const [main] = object.programs;
    expect(main.insns.slice(0, 6)).toEqual([
      { ...wide(1)[0], src: I.BPF_PSEUDO_MAP_FD, imm: 0 },
      insn(0),
      { ...wide(2)[0], src: I.BPF_PSEUDO_MAP_VALUE, imm: 1 },
      insn(0, 0, 0, 0, 4),
      call(2),
      insn(I.BPF_JMP | I.BPF_CALL, 0, I.BPF_PSEUDO_KFUNC_CALL, 0, 1),
    ]);
    expect(main.kfuncs?.get(1)).toBe('bpf_thing');
    expect(object.btf?.func(object.btf.find('inner'))?.linkage).toBe('static');
    expect(object.btf?.vars(object.btf.find('.rodata'))).toMatchObject([{ offset: 4, size: 4 }]);
  });

  test('of the other byte order give the same programs', () => {
    const [le, be] = [loadObject(withBtf(true)), loadObject(withBtf(false))];
    expect(be.programs[0].insns).toEqual(le.programs[0].insns);
    expect(be.maps.map((m) => m.name)).toEqual(le.maps.map((m) => m.name));
    expect(be.warnings).toHaveLength(1);
  });
});

describe('hostile objects', () => {
  const judge = (bytes: Uint8Array): void => {
    try {
      loadObject(bytes);
    } catch (error) {
      if (!(error instanceof LoadError)) throw error;
      expect(error.message).toMatch(/\+0x[0-9a-f]+: ./);
    }
  };

  test('cut at any byte are read or refused with a place', () => {
    for (const bytes of [calls(), withBtf(), withBtf(false)])
      for (let length = 0; length < bytes.length; length++) judge(bytes.subarray(0, length));
  });

  test('with any bytes changed are read or refused with a place', () => {
    const bytes = withBtf();
    const value = fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 0x7f, 0x80, 0xff));
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(bytes.length - 1), value), { minLength: 1, maxLength: 6 }), (flips) => {
        const copy = bytes.slice();
        for (const [at, v] of flips) copy[at] = v;
        judge(copy);
      }),
      { numRuns: 400 },
    );
  });

  test('with a .bss of absurd size are refused', () => {
    const bytes = buildElf(
      [
        { name: 'xdp', ...CODE, bytes: code([exit]) },
        { name: '.bss', type: E.SHT_NOBITS, flags: E.SHF_ALLOC | E.SHF_WRITE, size: 2 ** 40 },
      ],
      [func('main', 'xdp', 0, 1)],
    );
    expect(() => loadObject(bytes)).toThrow(/^\.bss\+0x0: 1099511627776 bytes of data/);
  });

  test('whose programs would grow without bound are refused', () => {
    const body = Array.from({ length: 40_000 }, () => exit);
    const entries = Array.from({ length: 110 }, (_, i) => `p${i}`);
    const bytes = buildElf(
      [
        { name: '.text', ...CODE, bytes: code(body) },
        {
          name: 'xdp',
          ...CODE,
          bytes: code(entries.flatMap(() => [call(), exit])),
          relocations: entries.map((_, i) => ({ offset: i * 16, type: 10, symbol: 'f' })),
        },
      ],
      [func('f', '.text', 0, body.length), ...entries.map((name, i) => func(name, 'xdp', i * 2, 2))],
    );
    expect(() => loadObject(bytes)).toThrow(/too many instructions/);
  });
});
