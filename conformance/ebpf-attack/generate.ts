/**
 * Programs to attack the verifier with: random ones with the shapes that real programs have (packet pointers behind
 * bounds checks, map values behind null checks, spills, loops, branches), and recorded ones with a few fields changed.
 */
import { encodeInsns, type Insn } from '../../src/bpf/insn.ts';
import type { Random } from '../../src/core/random.ts';
import { type CaseMap, expandInsns, fromHex, type ProgramCase, toHex } from '../ebpf-case.ts';

const MAPS: readonly CaseMap[] = [
  { t: 1, k: 4, v: 16, n: 8, init: [['01000000', '11111111111111111111111111111111']] },
  { t: 2, k: 4, v: 64, n: 4 },
];

const pick = <T>(r: Random, from: readonly T[]): T => from[r.u32() % from.length];
const chance = (r: Random, percent: number): boolean => r.u32() % 100 < percent;

const SIZES = [0x00, 0x08, 0x10, 0x18];
const BYTES: Readonly<Record<number, number>> = { 0: 4, 8: 2, 16: 1, 24: 8 };
const IMMS = [
  0, 1, 2, 3, 4, 7, 8, 15, 16, 31, 32, 60, 63, 64, 255, 256, 4095, 65535, -1, -8, -16, 0x7fffffff, -0x80000000,
];
const ALU = [0x00, 0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80, 0x90, 0xa0, 0xb0, 0xc0];
const JUMPS = [0x10, 0x20, 0x30, 0x40, 0x50, 0x60, 0x70, 0xa0, 0xb0, 0xc0, 0xd0];

/** Writes instructions; jumps are forward by so many, or back to the start of a counted loop. */
class Writer {
  readonly insns: Insn[] = [];
  readonly #r: Random;
  constructor(r: Random) {
    this.#r = r;
  }
  add(code: number, dst = 0, src = 0, off = 0, imm = 0): this {
    this.insns.push({ code, dst, src, off, imm });
    return this;
  }
  /** r0 to r5 and r8 hold scalars most of the time. */
  scalar(): number {
    return pick(this.#r, [0, 1, 2, 3, 4, 5, 8]);
  }
  imm(): number {
    return chance(this.#r, 80) ? pick(this.#r, IMMS) : this.#r.u32() | 0;
  }
}

/** A random program of `type`: r6 packet, r7 its end, r9 context; map 0 a hash, map 1 an array. */
export function randomProgram(r: Random, id: string): ProgramCase {
  const xdp = chance(r, 60);
  const w = new Writer(r);
  const checked = pick(r, [14, 20, 34, 54, 64]);
  const data = xdp ? 0 : 76;
  w.add(0xbf, 9, 1)
    .add(0x61, 6, 9, data)
    .add(0x61, 7, 9, data + 4);
  w.add(0xbf, 2, 6).add(0x07, 2, 0, 0, checked);
  const guard = w.insns.length;
  w.add(pick(r, [0x2d, 0x3d, 0x2d, 0xbd]), 2, 7, 0);
  for (const reg of [0, 1, 2, 3, 4, 5, 8])
    if (chance(r, 60)) w.add(0x61 | pick(r, SIZES), reg, 6, r.u32() % (checked + (chance(r, 5) ? 8 : -7)));
    else w.add(0xb7, reg, 0, 0, w.imm());
  const body = 5 + (r.u32() % 30);
  for (let i = 0; i < body; i++) step(r, w, checked);
  w.add(0x57, 0, 0, 0, 3);
  const exit = w.insns.length;
  w.add(0x95);
  w.add(0xb7, 0, 0, 0, 2).add(0x95);
  w.insns[guard] = { ...w.insns[guard], off: exit + 1 - guard - 1 };
  // Jumps that were left open go forward, to the masking of the result at the latest.
  for (const [pc, insn] of w.insns.entries())
    if (insn.off === OPEN) w.insns[pc] = { ...insn, off: r.u32() % Math.max(1, exit - 1 - pc) };
  return { id, cat: 'attack', type: xdp ? 6 : 3, flags: 2, insns: toHex(encodeInsns(w.insns)), maps: MAPS, root: 'A' };
}

const OPEN = 0x7abc;

function step(r: Random, w: Writer, checked: number): void {
  const kind = r.u32() % 100;
  if (kind < 40) {
    const wide = chance(r, 60) ? 7 : 4;
    const op = pick(r, ALU);
    if (op === 0x80) w.add(wide | op, w.scalar());
    else if (chance(r, 50))
      w.add(wide | op | 8, w.scalar(), w.scalar(), (op === 0x30 || op === 0x90) && chance(r, 30) ? 1 : 0);
    else {
      const shift = op === 0x60 || op === 0x70 || op === 0xc0;
      const imm = shift ? r.u32() % (wide === 7 ? 64 : 32) : w.imm();
      w.add(wide | op, w.scalar(), 0, 0, (op === 0x30 || op === 0x90) && imm === 0 ? 1 : imm);
    }
  } else if (kind < 58) {
    const cls = chance(r, 60) ? 5 : 6;
    if (chance(r, 50)) w.add(cls | pick(r, JUMPS), w.scalar(), 0, OPEN, w.imm());
    else w.add(cls | pick(r, JUMPS) | 8, w.scalar(), w.scalar(), OPEN);
  } else if (kind < 68) {
    const size = pick(r, SIZES);
    const off = -(BYTES[size] * (1 + (r.u32() % 8)));
    if (chance(r, 50)) w.add(0x63 | size, 10, pick(r, [0, 1, 2, 3, 4, 5, 6, 8, 9]), off);
    else w.add(0x61 | size, w.scalar(), 10, off);
  } else if (kind < 78) {
    // The packet, at a constant or a masked offset.
    const size = pick(r, SIZES);
    if (chance(r, 50)) w.add((chance(r, 50) ? 0x61 : 0x63) | size, ...packetOperands(r, w, checked, BYTES[size]));
    else {
      const index = w.scalar();
      w.add(0x57, index, 0, 0, pick(r, [3, 7, 15, 31, 63, 255]))
        .add(0xbf, 5, 6)
        .add(0x0f, 5, index);
      const guard = chance(r, 60);
      if (guard) w.add(0xbf, 4, 5).add(0x07, 4, 0, 0, BYTES[size]).add(0x2d, 4, 7, 2);
      w.add(0x61 | size, 0, 5, 0);
      if (guard) w.add(0xb7, 4, 0, 0, 1).add(0xb7, 5, 0, 0, 1).add(0xb7, 4, 0, 0, 0).add(0xb7, 5, 0, 0, 0);
    }
  } else if (kind < 92) lookup(r, w);
  else {
    // A counted loop around one operation.
    w.add(0xb7, 8, 0, 0, 1 + (r.u32() % 6));
    w.add(0x0f, 0, w.scalar()).add(0x17, 8, 0, 0, 1).add(0x55, 8, 0, -3, 0);
  }
}

function packetOperands(r: Random, w: Writer, checked: number, size: number): [number, number, number] {
  const off = r.u32() % Math.max(1, checked - size + (chance(r, 8) ? 4 : 1));
  return chance(r, 50) ? [w.scalar(), 6, off] : [6, w.scalar(), off];
}

/** A map lookup, a null check most of the time, and accesses at constant and masked offsets; r1 to r5 have values again. */
function lookup(r: Random, w: Writer): void {
  const map = r.u32() % 2;
  const size = map === 0 ? 16 : 64;
  w.add(0x63, 10, w.scalar(), -4).add(0xbf, 2, 10).add(0x07, 2, 0, 0, -4);
  w.add(0x18, 1, 1, 0, map).add(0, 0, 0, 0, 0).add(0x85, 0, 0, 0, 1);
  const accesses = new Writer(r);
  for (let i = r.u32() % 3; i >= 0; i--) {
    const at = pick(r, SIZES);
    const off = (r.u32() % (size / BYTES[at])) * BYTES[at] + (chance(r, 6) ? size : 0);
    if (chance(r, 40)) accesses.add(0x63 | at, 0, 8, off);
    else if (chance(r, 30) && BYTES[at] >= 4)
      accesses.add(0xc3 | at, 0, 8, off, pick(r, [0x00, 0x01, 0x40, 0x50, 0xa0, 0xe1]));
    else accesses.add(0x61 | at, 3, 0, off);
  }
  if (chance(r, 40)) {
    accesses
      .add(0xbf, 4, 8)
      .add(0x57, 4, 0, 0, pick(r, [3, 7, 15, 31, 63]))
      .add(0x0f, 0, 4)
      .add(0x71, 3, 0, 0);
  }
  if (chance(r, 94)) w.add(0x15, 0, 0, accesses.insns.length);
  w.insns.push(...accesses.insns);
  for (const reg of [0, 1, 2, 3, 4, 5]) w.add(0xb7, reg, 0, 0, w.imm());
}

/** A recorded program with one to three fields of its instructions changed. */
export function mutated(r: Random, c: ProgramCase, id: string): ProgramCase {
  const bytes = expandInsns(c.insns);
  const dv = new DataView(bytes.buffer);
  const count = bytes.length / 8;
  for (let n = 1 + (r.u32() % 3); n > 0; n--) {
    const at = (r.u32() % count) * 8;
    switch (r.u32() % 6) {
      case 0:
        dv.setInt32(at + 4, chance(r, 70) ? pick(r, IMMS) : r.u32() | 0, true);
        break;
      case 1:
        dv.setInt16(at + 2, dv.getInt16(at + 2, true) + pick(r, [-8, -4, -2, -1, 1, 2, 4, 8]), true);
        break;
      case 2:
        dv.setUint8(at + 1, (dv.getUint8(at + 1) & 0xf0) | (r.u32() % 11));
        break;
      case 3:
        dv.setUint8(at + 1, (dv.getUint8(at + 1) & 0x0f) | ((r.u32() % 11) << 4));
        break;
      case 4: {
        // Another operation of the same class and operand.
        const code = dv.getUint8(at);
        const cls = code & 7;
        if (cls === 4 || cls === 7) dv.setUint8(at, (code & 0x0f) | pick(r, ALU));
        else if (cls === 5 || cls === 6) dv.setUint8(at, (code & 0x0f) | pick(r, JUMPS));
        else if (cls !== 0) dv.setUint8(at, (code & ~0x18) | pick(r, SIZES));
        break;
      }
      default: {
        // Two instructions change places.
        const to = (r.u32() % count) * 8;
        const a = bytes.slice(at, at + 8);
        bytes.copyWithin(at, to, to + 8);
        bytes.set(a, to);
      }
    }
  }
  return { ...c, id, insns: toHex(bytes), runs: undefined, maps_after: undefined };
}

/** Random packets: recorded frames with bytes changed and ends cut. */
export function randomPacket(r: Random, frames: readonly Uint8Array[]): Uint8Array {
  const frame = pick(r, frames).slice();
  for (let n = r.u32() % 4; n > 0; n--) frame[r.u32() % frame.length] = r.u32();
  return chance(r, 20) ? frame.slice(0, 14 + (r.u32() % Math.max(1, frame.length - 13))) : frame;
}

/** Frames for machines without the recorded ones. */
export const OWN_FRAMES: readonly Uint8Array[] = [
  `0200000000010200000000a008004500002000010000401166ca0a0000020a00000113881389000c000061626364${'00'.repeat(40)}`,
  `0200000000010200000000a0080045000028000100004006${'66cd'}0a0000020a000001020400160000000100000000500220007${'6c80000'}${'00'.repeat(30)}`,
].map(fromHex);
