/** Match `sctp`: ports and chunk types (RFC 9260). */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { sctp as codec, type Sctp } from '../../../wire/xt/sctp.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_HOTDROP, XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const IPPROTO_SCTP = 132;
const SRC_PORTS = 1;
const DEST_PORTS = 2;
const CHUNK_TYPES = 4;
const ANY = 1;
const ALL = 2;
const ONLY = 4;

const isSet = (map: readonly number[], type: number): boolean => (map[type >> 5] & (1 << (type & 31))) !== 0;

function flagsMatch(info: Sctp, type: number, flags: number): boolean {
  for (let i = 0; i < info.flagCount; i++) {
    const f = info.flagInfo[i];
    if (f.type === type) return (flags & f.mask) === f.flag;
  }
  return true;
}

function chunks(info: Sctp, pkt: PktInfo): number {
  const { u8, dv } = pkt.slab;
  const left = info.chunkMap.map((word) => word);
  let at = pkt.thoff + 12;
  while (at + 4 <= pkt.end) {
    const type = u8[at];
    const length = dv.getUint16(at + 2);
    if (length === 0) return XT_HOTDROP;
    if (isSet(info.chunkMap, type)) {
      const good = flagsMatch(info, type, u8[at + 1]);
      if (info.chunkMatch === ANY && good) return XT_YES;
      if (info.chunkMatch === ALL && good) left[type >> 5] = (left[type >> 5] & ~(1 << (type & 31))) >>> 0;
      if (info.chunkMatch === ONLY && !good) return XT_NO;
    } else if (info.chunkMatch === ONLY) return XT_NO;
    at += (length + 3) & ~3;
  }
  if (info.chunkMatch === ALL) return left.every((word) => word === 0) ? XT_YES : XT_NO;
  return info.chunkMatch === ONLY ? XT_YES : XT_NO;
}

export const sctp: XtMatch<Sctp> = {
  name: 'sctp',
  revision: 0,
  proto: IPPROTO_SCTP,
  codec,
  make(info) {
    if (info.flags & ~7 || info.invert & ~7 || info.invert & ~info.flags || info.flagCount > 4)
      throw new KernelError(EINVAL);
    const judge = (hit: boolean, flag: number): boolean => hit !== ((info.invert & flag) !== 0);
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_NO;
      if (!pkt.hasTransport || pkt.thoff + 12 > pkt.end) return XT_HOTDROP;
      const { dv } = pkt.slab;
      const src = dv.getUint16(pkt.thoff);
      const dst = dv.getUint16(pkt.thoff + 2);
      if (info.flags & SRC_PORTS && !judge(src >= info.spts[0] && src <= info.spts[1], SRC_PORTS)) return XT_NO;
      if (info.flags & DEST_PORTS && !judge(dst >= info.dpts[0] && dst <= info.dpts[1], DEST_PORTS)) return XT_NO;
      if (!(info.flags & CHUNK_TYPES)) return XT_YES;
      const answer = chunks(info, pkt);
      return answer === XT_HOTDROP ? answer : judge(answer === XT_YES, CHUNK_TYPES) ? XT_YES : XT_NO;
    };
  },
};
