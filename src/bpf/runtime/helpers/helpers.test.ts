import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Slab } from '../../../core/slab.ts';
import { HELPER_NAMES } from '../../../wire/uapi/bpf.ts';
import { Machine } from '../machine.ts';
import type { Run } from '../run.ts';
import { csumFold, csumPartial, csumReplace2, csumReplace4 } from './csum.ts';
import { format } from './format.ts';
import { HELPERS, unsupportedHelper } from './index.ts';

const memory = {
  string: () => 'text',
  bytes: (_at: number, size: number) => Uint8Array.from({ length: size }, (_, i) => i + 1),
};
const words = (...values: readonly number[]) => values.map((value) => [value | 0, value < 0 ? -1 : 0] as const);

function newRun(): Run {
  const slab = new Slab({ slots: 4, largeSlots: 1, heapBytes: 4 << 20 });
  return new Machine({ slab, env: { now: () => 5_000_000_123, random: () => 0xdead_beef } }).acquire();
}

/** Calls a helper on low words; wide arguments get the sign as their high word. */
function call(run: Run, id: number, ...args: readonly number[]): number {
  const impl = HELPERS.get(id);
  if (impl === undefined) throw new Error(`no helper ${id}`);
  const [r1 = 0, r2 = 0, r3 = 0, r4 = 0, r5 = 0] = args;
  args.forEach((value, i) => {
    run.setHi(i + 1, value < 0 ? -1 : 0);
  });
  return impl.call(run, r1, r2, r3, r4, r5);
}

describe('checksums', () => {
  const bytes = fc.uint8Array({ minLength: 4, maxLength: 64 });

  test('a replaced word leaves the sum that the changed bytes have', () => {
    fc.assert(
      fc.property(bytes, fc.nat(), fc.nat({ max: 0xffff_ffff }), (data, place, to) => {
        const dv = new DataView(data.buffer, data.byteOffset, data.length & ~3);
        const at = (place % (dv.byteLength / 4)) * 4;
        const before = csumFold(csumPartial(dv, 0, dv.byteLength, 0));
        const from = dv.getUint32(at, true);
        dv.setUint32(at, to, true);
        const after = csumFold(csumPartial(dv, 0, dv.byteLength, 0));
        // 0 and 0xffff are the same sum.
        expect(csumReplace4(before, from, to) % 0xffff).toBe(after % 0xffff);
        const low = csumReplace2(csumReplace2(before, from & 0xffff, to & 0xffff), from >>> 16, to >>> 16);
        expect(low % 0xffff).toBe(after % 0xffff);
      }),
    );
  });

  test('csum_diff of the same bytes is no difference', () => {
    const run = newRun();
    const at = run.machine.heap.alloc(64);
    run.u8.set([1, 2, 3, 4, 5, 6, 7, 8], at);
    expect(call(run, 28, at, 8, at, 8, 0) % 0xffff).toBe(0);
  });
});

describe('formats', () => {
  test.each([
    ['%d %u', [-1, 7], '-1 7'],
    ['%5d|%-5d|%05d', [42, 42, 42], '   42|42   |00042'],
    ['%x %X %lx', [255, 255, -1], 'ff FF ffffffffffffffff'],
    ['%c%%', [65], 'A%'],
    ['%s', [1], 'text'],
    ['%pI4 %pi4', [1, 1], '1.2.3.4 001.002.003.004'],
    ['%pI6', [1], '0102:0304:0506:0708:090a:0b0c:0d0e:0f10'],
    ['%lld', [-5], '-5'],
  ])('%s', (text, args, expected) => {
    expect(format(text, words(...args), memory)).toBe(expected);
  });

  test.each(['%', '%n', '%f', '%sx', '%lc', '%pZ4', '\u0001'])('the kernel refuses %j', (text) => {
    expect(format(text, words(1), memory)).toBe(-22);
  });

  test('more conversions than arguments are refused', () => {
    expect(format('%d %d', words(1), memory)).toBe(-22);
  });
});

describe('numbers in text', () => {
  test.each([
    ['12', 0, 2, 12n],
    ['-0x10 ', 0, 5, -16n],
    ['  42', 10, 4, 42n],
    ['017', 0, 3, 15n],
    ['9223372036854775808', 0, -34, 0n],
    ['-9223372036854775808', 0, 20, -(1n << 63n)],
    ['x', 0, -22, 0n],
    ['12', 7, -22, 0n],
  ])('strtol of %j in base %d gives %d', (text, base, result, value) => {
    const run = newRun();
    const at = run.machine.heap.alloc(64);
    run.u8.set(new TextEncoder().encode(text), at);
    expect(call(run, 105, at, text.length, base, at + 32)).toBe(result);
    expect(run.dv.getBigInt64(at + 32, true)).toBe(value);
  });

  test('strtoul takes no sign', () => {
    const run = newRun();
    const at = run.machine.heap.alloc(64);
    run.u8.set(new TextEncoder().encode('-1'), at);
    expect(call(run, 106, at, 2, 0, at + 32)).toBe(-22);
  });
});

describe('time and chance', () => {
  test('the clock is the one handed in, in two words', () => {
    const run = newRun();
    const low = call(run, 5);
    expect((run.retHi() >>> 0) * 0x1_0000_0000 + (low >>> 0)).toBe(5_000_000_123);
  });

  test('randomness is handed in', () => {
    expect(call(newRun(), 7) >>> 0).toBe(0xdead_beef);
  });
});

test('a helper that is not there is named', () => {
  expect(unsupportedHelper(1)).toBe('');
  expect(unsupportedHelper(12)).toBe('');
  expect(unsupportedHelper(HELPER_NAMES.indexOf('probe_write_user'))).toBe(
    'netloom does not implement helper bpf_probe_write_user',
  );
});

test('bpf_loop gives up at more than eight million turns', () => {
  const run = newRun();
  run.callback = () => 0;
  expect(call(run, 181, 8_388_609, 1, 0, 0)).toBe(-7);
  expect(call(run, 181, 10, 1, 0, 0)).toBe(10);
  run.callback = (_fn, i) => (i === 3 ? 1 : 0);
  expect(call(run, 181, 10, 1, 0, 0)).toBe(4);
});

test('an outer IPv4 header without a checksum gets one', () => {
  const run = newRun();
  const p = run.slab.from(Uint8Array.from({ length: 20 }, (_, i) => (i === 0 ? 0x45 : i)));
  run.packet = p;
  run.progType = 12;
  run.ctx = run.machine.heap.alloc(192);
  const header = run.machine.heap.alloc(24);
  run.u8.set([0x45, 0, 0, 40, 0, 0, 0, 0, 64, 4, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2], header);
  expect(call(run, 73, run.ctx, 2, header, 20)).toBe(0);
  expect(run.slab.len(p)).toBe(40);
  expect(csumFold(csumPartial(run.dv, run.slab.head(p), 20, 0))).toBe(0);
  expect(call(run, 73, run.ctx, 0, header, 20)).toBe(-22);
});
