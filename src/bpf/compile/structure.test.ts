import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BPF_PROG_TYPE_SOCKET_FILTER } from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { dominators } from './dominators.ts';
import { controlFlow } from './graph.ts';
import { Bench } from './test-double.ts';

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });
const EXIT = insn(0x95);
const mov = (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm);
const add = (dst: number, imm: number): Insn => insn(0x07, dst, 0, 0, imm);

/** ALU and ALU64 operations on registers and immediates that no rule of the instruction set forbids. */
const arithmetic = fc
  .record({
    op: fc.constantFrom(0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0, 0xd0),
    wide: fc.boolean(),
    reg: fc.boolean(),
    dst: fc.integer({ min: 0, max: 8 }),
    src: fc.integer({ min: 0, max: 8 }),
    imm: fc.oneof(fc.constantFrom(0, 1, -1, -0x8000_0000, 0x7fff_ffff), fc.integer()),
    variant: fc.nat(),
  })
  .map(({ op, wide, reg, dst, src, imm, variant }): Insn => {
    const cls = wide ? 7 : 4;
    if (op === 0x80) return insn(cls | op, dst);
    if (op === 0xd0) return insn(cls | op | (reg && !wide ? 8 : 0), dst, 0, 0, [16, 32, 64][variant % 3]);
    if (op === 0x60 || op === 0x70 || op === 0xc0) imm &= wide ? 63 : 31;
    let off = 0;
    if (op === 0x30 || op === 0x90) off = variant & 1;
    if (op === 0xb0 && reg) off = (wide ? [0, 8, 16, 32] : [0, 8, 16])[variant % (wide ? 4 : 3)];
    if ((op === 0x30 || op === 0x90) && !reg && imm === 0) imm = 7;
    return reg ? insn(cls | op | 8, dst, src, off) : insn(cls | op, dst, 0, off, imm);
  });

const condition = fc
  .record({
    op: fc.constantFrom(0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0),
    wide: fc.boolean(),
    reg: fc.boolean(),
    dst: fc.integer({ min: 0, max: 8 }),
    src: fc.integer({ min: 0, max: 8 }),
    imm: fc.oneof(fc.constantFrom(0, -1, 1), fc.integer()),
  })
  .map(
    ({ op, wide, reg, dst, src, imm }): Insn =>
      reg ? insn((wide ? 5 : 6) | op | 8, dst, src) : insn((wide ? 5 : 6) | op, dst, 0, 0, imm),
  );

type Block = { readonly body: readonly Insn[]; readonly test: Insn; readonly to: number; readonly next: number };

/** Blocks that jump to each other anyhow; r9 counts steps down, so that every program ends. */
function assemble(blocks: readonly Block[]): Insn[] {
  const insns: Insn[] = Array.from({ length: 9 }, (_, r) => mov(r, r * 0x1234567));
  insns.push(mov(9, 200));
  const starts: number[] = [];
  const patches: { at: number; block: number }[] = [];
  for (const b of blocks) {
    starts.push(insns.length);
    insns.push(...b.body, add(9, -1));
    patches.push({ at: insns.length, block: blocks.length });
    insns.push(insn(0xd5, 9)); // if r9 s<= 0 goto the exit
    patches.push({ at: insns.length, block: b.to % blocks.length });
    insns.push(b.test);
    patches.push({ at: insns.length, block: b.next % (blocks.length + 1) });
    insns.push(insn(0x05));
  }
  starts.push(insns.length);
  for (let r = 1; r <= 8; r++) insns.push(insn(0x67, 0, 0, 0, 5), insn(0xaf, 0, r));
  insns.push(EXIT);
  for (const { at, block } of patches) insns[at] = { ...insns[at], off: starts[block] - at - 1 };
  return insns;
}

const programs = fc
  .array(
    fc.record({
      body: fc.array(arithmetic, { maxLength: 6 }),
      test: condition,
      to: fc.nat({ max: 30 }),
      next: fc.nat({ max: 30 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map(assemble);

test('random programs of arithmetic and branches give what the interpreter gives', () => {
  const bench = new Bench();
  let irreducible = 0;
  fc.assert(
    fc.property(programs, (insns) => {
      const g = controlFlow(insns, 0, insns.length);
      if (!dominators(g).reducible) irreducible++;
      const compiled = bench.r0(bench.load(insns, { type: BPF_PROG_TYPE_SOCKET_FILTER }));
      expect(compiled).toBe(bench.interpretedR0(insns));
    }),
    { numRuns: 400 },
  );
  expect(irreducible).toBeGreaterThan(20);
});

test('random arithmetic in a row gives what the interpreter gives', () => {
  const bench = new Bench();
  fc.assert(
    fc.property(fc.array(arithmetic, { minLength: 20, maxLength: 200 }), (body) => {
      const insns = assemble([{ body, test: insn(0x15), to: 0, next: 1 }]);
      expect(bench.r0(bench.load(insns))).toBe(bench.interpretedR0(insns));
    }),
    { numRuns: 200 },
  );
});

test('immediate dominators are those of the definition', () => {
  fc.assert(
    fc.property(programs, (insns) => {
      const g = controlFlow(insns, 0, insns.length);
      const { idom } = dominators(g);
      // a dominates b when b cannot be reached around a.
      const reachable = (without: number): Set<number> => {
        const seen = new Set<number>();
        const work = without === 0 ? [] : [0];
        for (let b = work.pop(); b !== undefined; b = work.pop()) {
          if (b < 0 || b === without || seen.has(b)) continue;
          seen.add(b);
          work.push(g.taken[b], g.next[b]);
        }
        return seen;
      };
      const without = Array.from({ length: g.count }, (_, b) => reachable(b));
      for (let b = 1; b < g.count; b++) {
        const strict = Array.from({ length: g.count }, (_, a) => a).filter((a) => a !== b && !without[a].has(b));
        // The immediate one is dominated by all others.
        expect(strict.every((a) => a === idom[b] || !without[a].has(idom[b]))).toBe(true);
        expect(strict).toContain(idom[b]);
      }
    }),
    { numRuns: 100 },
  );
});

test('100,000 instructions in a row compile and run', () => {
  const bench = new Bench();
  const insns = [mov(0, 0), ...Array.from({ length: 100_000 }, (_, i) => add(0, i & 7)), EXIT];
  expect(bench.r0(bench.load(insns))).toBe(BigInt((100_000 / 8) * 28));
});

test('chains of 8,000 blocks compile and run: diamonds, early exits, nested arms, a ladder of joins', () => {
  const bench = new Bench();
  const n = 8_000;
  // if (r0 & 1) r0 += 1; else r0 += 3, over and over.
  const diamonds: Insn[] = [mov(0, 0)];
  for (let i = 0; i < n; i++) diamonds.push(insn(0x45, 0, 0, 2, 1), add(0, 3), insn(0x05, 0, 0, 1), add(0, 1));
  diamonds.push(EXIT);
  expect(bench.r0(bench.load(diamonds))).toBe(BigInt(n * 2));
  // if (r0 == i + 100000) goto out, over and over.
  const exits: Insn[] = [mov(0, 0)];
  for (let i = 0; i < n; i++) exits.push(insn(0x15, 0, 0, (n - i - 1) * 2 + 1, 100_000), add(0, 1));
  exits.push(EXIT);
  expect(bench.r0(bench.load(exits))).toBe(BigInt(n));
  // Both arms of every branch are blocks of their own: one returns at once.
  const arms: Insn[] = [mov(0, 0)];
  for (let i = 0; i < n; i++) arms.push(insn(0xa5, 0, 0, 1, n), EXIT, add(0, 1));
  arms.push(EXIT);
  expect(bench.r0(bench.load(arms))).toBe(BigInt(n));
  // Branches inwards to joins that fall through to each other, the first to the last.
  const ladder: Insn[] = [mov(0, 0), mov(1, 5)];
  for (let i = 0; i < n; i++) ladder.push(insn(0x15, 1, 0, n - 1 - i + (n - 1 - i), i + 100));
  for (let i = 0; i < n; i++) ladder.push(add(0, 1));
  ladder.push(EXIT);
  expect(bench.r0(bench.load(ladder))).toBe(BigInt(n));
});

test('a loop of 200,000 turns and a nest of loops', () => {
  const bench = new Bench();
  const loop = [mov(0, 0), mov(1, 200_000), add(0, 3), add(1, -1), insn(0x55, 1, 0, -3, 0), EXIT];
  expect(bench.r0(bench.load(loop))).toBe(600_000n);
  const nest = [
    mov(0, 0),
    mov(1, 100),
    mov(2, 100),
    add(0, 1),
    add(2, -1),
    insn(0x55, 2, 0, -3, 0),
    add(1, -1),
    insn(0x55, 1, 0, -6, 0),
    EXIT,
  ];
  expect(bench.r0(bench.load(nest))).toBe(10_000n);
});

test('what the verifier never saw is left out', () => {
  const bench = new Bench();
  const insns = [mov(0, 1), insn(0x15, 0, 0, 1, 1), insn(0x85, 0, 0, 0, 9999), EXIT];
  const facts = {
    insns: insns.map((_, pc) => ({ seen: pc !== 2, mapIndex: -1 })),
    subprogs: [{ start: 0, end: 4, stackDepth: 0 }],
    ctxRead: new Set<number>(),
    ctxWritten: new Set<number>(),
  };
  expect(bench.r0(bench.load(insns, { facts }))).toBe(1n);
  expect(() => bench.load(insns)).toThrow('netloom does not compile helper helper_9999');
});

test('may_goto falls through 8,388,608 times and jumps then', () => {
  const bench = new Bench();
  // r0++ while may_goto
  const insns = [mov(0, 0), insn(0xe5, 0, 0, 2), add(0, 1), insn(0x05, 0, 0, -3), EXIT];
  expect(bench.r0(bench.load(insns))).toBe(8_388_608n);
});
