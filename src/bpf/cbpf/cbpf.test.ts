import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { EINVAL } from '../../core/errno.ts';
import { checkProgramInsns } from '../verifier/check-insn.ts';
import {
  type ClassicInsn,
  ClassicTextError,
  checkClassic,
  decodeClassic,
  encodeClassic,
  formatC,
  formatClassic,
  formatNumbers,
  parseClassic,
  runClassic,
  translateClassic,
} from './index.ts';

const ret = (k: number): ClassicInsn => ({ code: 6, jt: 0, jf: 0, k });
const RET_A: ClassicInsn = { code: 0x16, jt: 0, jf: 0, k: 0 };
const any = fc.record({
  code: fc.integer({ min: 0, max: 0xffff }),
  jt: fc.integer({ min: 0, max: 255 }),
  jf: fc.integer({ min: 0, max: 255 }),
  k: fc.integer({ min: 0, max: 0xffff_ffff }),
});
/** Opcodes that exist, with small operands: often a program that is accepted. */
const likely = fc.record({
  code: fc.constantFrom(
    0x00,
    0x01,
    0x02,
    0x03,
    0x04,
    0x0c,
    0x14,
    0x24,
    0x34,
    0x3c,
    0x54,
    0x84,
    0x9c,
    0x20,
    0x28,
    0x30,
    0x40,
    0x48,
    0x50,
    0x60,
    0x61,
    0x80,
    0x81,
    0xb1,
    0x05,
    0x15,
    0x1d,
    0x25,
    0x35,
    0x45,
    0x4d,
    0x06,
    0x16,
    0x07,
    0x87,
  ),
  jt: fc.integer({ min: 0, max: 3 }),
  jf: fc.integer({ min: 0, max: 3 }),
  k: fc.integer({ min: 0, max: 20 }),
});

describe('classic BPF', () => {
  it('is the same after encoding and decoding, and after each text form that can be read', () => {
    fc.assert(
      fc.property(fc.array(any, { minLength: 1, maxLength: 20 }), (insns) => {
        expect(decodeClassic(encodeClassic(insns))).toEqual(insns);
        expect(parseClassic(formatNumbers(insns))).toEqual(insns);
        expect(parseClassic(formatC(insns))).toEqual(insns);
        expect(parseClassic(formatNumbers(insns).replaceAll('\n', ','))).toEqual(insns);
      }),
    );
  });

  it('text with a mistake is refused with the line', () => {
    const refused = (text: string): string => {
      try {
        parseClassic(text);
      } catch (error) {
        if (error instanceof ClassicTextError) return error.message;
      }
      return 'read';
    };
    expect(refused('2\n6 0 0 1\n')).toBe('line 1: 2 instructions announced, 1 there');
    expect(refused('1\n6 0 256 1\n')).toBe('line 2: "256" is not a number up to 255');
    expect(refused('1\n6 0 1\n')).toBe('line 2: an instruction is four numbers: code jt jf k');
    expect(refused('9999999\n')).toBe('line 1: "9999999" is not a number of instructions');
  });

  it('never jumps out, never reads what was not stored, and always ends, once it was accepted', () => {
    fc.assert(
      fc.property(fc.array(likely, { maxLength: 24 }), fc.uint8Array({ maxLength: 40 }), (body, bytes) => {
        const insns = [...body, ret(1)];
        if (checkClassic(insns) !== 0) return;
        const result = runClassic(insns, { bytes });
        expect(result).toBe(result >>> 0);
        const translated = translateClassic(insns);
        if (!translated.ok) throw new Error(translated.message);
        expect(checkProgramInsns(translated.insns, { maps: [], bpfCapable: true })).toEqual([0]);
      }),
      { numRuns: 300 },
    );
  });

  it('is refused when it is empty, too long, or ends in anything but a return', () => {
    const nop: ClassicInsn = { code: 0, jt: 0, jf: 0, k: 0 };
    expect(checkClassic([])).toBe(EINVAL);
    expect(checkClassic([nop])).toBe(EINVAL);
    expect(checkClassic([...Array<ClassicInsn>(4095).fill(nop), ret(1)])).toBe(0);
    expect(checkClassic([...Array<ClassicInsn>(4096).fill(nop), ret(1)])).toBe(EINVAL);
  });

  it('ends with A when it asks for a device that is not there', () => {
    const ifindex: ClassicInsn = { code: 0x20, jt: 0, jf: 0, k: 0xffff_f008 };
    const program = [{ code: 0, jt: 0, jf: 0, k: 3 }, ifindex, { code: 4, jt: 0, jf: 0, k: 1 }, RET_A];
    const bytes = new Uint8Array(1);
    expect(runClassic(program, { bytes })).toBe(3);
    expect(runClassic(program, { bytes, device: { ifindex: 7, type: 1 } })).toBe(8);
  });

  it('finds netlink attributes', () => {
    const bytes = new Uint8Array([9, 9, 9, 9, 6, 0, 1, 0, 0xaa, 0xbb, 0, 0, 12, 0, 2, 0, 8, 0, 5, 0, 1, 2, 3, 4]);
    const find = (what: number, a: number, x: number): number =>
      runClassic(
        [
          { code: 0, jt: 0, jf: 0, k: a },
          { code: 1, jt: 0, jf: 0, k: x },
          { code: 0x20, jt: 0, jf: 0, k: 0xffff_f000 + what },
          RET_A,
        ],
        { bytes },
      );
    expect(find(12, 4, 1)).toBe(4);
    expect(find(12, 4, 2)).toBe(12);
    expect(find(12, 4, 3)).toBe(0);
    expect(find(16, 12, 5)).toBe(16);
    expect(find(16, 12, 6)).toBe(0);
    expect(find(12, 4000, 1)).toBe(0);
  });

  const tcpdump = spawnSync('tcpdump', ['--version']);
  it.skipIf(tcpdump.status !== 0)('is printed as tcpdump -d prints it', () => {
    const expressions = [
      'tcp port 80 and (ip[0] & 0xf) * 4 + 3 > 20',
      'len > 80 or ether[0] & 1 = 0',
      'ip6 protochain 6',
      'tcp[tcp[12] >> 2 : 4] % 7 = 0x47455420 ^ 3 | 1',
    ];
    for (const expression of expressions) {
      const print = (...flags: string[]): string =>
        spawnSync('tcpdump', ['-y', 'EN10MB', ...flags, expression], { encoding: 'utf8' }).stdout;
      const insns = parseClassic(print('-ddd'));
      expect(insns.length).toBeGreaterThan(2);
      expect(formatClassic(insns)).toBe(print('-d'));
      expect(formatC(insns)).toBe(print('-dd'));
    }
  });
});
