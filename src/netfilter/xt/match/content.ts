/** Matches on bytes: string, u32. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { type StringMatch, stringMatch } from '../../../wire/xt/string.ts';
import { type U32Match, type U32Test, u32Match } from '../../../wire/xt/u32.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const INVERT = 1;
const IGNORECASE = 2;

const lower = (byte: number): number => (byte >= 65 && byte <= 90 ? byte + 32 : byte);

export const string: XtMatch<StringMatch> = {
  name: 'string',
  revision: 1,
  codec: stringMatch,
  make(info) {
    if (info.from > info.to || info.patternLength > 128 || info.flags & ~3) throw new KernelError(EINVAL);
    if (info.algo !== 'bm' && info.algo !== 'kmp' && info.algo !== 'fsm') throw new KernelError(EINVAL);
    const ignore = (info.flags & IGNORECASE) !== 0;
    const invert = (info.flags & INVERT) !== 0;
    const pattern = info.pattern.subarray(0, info.patternLength).map((byte) => (ignore ? lower(byte) : byte));
    const n = pattern.length;
    return (pkt) => {
      const { u8 } = pkt.slab;
      // Offsets count from the network header; the pattern may begin at `to` at the latest.
      const last = Math.min(pkt.nhoff + info.to, pkt.slab.end(pkt.p) - n);
      let hit = false;
      for (let at = pkt.nhoff + info.from; at <= last && !hit; at++) {
        hit = true;
        for (let i = 0; i < n; i++) {
          const byte = ignore ? lower(u8[at + i]) : u8[at + i];
          if (byte !== pattern[i]) {
            hit = false;
            break;
          }
        }
      }
      return hit !== invert ? XT_YES : XT_NO;
    };
  },
};

const AND = 0;
const LEFTSH = 1;
const RIGHTSH = 2;
const AT = 3;

function u32Test(test: U32Test, pkt: PktInfo): boolean {
  const { dv } = pkt.slab;
  const length = pkt.slab.end(pkt.p) - pkt.nhoff;
  let at = 0;
  let position = test.location[0].number;
  if (length < 4 || position > length - 4) return false;
  let value = dv.getUint32(pkt.nhoff + position);
  for (let i = 1; i < test.nnums; i++) {
    const { number, nextop } = test.location[i];
    switch (nextop) {
      case AND:
        value = (value & number) >>> 0;
        break;
      case LEFTSH:
        value = number > 31 ? 0 : (value << number) >>> 0;
        break;
      case RIGHTSH:
        value = number > 31 ? 0 : value >>> number;
        break;
      case AT:
        if (at + value + 4 > length) return false;
        at += value;
        position = number;
        if (at + 4 > length || position > length - at - 4) return false;
        value = dv.getUint32(pkt.nhoff + at + position);
        break;
    }
  }
  for (let i = 0; i < test.nvalues; i++) if (value >= test.value[i].min && value <= test.value[i].max) return true;
  return false;
}

export const u32: XtMatch<U32Match> = {
  name: 'u32',
  revision: 0,
  codec: u32Match,
  make(info) {
    if (info.ntests > 11 || info.tests.some((t) => t.nnums > 11 || t.nvalues > 11)) throw new KernelError(EINVAL);
    const tests = info.tests.slice(0, info.ntests);
    const invert = info.invert !== 0;
    return (pkt) => {
      let hit = true;
      for (const test of tests)
        if (!u32Test(test, pkt)) {
          hit = false;
          break;
        }
      return hit !== invert ? XT_YES : XT_NO;
    };
  },
};
