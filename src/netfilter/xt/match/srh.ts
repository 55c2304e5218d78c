/** Match `srh`: the IPv6 segment routing header (RFC 8754). */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import * as S from '../../../wire/xt/srh.ts';
import { type MatchFn, XT_HOTDROP, XT_NO, XT_YES, type XtMatch } from '../extension.ts';
import { findHeader } from './ipv6-headers.ts';

const ROUTING = 43;
const SRH_TYPE = 4;
const ALL_FLAGS = 0x3fff;

type Test = (u8: Uint8Array, at: number) => boolean;

/** Tests of one field against one value: flag and comparison. */
function numbers(offset: number, value: number, eq: number, gt: number, lt: number): readonly [number, Test][] {
  return [
    [eq, (u8, at) => u8[at + offset] === value],
    [gt, (u8, at) => u8[at + offset] > value],
    [lt, (u8, at) => u8[at + offset] < value],
  ];
}

/** Compares the address of one segment, whose place is counted from the header; false when it lies outside. */
function segment(place: (u8: Uint8Array, at: number) => number, address: Uint8Array, mask: Uint8Array): Test {
  return (u8, at) => {
    const from = at + 8 + 16 * place(u8, at);
    for (let i = 0; i < 16; i++) if (((u8[from + i] ^ address[i]) & mask[i]) !== 0) return false;
    return true;
  };
}

export const srh: XtMatch<S.Srh> = {
  name: 'srh',
  revision: 1,
  family: NFPROTO_IPV6,
  codec: S.srh,
  make(info): MatchFn {
    if (info.flags & ~ALL_FLAGS || info.invert & ~ALL_FLAGS) throw new KernelError(EINVAL);
    const all: readonly [number, Test][] = [
      [S.SRH_NEXTHDR, (u8, at) => u8[at] === info.nextHeader],
      ...numbers(1, info.headerLength, S.SRH_LEN_EQ, S.SRH_LEN_GT, S.SRH_LEN_LT),
      ...numbers(3, info.segmentsLeft, S.SRH_SEGS_EQ, S.SRH_SEGS_GT, S.SRH_SEGS_LT),
      ...numbers(4, info.lastEntry, S.SRH_LAST_EQ, S.SRH_LAST_GT, S.SRH_LAST_LT),
      [S.SRH_TAG, (u8, at) => u8[at + 6] * 256 + u8[at + 7] === info.tag],
      // Segments stand in reverse: the previous one after the active one, the next one before it, the last one first.
      [S.SRH_PSID, segment((u8, at) => u8[at + 3] + 1, info.psid, info.psidMask)],
      [S.SRH_NSID, segment((u8, at) => u8[at + 3] - 1, info.nsid, info.nsidMask)],
      [S.SRH_LSID, segment(() => 0, info.lsid, info.lsidMask)],
    ];
    const tests = all
      .filter(([flag]) => info.flags & flag)
      .map(([flag, test]) => ({ test, flag, invert: (info.invert & flag) !== 0 }));
    return (pkt) => {
      const at = findHeader(pkt, ROUTING);
      if (at < 0) return at === -2 ? XT_HOTDROP : XT_NO;
      const { u8 } = pkt.slab;
      if (at + 8 > pkt.end) return XT_NO;
      const length = (u8[at + 1] + 1) * 8;
      if (at + length > pkt.end || u8[at + 2] !== SRH_TYPE || u8[at + 3] > u8[at + 4]) return XT_NO;
      // The segment list must lie inside the header.
      if (8 + 16 * (u8[at + 4] + 1) > length) return XT_NO;
      for (const { test, flag, invert } of tests) {
        // There is nothing before the first segment, and nothing after the last.
        if (flag === S.SRH_PSID && u8[at + 3] === u8[at + 4]) return XT_NO;
        if (flag === S.SRH_NSID && u8[at + 3] === 0) return XT_NO;
        if (test(u8, at) === invert) return XT_NO;
      }
      return XT_YES;
    };
  },
};
