import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH } from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { Bench } from './test-double.ts';

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });
const SIZES = [0x10, 0x08, 0x00, 0x18]; // B, H, W, DW

/** Stores to and loads from 24 bytes of stack, forward branches, pointers to the stack, arithmetic. */
const step = fc.oneof(
  fc
    .record({
      size: fc.nat({ max: 3 }),
      at: fc.nat({ max: 23 }),
      reg: fc.integer({ min: 0, max: 7 }),
      imm: fc.integer(),
    })
    .chain((s) => fc.constantFrom('st', 'stx', 'ldx', 'alias').map((what) => ({ ...s, what }))),
  fc.record({
    what: fc.constant('alu'),
    reg: fc.nat({ max: 7 }),
    imm: fc.integer(),
    size: fc.constant(0),
    at: fc.nat(),
  }),
  fc.record({
    what: fc.constant('branch'),
    reg: fc.nat({ max: 7 }),
    imm: fc.integer(),
    size: fc.nat({ max: 6 }),
    at: fc.constant(0),
  }),
);

function assemble(steps: readonly { what: string; size: number; at: number; reg: number; imm: number }[]): Insn[] {
  const insns: Insn[] = [];
  for (let r = 0; r <= 7; r++) insns.push(insn(0x18, r, 0, 0, r * 0x1357_9bdf), insn(0, 0, 0, 0, ~r * 0x0bad_cafe));
  for (const at of [-24, -16, -8]) insns.push(insn(0x7a, 10, 0, at, at));
  const branches: { at: number; over: number; step: number }[] = [];
  const starts: number[] = [];
  steps.forEach(({ what, size, at, reg, imm }, i) => {
    starts.push(insns.length);
    const bytes = [1, 2, 4, 8][size & 3];
    const off = -24 + Math.floor((at % 24) / bytes) * bytes;
    const code = SIZES[size & 3];
    if (what === 'st') insns.push(insn(0x62 | code, 10, 0, off, imm));
    else if (what === 'stx') insns.push(insn(0x63 | code, 10, reg, off));
    else if (what === 'ldx') insns.push(insn(0x61 | code, reg, 10, off));
    else if (what === 'alias')
      insns.push(
        insn(0xbf, 8, 10),
        insn(0x07, 8, 0, 0, off),
        insn(imm & 1 ? 0x63 | code : 0x61 | code, imm & 1 ? 8 : reg, imm & 1 ? reg : 8),
      );
    else if (what === 'alu') insns.push(insn(0xa7, reg, 0, 0, imm), insn(0x27, reg, 0, 0, 0x01000193));
    else {
      branches.push({ at: insns.length, over: size, step: i });
      insns.push(insn(imm & 1 ? 0x65 : 0x45, reg, 0, 0, imm >> 1));
    }
  });
  starts.push(insns.length);
  for (const { at, over, step: i } of branches)
    insns[at] = { ...insns[at], off: starts[Math.min(steps.length, i + 1 + over)] - at - 1 };
  for (let r = 1; r <= 7; r++) insns.push(insn(0x67, 0, 0, 0, 7), insn(0xaf, 0, r));
  for (const at of [-24, -16, -8]) insns.push(insn(0x79, 1, 10, at), insn(0x67, 0, 0, 0, 7), insn(0xaf, 0, 1));
  insns.push(insn(0x95));
  return insns;
}

test('what is stored on the stack comes back, however it is stored and loaded and whichever way control goes', () => {
  const bench = new Bench();
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const insns = assemble(steps);
      expect(bench.r0(bench.load(insns))).toBe(bench.interpretedR0(insns));
    }),
    { numRuns: 600 },
  );
});

for (const [type, keySize] of [
  [BPF_MAP_TYPE_HASH, 16],
  [BPF_MAP_TYPE_HASH, 5],
  [BPF_MAP_TYPE_ARRAY, 4],
])
  test(`a key of ${keySize} bytes built on the stack in parts is the key that is looked up (map type ${type})`, () => {
    const bench = new Bench();
    const map = bench.map({ type, keySize, valueSize: 8, maxEntries: 64 });
    const parts = fc.array(
      fc.record({ size: fc.nat({ max: 3 }), at: fc.nat({ max: 15 }), imm: fc.nat({ max: 3 }), reg: fc.boolean() }),
      { maxLength: 8 },
    );
    fc.assert(
      fc.property(parts, fc.boolean(), (stores, insert) => {
        const insns = [insn(0x7a, 10, 0, -16, 0), insn(0x7a, 10, 0, -8, 0)];
        const key = new Uint8Array(16);
        for (const { size, at, imm, reg } of stores) {
          const bytes = [1, 2, 4, 8][size];
          const off = Math.floor(at / bytes) * bytes;
          if (reg) insns.push(insn(0xb7, 3, 0, 0, imm), insn(0x63 | SIZES[size], 10, 3, off - 16));
          else insns.push(insn(0x62 | SIZES[size], 10, 0, off - 16, imm));
          key.fill(0, off, off + bytes);
          key[off] = imm;
        }
        insns.push(insn(0xbf, 2, 10), insn(0x07, 2, 0, 0, -16), insn(0x18, 1, 1), insn(0));
        insns.push(insn(0x85, 0, 0, 0, 1), insn(0x95));
        if (insert) map.userUpdate(key.slice(0, keySize), new Uint8Array(8), 0);
        const at = bench.machine.heap.alloc(16);
        bench.machine.slab.u8.set(key, at);
        expect(Number(bench.r0(bench.load(insns, { maps: [map] })))).toBe(map.lookup(at));
        bench.machine.heap.free(at);
      }),
      { numRuns: 150 },
    );
  });
