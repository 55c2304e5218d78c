import { describe, expect, test } from 'vitest';
import { META, META_BYTES } from '../../core/slab.ts';
import { wasmText } from '../../core/wasm-text.ts';
import { BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SOCKET_FILTER } from '../../wire/uapi/bpf.ts';
import type { Insn } from '../insn.ts';
import { SKB, SKB_SIZE, XDP_SIZE } from '../runtime/ctx.ts';
import { BadAccess } from '../runtime/regions.ts';
import { Bench } from './test-double.ts';

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });
const EXIT = insn(0x95);
const mov = (dst: number, imm: number): Insn => insn(0xb7, dst, 0, 0, imm);
const movReg = (dst: number, src: number): Insn => insn(0xbf, dst, src);
const add = (dst: number, imm: number): Insn => insn(0x07, dst, 0, 0, imm);
const helper = (id: number): Insn => insn(0x85, 0, 0, 0, id);
const call = (to: number): Insn => insn(0x85, 0, 1, 0, to);
const imm64 = (dst: number, src: number, low: number, high = 0): Insn[] => [
  insn(0x18, dst, src, 0, low),
  insn(0, 0, 0, 0, high),
];

describe.each([false, true])('checking: %s', (checking) => {
  test('a subprogram has a stack of its own and keeps r6 to r9 of its caller', () => {
    const bench = new Bench();
    const insns = [
      mov(6, 100),
      insn(0x7a, 10, 0, -8, 7), // *(u64 *)(r10 - 8) = 7
      movReg(1, 10),
      add(1, -8),
      call(4), // -> 9
      insn(0x79, 1, 10, -8), // r1 = *(u64 *)(r10 - 8)
      insn(0x0f, 0, 1),
      insn(0x0f, 0, 6),
      EXIT,
      mov(6, 1), // 9:
      insn(0x7a, 10, 0, -8, 1000),
      insn(0x79, 2, 1, 0),
      add(2, 1),
      insn(0x7b, 1, 2, 0),
      insn(0x79, 0, 10, -8),
      EXIT,
    ];
    expect(bench.r0(bench.load(insns, { type: BPF_PROG_TYPE_SOCKET_FILTER, checking }))).toBe(1108n);
  });

  test('bpf_loop counts what it did, stops when the callback says so, and refuses flags and too many', () => {
    const bench = new Bench();
    const program = (n: number, stop: number, flags: number): Insn[] => [
      insn(0x7a, 10, 0, -8, 0),
      mov(1, n),
      ...imm64(2, 4, 9), // -> 12
      movReg(3, 10),
      add(3, -8),
      mov(4, flags),
      helper(181),
      movReg(6, 0),
      insn(0x79, 0, 10, -8),
      insn(0x27, 0, 0, 0, 1000),
      insn(0x0f, 0, 6),
      EXIT, // 11 + 1
      insn(0x79, 3, 2, 0), // 12:
      insn(0x0f, 3, 1),
      insn(0x7b, 2, 3, 0),
      mov(0, 0),
      insn(0x55, 1, 0, 1, stop),
      mov(0, 1),
      EXIT,
    ];
    const fix = (insns: Insn[]): Insn[] => {
      const at = insns.findIndex((i) => i.code === 0x18);
      const start = insns.findIndex((i, k) => k > 0 && insns[k - 1].code === 0x95 && i.code === 0x79);
      insns[at] = { ...insns[at], imm: start - at - 1 };
      return insns;
    };
    const run = (n: number, stop: number, flags: number): bigint =>
      BigInt.asIntN(64, bench.r0(bench.load(fix(program(n, stop, flags)), { checking })));
    expect(run(10, 99, 0)).toBe(45_010n);
    expect(run(10, 3, 0)).toBe(6_004n);
    expect(run(0, 3, 0)).toBe(0n);
    expect(run(10, 3, 1)).toBe(-22n);
    expect(run(8_388_609, 3, 0)).toBe(-7n);
  });

  test('tail calls go to the other program, 33 times at most, and fall through when the slot is empty', () => {
    const bench = new Bench();
    const progs = bench.array(4, 4, 3);
    const counter = bench.array(1, 8);
    const count = [...imm64(1, 2, 1), insn(0x79, 2, 1, 0), add(2, 1), insn(0x7b, 1, 2, 0)];
    const self = [
      movReg(6, 1),
      ...count,
      movReg(1, 6),
      ...imm64(2, 1, 0),
      mov(3, 1),
      helper(12),
      mov(3, 0),
      movReg(1, 6),
      ...imm64(2, 1, 0),
      helper(12),
      mov(0, 5),
      EXIT,
    ];
    const program = bench.load(self, { maps: [progs, counter], checking });
    bench.setProgram(progs, 0, program.id);
    expect(bench.run(program)).toBe(5);
    expect(bench.contents(counter)).toEqual([[0, '2200000000000000']]); // 34
    const other = bench.load([mov(0, 77), EXIT], { checking });
    bench.setProgram(progs, 0, other.id);
    expect(bench.run(program)).toBe(77);
    bench.setProgram(progs, 0, -1);
    expect(bench.run(program)).toBe(5);
  });

  test('array lookups answer values inside and NULL outside', () => {
    const bench = new Bench();
    const map = bench.array(3, 12);
    const lookup = (key: number): Insn[] => [
      insn(0x62, 10, 0, -4, key),
      movReg(2, 10),
      add(2, -4),
      ...imm64(1, 1, 0),
      helper(1),
      insn(0x15, 0, 0, 3, 0),
      insn(0x62, 0, 0, 8, 9),
      mov(0, 1),
      EXIT,
      EXIT,
    ];
    const run = (key: number): number => bench.run(bench.load(lookup(key), { maps: [map], checking }));
    expect([run(0), run(2), run(3), run(-1)]).toEqual([1, 1, 0, 0]);
    expect(bench.contents(map)).toEqual([
      [0, '000000000000000009000000'],
      [2, '000000000000000009000000'],
    ]);
  });

  test('helpers with 64-bit arguments and results get and give both words', () => {
    const bench = new Bench();
    // bpf_ktime_get_ns
    expect(bench.r0(bench.load([helper(5), EXIT], { checking }))).toBe(BigInt(bench.now));
  });
});

test('checking mode ends a run at an access outside', () => {
  const bench = new Bench();
  const bad = bench.load([mov(1, 64), insn(0x61, 0, 1, 0), EXIT], { checking: true });
  expect(() => bench.run(bad)).toThrow(BadAccess);
  const high = bench.load([...imm64(1, 0, 64, 1), insn(0x61, 0, 1, 0), EXIT], { checking: true });
  expect(() => bench.run(high)).toThrow(BadAccess);
  const below = bench.load([insn(0x7a, 10, 0, -520, 0), EXIT], { checking: true });
  expect(() => bench.run(below)).toThrow(BadAccess);
});

test('LD_ABS and LD_IND load in network order; outside of the packet the program ends with 0', () => {
  const bench = new Bench();
  const packet = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16);
  const run = (...load: Insn[]): number =>
    bench.run(bench.load([movReg(6, 1), mov(7, 2), ...load, EXIT], { type: BPF_PROG_TYPE_SOCKET_FILTER }), packet);
  expect(run(insn(0x20, 0, 0, 0, 4))).toBe(0x05060708);
  expect(run(insn(0x28, 0, 0, 0, 4))).toBe(0x0506);
  expect(run(insn(0x30, 0, 0, 0, 15))).toBe(16);
  expect(run(insn(0x50, 0, 7, 0, 4))).toBe(7);
  expect(run(insn(0x20, 0, 0, 0, 13), mov(0, 3))).toBe(0);
  expect(run(insn(0x30, 0, 0, 0, -0x100000), mov(0, 3))).toBe(3);
  expect(run(insn(0x28, 0, 0, 0, -1), mov(0, 3))).toBe(0);
  expect(run(insn(0x20, 0, 0, 0, 12), mov(0, 3))).toBe(3);
});

test('a batch of XDP packets: each has its data, its verdict is stored', () => {
  const bench = new Bench();
  // r0 = first byte of the packet if it is as long as 20 bytes, else 1
  const program = bench.load([
    insn(0x61, 2, 1, 0),
    insn(0x61, 3, 1, 4),
    mov(0, 1),
    movReg(4, 2),
    add(4, 20),
    insn(0x2d, 4, 3, 1),
    insn(0x71, 0, 2, 0),
    EXIT,
  ]);
  const packets = [10, 20, 30].map((n, i) => bench.machine.slab.from(new Uint8Array(n).fill(i + 5)));
  expect(bench.batch(program, packets, XDP_SIZE)).toEqual([1, 6, 7]);
});

test('a batch of tc packets reads and writes the mark and sees the protocol in network order', () => {
  const bench = new Bench();
  const insns = [
    insn(0x61, 2, 1, SKB.mark),
    add(2, 1),
    insn(0x63, 1, 2, SKB.mark),
    insn(0x61, 0, 1, SKB.protocol),
    EXIT,
  ];
  const facts = {
    insns: insns.map(() => ({ seen: true, mapIndex: -1 })),
    subprogs: [{ start: 0, end: insns.length, stackDepth: 0 }],
    ctxRead: new Set([SKB.mark, SKB.protocol]),
    ctxWritten: new Set([SKB.mark]),
  };
  for (const options of [{}, { facts }]) {
    const program = bench.load(insns, { type: BPF_PROG_TYPE_SCHED_CLS, ...options });
    const { slab } = bench.machine;
    const packets = [1, 2].map(() => slab.from(new Uint8Array(64)));
    packets.forEach((p, i) => {
      slab.setMark(p, i * 10);
      slab.setProtocol(p, 0x86dd);
    });
    expect(bench.batch(program, packets, SKB_SIZE)).toEqual([0xdd86, 0xdd86]);
    expect(packets.map((p) => slab.mark(p))).toEqual([1, 11]);
  }
  expect(META_BYTES).toBe(192);
  expect(META.mark).toBe(9);
});

test('the module as text names the functions and the helpers', () => {
  const bench = new Bench();
  const map = bench.array(3, 12);
  const insns = [mov(1, 1), mov(2, 2), call(1), EXIT, helper(7), EXIT];
  const text = wasmText(bench.engine.compile(bench.spec(insns, [map], 6), [map]));
  expect(text).toContain('(import "helper" "bpf_get_prandom_u32" (func $bpf_get_prandom_u32');
  expect(text).toMatch(/call \$p_4\n/);
  expect(text).toContain('(export "batch" (func $batch))');
});
