import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BPF_ADD,
  BPF_AND,
  BPF_ARSH,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
  BPF_LSH,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_XOR,
} from '../insn.ts';
import { aluEndian, aluMov32, aluMovsx, aluScalar } from './alu.ts';
import { branchTaken, refine } from './branch.ts';
import { regText } from './print.ts';
import { parseScalar } from './print-parse.ts';
import { Reg } from './reg.ts';
import {
  boundsContradiction,
  coerceToSize,
  holds,
  markUnknown,
  maxBig,
  minBig,
  toS64,
  toU64,
  updateBounds,
  updateWide,
} from './scalar.ts';
import { tnumIn, tnumIntersect, tnumMul, tnumOverlap, tnumStep, tnumUnion } from './tnum.ts';

const edges = [0n, 1n, 0x7fn, 0x80n, 0xffn, 0xffffn, 0x7fff_ffffn, 0x8000_0000n, 0xffff_ffffn, 0x7fff_ffff_ffff_ffffn];
const u64 = fc
  .oneof(
    fc.bigInt({ min: 0n, max: 0xffff_ffff_ffff_ffffn }),
    fc.bigInt({ min: 0n, max: 300n }),
    fc
      .tuple(fc.constantFrom(...edges), fc.integer({ min: -3, max: 3 }), fc.boolean())
      .map(([e, d, n]) => (n ? -e : e) + BigInt(d)),
  )
  .map(toU64);

/** A register and a value that it holds: bounds of all kinds drawn round the value. */
const known = fc
  .tuple(
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    fc.integer(),
    fc.integer(),
    fc.integer(),
    fc.integer(),
    fc.integer({ min: 0, max: 31 }),
  )
  .map(([x, mask, a, b, c, d, e, f, g, h, which]) => {
    const reg = new Reg();
    markUnknown(reg);
    const low = Number(x & 0xffff_ffffn);
    if (which & 1) {
      reg.mask = mask;
      reg.value = x & ~mask;
    }
    if (which & 2) {
      reg.umin = minBig(a, x);
      reg.umax = maxBig(b, x);
    }
    if (which & 4) {
      reg.smin = minBig(toS64(c), toS64(x));
      reg.smax = maxBig(toS64(d), toS64(x));
    }
    if (which & 8) {
      reg.u32min = Math.min(e >>> 0, low);
      reg.u32max = Math.max(f >>> 0, low);
    }
    if (which & 16) {
      reg.s32min = Math.min(g, low | 0);
      reg.s32max = Math.max(h, low | 0);
    }
    updateBounds(reg);
    return { reg, x };
  });

const low32 = (x: bigint): bigint => x & 0xffff_ffffn;

function concrete(op: number, is64: boolean, x: bigint, y: bigint): bigint {
  const width = is64 ? 64 : 32;
  const a = BigInt.asUintN(width, x);
  const b = BigInt.asUintN(width, y);
  const by = b & (is64 ? 63n : 31n);
  const r: Record<number, bigint> = {
    [BPF_ADD]: a + b,
    [BPF_SUB]: a - b,
    [BPF_MUL]: a * b,
    [BPF_AND]: a & b,
    [BPF_OR]: a | b,
    [BPF_XOR]: a ^ b,
    [BPF_LSH]: a << by,
    [BPF_RSH]: a >> by,
    [BPF_ARSH]: BigInt.asIntN(width, a) >> by,
    [BPF_NEG]: -a,
  };
  return BigInt.asUintN(width, r[op] as bigint);
}

function holdsFor(op: number, is32: boolean, x: bigint, y: bigint): boolean {
  const [a, b] = is32 ? [low32(x), low32(y)] : [x, y];
  const [sa, sb] = is32 ? [BigInt.asIntN(32, x), BigInt.asIntN(32, y)] : [toS64(x), toS64(y)];
  const r: Record<number, boolean> = {
    [BPF_JEQ]: a === b,
    [BPF_JNE]: a !== b,
    [BPF_JSET]: (a & b) !== 0n,
    [BPF_JGT]: a > b,
    [BPF_JGE]: a >= b,
    [BPF_JLT]: a < b,
    [BPF_JLE]: a <= b,
    [BPF_JSGT]: sa > sb,
    [BPF_JSGE]: sa >= sb,
    [BPF_JSLT]: sa < sb,
    [BPF_JSLE]: sa <= sb,
  };
  return r[op] as boolean;
}

const OPS = [BPF_ADD, BPF_SUB, BPF_MUL, BPF_AND, BPF_OR, BPF_XOR, BPF_LSH, BPF_RSH, BPF_ARSH, BPF_NEG];
const JUMPS = [BPF_JEQ, BPF_JNE, BPF_JSET, BPF_JGT, BPF_JGE, BPF_JLT, BPF_JLE, BPF_JSGT, BPF_JSGE, BPF_JSLT, BPF_JSLE];

describe('a value stays inside what is known of it', () => {
  test('when bounds sharpen each other', () => {
    fc.assert(
      fc.property(known, ({ reg, x }) => {
        expect(holds(reg, x)).toBe(true);
        expect(boundsContradiction(reg)).toBe('');
      }),
      { numRuns: 2000 },
    );
  });

  test.each(OPS)('through operation %i', (op) => {
    fc.assert(
      fc.property(known, known, fc.boolean(), fc.boolean(), (a, b, is64, same) => {
        const y = same ? a.x : b.x;
        aluScalar(op, is64, a.reg, same ? a.reg : b.reg);
        // A shift that the width does not allow is not executed.
        if ((op === BPF_LSH || op === BPF_RSH || op === BPF_ARSH) && (is64 ? y : low32(y)) >= (is64 ? 64n : 32n))
          return;
        expect(holds(a.reg, concrete(op, is64, a.x, y))).toBe(true);
      }),
      { numRuns: 700 },
    );
  });

  test.each([BPF_LSH, BPF_RSH, BPF_ARSH])('through a shift %i by a constant', (op) => {
    fc.assert(
      fc.property(known, fc.integer({ min: 0, max: 63 }), fc.boolean(), (a, by, is64) => {
        const b = parseScalar(`${is64 ? by : by & 31}`) as Reg;
        aluScalar(op, is64, a.reg, b);
        expect(holds(a.reg, concrete(op, is64, a.x, b.value))).toBe(true);
      }),
      { numRuns: 700 },
    );
  });

  test('through byte order, sign extension and truncation', () => {
    const swapped = (x: bigint, bits: number): bigint => {
      const hex = BigInt.asUintN(bits, x)
        .toString(16)
        .padStart(bits / 4, '0');
      return BigInt(`0x${(hex.match(/../g) ?? []).reverse().join('')}`);
    };
    fc.assert(
      fc.property(known, ({ reg, x }) => {
        for (const bits of [16, 32, 64]) {
          const r = reg.clone();
          aluEndian(r, bits, true);
          expect(holds(r, swapped(x, bits))).toBe(true);
          const kept = reg.clone();
          aluEndian(kept, bits, false);
          expect(holds(kept, BigInt.asUintN(bits, x))).toBe(true);
        }
        for (const bits of [8, 16, 32]) {
          const wide = reg.clone();
          aluMovsx(wide, true, bits);
          expect(holds(wide, toU64(BigInt.asIntN(bits, x)))).toBe(true);
          const cut = reg.clone();
          coerceToSize(cut, bits / 8);
          expect(holds(cut, BigInt.asUintN(bits, x))).toBe(true);
          if (bits === 32) continue;
          const word = reg.clone();
          aluMovsx(word, false, bits);
          expect(holds(word, low32(BigInt.asIntN(bits, x)))).toBe(true);
        }
        const moved = reg.clone();
        aluMov32(moved);
        expect(holds(moved, low32(x))).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  test.each(JUMPS)('on both sides of jump %i', (op) => {
    fc.assert(
      fc.property(known, known, fc.boolean(), (a, b, is32) => {
        const taken = holdsFor(op, is32, a.x, b.x);
        const certain = branchTaken(a.reg, b.reg, op, is32);
        if (certain !== -1) {
          expect(certain === 1).toBe(taken);
          return;
        }
        refine(op, is32, a.reg, b.reg, taken);
        expect(holds(a.reg, a.x)).toBe(true);
        expect(holds(b.reg, b.x)).toBe(true);
      }),
      { numRuns: 1000 },
    );
  });
});

test('the short way to sharpen small bounds gives what the long way gives', () => {
  const small = fc.integer({ min: 0, max: 40 });
  const end = fc.oneof(
    small.map((n) => n - 4),
    fc.integer({ min: -1, max: 0x7fff_ffff }),
  );
  fc.assert(
    fc.property(
      end,
      end,
      end,
      end,
      small,
      fc.oneof(small, fc.integer({ min: 0, max: 0x7fff_ffff })),
      fc.nat(255),
      (a, b, c, d, value, mask, which) => {
        const reg = new Reg();
        markUnknown(reg);
        reg.mask = BigInt(mask);
        reg.value = BigInt(value & ~mask);
        if (which & 1) reg.umin = toU64(BigInt(a));
        if (which & 2) reg.umax = toU64(BigInt(b));
        if (which & 4) reg.smin = BigInt(c);
        if (which & 8) reg.smax = BigInt(d);
        if (which & 16) reg.u32min = b >>> 0;
        if (which & 32) reg.u32max = d >>> 0;
        if (which & 64) reg.s32min = a;
        if (which & 128) reg.s32max = c;
        const wide = reg.clone();
        updateWide(wide);
        updateBounds(reg);
        expect(reg).toEqual(wide);
      },
    ),
    { numRuns: 3000 },
  );
});

test('a register reads back from its text', () => {
  fc.assert(
    fc.property(known, ({ reg }) => {
      expect(regText(parseScalar(regText(reg)) as Reg)).toBe(regText(reg));
    }),
  );
});

describe('small tnums, all of them', () => {
  const all: { value: bigint; mask: bigint; members: bigint[] }[] = [];
  for (let mask = 0n; mask < 16n; mask++)
    for (let value = 0n; value < 16n; value++) {
      if ((value & mask) !== 0n) continue;
      const members = [];
      for (let x = 0n; x < 16n; x++) if ((x & ~mask) === value) members.push(x);
      all.push({ value, mask, members });
    }

  test('step gives the next member', () => {
    for (const t of all)
      for (let z = 0n; z < 17n; z++)
        expect(tnumStep(t, z)).toBe(t.members.find((m) => m > z) ?? (t.members.at(-1) as bigint));
  });

  test('overlap, containment, union, intersection and product agree with the sets', () => {
    const has = (t: { value: bigint; mask: bigint }, x: bigint): boolean => (x & ~t.mask) === t.value;
    for (const a of all)
      for (const b of all) {
        const common = a.members.filter((x) => b.members.includes(x));
        expect(tnumOverlap(a, b)).toBe(common.length > 0);
        expect(tnumIn(a, b)).toBe(common.length === b.members.length);
        expect([...a.members, ...b.members].every((x) => has(tnumUnion(a, b), x))).toBe(true);
        expect(common.every((x) => has(tnumIntersect(a, b), x))).toBe(true);
        const product = tnumMul(a, b);
        expect(a.members.every((x) => b.members.every((y) => has(product, x * y)))).toBe(true);
      }
  });
});
