import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Slab } from '../../core/slab.ts';
import { BPF_PROG_TYPE_XDP } from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { createMap } from '../maps/create-map.ts';
import type { BpfMap } from '../maps/map.ts';
import type { ProgramSpec } from '../program.ts';
import { HELPERS } from '../runtime/helpers/index.ts';
import { KFUNCS } from '../runtime/kfuncs.ts';
import { Machine } from '../runtime/machine.ts';
import { BadAccess } from '../runtime/regions.ts';
import { testRun } from '../runtime/test-run.ts';
import { alu, swapBytes } from './alu.ts';
import { BudgetExceeded } from './interp.ts';
import { InterpProgram, subprogStarts } from './program.ts';

const insn = (code: number, dst: number, src: number, off: number, imm: number): Insn => ({ code, dst, src, off, imm });
const EXIT = insn(0x95, 0, 0, 0, 0);
const mov = (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm);

function machine(): Machine {
  const env = { now: () => 0, random: () => 4 };
  return new Machine({ slab: new Slab({ slots: 8, largeSlots: 2, heapBytes: 8 << 20 }), env });
}

function spec(insns: readonly Insn[]): ProgramSpec {
  const none = { name: 'test', section: '', expectedAttachType: 0, flags: 0, license: 'GPL', maps: [] };
  return { ...none, type: BPF_PROG_TYPE_XDP, insns };
}

function load(m: Machine, insns: readonly Insn[], maps: readonly BpfMap[] = [], budget?: number): InterpProgram {
  const options = { helpers: HELPERS, kfuncs: KFUNCS, ...(budget !== undefined && { budget }) };
  const program = new InterpProgram(m.programs.length, spec(insns), maps, options);
  m.programs.push(program);
  return program;
}

function run(insns: readonly Insn[], packet: Uint8Array = new Uint8Array(64), budget?: number): number {
  const m = machine();
  const result = testRun(m, load(m, insns, [], budget), packet);
  if ('errno' in result) throw new Error(`errno ${result.errno}`);
  return result.ret;
}

describe('arithmetic', () => {
  test('division by zero gives zero, and the remainder is the dividend', () => {
    expect(alu(0x30, 7n, 0n, 64, 0)).toBe(0n);
    expect(alu(0x90, 7n, 0n, 64, 0)).toBe(7n);
    expect(alu(0x90, 0x1_0000_0007n, 0n, 32, 0)).toBe(7n);
  });

  test('the smallest number divided by -1 overflows to itself', () => {
    expect(alu(0x30, 1n << 63n, -1n, 64, 1)).toBe(1n << 63n);
    expect(alu(0x90, 1n << 63n, -1n, 64, 1)).toBe(0n);
  });

  test('32-bit results have no high word', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), fc.bigInt(0n, (1n << 64n) - 1n), (a, b) => {
        for (const op of [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x90, 0xa0, 0xc0])
          expect(alu(op, a, b, 32, 0) >> 32n).toBe(0n);
      }),
    );
  });

  test('bytes swapped twice are the same bytes', () => {
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (a) => {
        expect(swapBytes(swapBytes(a, 64), 64)).toBe(a);
      }),
    );
  });
});

describe('memory', () => {
  const dataAndEnd = [insn(0x61, 2, 1, 0, 0), insn(0x61, 3, 1, 4, 0)];

  test('the last byte of the packet can be read, the one behind it cannot', () => {
    const last = [...dataAndEnd, insn(0x71, 0, 3, -1, 0), EXIT];
    expect(
      run(
        last,
        Uint8Array.from({ length: 64 }, (_, i) => i),
      ),
    ).toBe(63);
    expect(() => run([...dataAndEnd, insn(0x71, 0, 3, 0, 0), EXIT])).toThrow(BadAccess);
  });

  test('a read in front of the packet is a bad access', () => {
    expect(() => run([...dataAndEnd, insn(0x71, 0, 2, -1, 0), EXIT])).toThrow(BadAccess);
  });

  test('the stack is 512 bytes below r10', () => {
    expect(run([insn(0x7a, 10, 0, -512, 5), insn(0x79, 0, 10, -512, 0), EXIT])).toBe(5);
    expect(() => run([insn(0x7a, 10, 0, -520, 5), mov(0, 0), EXIT])).toThrow(BadAccess);
    expect(() => run([insn(0x7a, 10, 0, 0, 5), mov(0, 0), EXIT])).toThrow(BadAccess);
  });

  test('a null pointer is a bad access', () => {
    expect(() => run([mov(2, 0), insn(0x79, 0, 2, 0, 0), EXIT])).toThrow(BadAccess);
  });

  test('a map value ends where the value ends', () => {
    const m = machine();
    const map = createMap({ name: 'm', type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 }, m, 0);
    m.maps.push(map);
    const at = (off: number) => [
      insn(0x62, 10, 0, -4, 0),
      insn(0xbf, 2, 10, 0, 0),
      insn(0x07, 2, 0, 0, -4),
      insn(0x18, 1, 1, 0, 0),
      insn(0, 0, 0, 0, 0),
      insn(0x85, 0, 0, 0, 1),
      insn(0x72, 0, 0, off, 9),
      mov(0, 0),
      EXIT,
    ];
    expect(testRun(m, load(m, at(7), [map]), new Uint8Array(64))).toMatchObject({ ret: 0 });
    expect([...(map.userLookup(new Uint8Array(4), 0) as Uint8Array)]).toEqual([0, 0, 0, 0, 0, 0, 0, 9]);
    expect(() => testRun(m, load(m, at(8), [map]), new Uint8Array(64))).toThrow(BadAccess);
  });
});

describe('control', () => {
  test('a program that does not end runs out of its budget', () => {
    expect(() => run([insn(0x05, 0, 0, -1, 0), EXIT], new Uint8Array(64), 1000)).toThrow(BudgetExceeded);
  });

  test('may_goto ends a loop', () => {
    // r0 counts; the loop is left after 8,388,608 turns, here cut short by the budget.
    const loop = [mov(0, 0), insn(0xe5, 0, 0, 2, 0), insn(0x07, 0, 0, 0, 1), insn(0x05, 0, 0, -3, 0), EXIT];
    expect(() => run(loop, new Uint8Array(64), 10_000)).toThrow(BudgetExceeded);
  });

  test('functions are numbered in the order of their first instructions', () => {
    expect(subprogStarts([insn(0x85, 0, 1, 0, 3), insn(0x85, 0, 1, 0, 1), EXIT, EXIT, EXIT])).toEqual([0, 3, 4]);
  });

  test('a call keeps r6 to r9 of the caller', () => {
    const insns = [mov(6, 7), insn(0x85, 0, 1, 0, 2), insn(0x0f, 0, 6, 0, 0), EXIT, mov(6, 100), mov(0, 1), EXIT];
    expect(run(insns)).toBe(8);
  });

  test('a program tail-calls at most 33 times', () => {
    const m = machine();
    const programs = { name: 'p', type: 3, keySize: 4, valueSize: 4, maxEntries: 1, flags: 0 };
    const counts = { name: 'c', type: 2, keySize: 4, valueSize: 8, maxEntries: 1, flags: 0 };
    m.maps.push(createMap(programs, m, 0), createMap(counts, m, 1));
    const maps = m.maps as BpfMap[];
    const self = load(
      m,
      [
        insn(0x18, 2, 2, 0, 1),
        insn(0, 0, 0, 0, 0),
        mov(3, 1),
        insn(0xdb, 2, 3, 0, 0),
        insn(0x18, 2, 1, 0, 0),
        insn(0, 0, 0, 0, 0),
        mov(3, 0),
        insn(0x85, 0, 0, 0, 12),
        mov(0, 5),
        EXIT,
      ],
      maps,
    );
    expect(maps[0].userUpdate(new Uint8Array(4), new Uint8Array(4).fill(self.id), 0)).toBe(0);
    expect(testRun(m, self, new Uint8Array(64))).toMatchObject({ ret: 5 });
    expect((maps[1].userLookup(new Uint8Array(4), 0) as Uint8Array)[0]).toBe(34);
  });
});
