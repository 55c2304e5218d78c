/**
 * `payload`: loads bytes of a header into a register, or stores register bytes into the packet and mends checksums.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { NO_OFFSET } from '../../../core/slab.ts';
import { fold, partial } from '../../../wire/checksum.ts';
import { IPPROTO_ICMPV6, IPPROTO_SCTP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE } from '../../../wire/ipv4.ts';
import type { AttrWriter } from '../../../wire/netlink/attr.ts';
import * as sctp from '../../../wire/sctp.ts';
import {
  NFT_BREAK,
  NFT_PAYLOAD_CSUM_INET,
  NFT_PAYLOAD_CSUM_NONE,
  NFT_PAYLOAD_CSUM_SCTP,
  NFT_PAYLOAD_INNER_HEADER,
  NFT_PAYLOAD_L4CSUM_PSEUDOHDR,
  NFT_PAYLOAD_LL_HEADER,
  NFT_PAYLOAD_NETWORK_HEADER,
  NFT_PAYLOAD_TRANSPORT_HEADER,
  NFTA_PAYLOAD_BASE,
  NFTA_PAYLOAD_CSUM_FLAGS,
  NFTA_PAYLOAD_CSUM_OFFSET,
  NFTA_PAYLOAD_CSUM_TYPE,
  NFTA_PAYLOAD_DREG,
  NFTA_PAYLOAD_LEN,
  NFTA_PAYLOAD_OFFSET,
  NFTA_PAYLOAD_SREG,
} from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { Native } from '../native.ts';
import type { PktInfo } from '../pkt.ts';
import { loadRegister, regNumber, storeRegister } from '../regs.ts';
import { innerHeader } from './inner-offset.ts';

/** Where the header of `base` begins; -1 when this packet has none. `fast`: later fragments are read as if they had one. */
function baseOffset(pkt: PktInfo, base: number, fast = false): number {
  switch (base) {
    case NFT_PAYLOAD_LL_HEADER: {
      const mac = pkt.slab.mac(pkt.p);
      return mac === NO_OFFSET ? -1 : mac;
    }
    case NFT_PAYLOAD_NETWORK_HEADER:
      return pkt.nhoff;
    case NFT_PAYLOAD_TRANSPORT_HEADER:
      return pkt.hasTransport && (fast || pkt.fragoff === 0) ? pkt.thoff : -1;
    case NFT_PAYLOAD_INNER_HEADER:
      return innerHeader(pkt);
    default:
      return -1;
  }
}

/**
 * A link-layer load from a frame whose VLAN tag was taken out: the bytes as they would lie with the tag in place.
 */
function byteWithTag(pkt: PktInfo, mac: number, i: number): number {
  const { slab, p } = pkt;
  if (i < 12) return slab.u8[mac + i];
  if (i < 14) return i === 12 ? slab.vlanProto(p) >> 8 : slab.vlanProto(p) & 255;
  if (i < 16) return i === 14 ? slab.vlanTci(p) >> 8 : slab.vlanTci(p) & 255;
  return slab.u8[mac + i - 4];
}

function payloadLoad(base: number, offset: number, length: number, to: number): Expr {
  // Linux reads aligned words of 1, 2 or 4 bytes on a shorter path, which does not look for fragments.
  const fast =
    base === NFT_PAYLOAD_TRANSPORT_HEADER && (length === 1 || length === 2 || length === 4) && offset % length === 0;
  const dump = (w: AttrWriter): void => {
    w.beU32(NFTA_PAYLOAD_DREG, regNumber(to)).beU32(NFTA_PAYLOAD_BASE, base);
    w.beU32(NFTA_PAYLOAD_OFFSET, offset).beU32(NFTA_PAYLOAD_LEN, length);
  };
  const native: Native = { op: 'payload', base, offset, length, to, fast };
  const headers = base === NFT_PAYLOAD_NETWORK_HEADER || base === NFT_PAYLOAD_TRANSPORT_HEADER;
  if (headers && (length === 1 || length === 2 || length === 4)) {
    // One word: most loads of real rulesets.
    const word = to >> 2;
    return {
      name: 'payload',
      native,
      eval(regs, pkt) {
        const header = baseOffset(pkt, base, fast);
        const at = header + offset;
        if (header < 0 || at + length > pkt.end) {
          regs.verdict = NFT_BREAK;
          return;
        }
        const { dv } = pkt.slab;
        regs.u32[word] =
          length === 4 ? dv.getUint32(at, true) : length === 2 ? dv.getUint16(at, true) : dv.getUint8(at);
      },
      dump,
    };
  }
  return {
    name: 'payload',
    native,
    eval(regs, pkt) {
      const at = baseOffset(pkt, base, fast);
      if (at < 0) {
        regs.verdict = NFT_BREAK;
        return;
      }
      const u8 = pkt.slab.u8;
      // The last register written is zeroed first, so that short loads compare as whole words.
      regs.u32[(to + length - 1) >> 2] = 0;
      if (base === NFT_PAYLOAD_LL_HEADER && pkt.slab.vlanProto(pkt.p) !== 0 && offset + length > 12) {
        if (at + offset + length - 4 > pkt.slab.end(pkt.p)) {
          regs.verdict = NFT_BREAK;
          return;
        }
        for (let i = 0; i < length; i++) regs.u8[to + i] = byteWithTag(pkt, at, offset + i);
        return;
      }
      const from = at + offset;
      if (from + length > pkt.end) {
        regs.verdict = NFT_BREAK;
        return;
      }
      for (let i = 0; i < length; i++) regs.u8[to + i] = u8[from + i];
    },
    dump,
  };
}

/** Offset of the transport checksum, -1 when the protocol has none that a pseudo header feeds. */
function l4ChecksumOffset(pkt: PktInfo): number {
  if (!pkt.hasTransport || pkt.fragoff !== 0) return -1;
  const at = pkt.thoff;
  switch (pkt.tprot) {
    case IPPROTO_TCP:
      return at + 18 <= pkt.end ? at + 16 : -1;
    case IPPROTO_UDP:
      return at + 8 <= pkt.end && pkt.slab.dv.getUint16(at + 6) !== 0 ? at + 6 : -1;
    case IPPROTO_UDPLITE:
      return at + 8 <= pkt.end ? at + 6 : -1;
    case IPPROTO_ICMPV6:
      return at + 4 <= pkt.end ? at + 2 : -1;
    default:
      return -1;
  }
}

/** Mends the checksum at `at` after bytes that summed to `before` sum to `after`. */
function mend(pkt: PktInfo, at: number, before: number, after: number, udp: boolean): void {
  const dv = pkt.slab.dv;
  let sum = fold((dv.getUint16(at) ^ 0xffff) + (fold(before) ^ 0xffff) + fold(after)) ^ 0xffff;
  if (udp && sum === 0) sum = 0xffff;
  dv.setUint16(at, sum);
}

function payloadStore(
  base: number,
  offset: number,
  length: number,
  from: number,
  csumType: number,
  csumOffset: number,
  csumFlags: number,
): Expr {
  return {
    name: 'payload',
    eval(regs, pkt) {
      const at = baseOffset(pkt, base);
      const { slab, p } = pkt;
      if (at < 0) {
        regs.verdict = NFT_BREAK;
        return;
      }
      if (base === NFT_PAYLOAD_LL_HEADER && slab.vlanProto(p) !== 0 && offset + length > 12) {
        // The tag lies in metadata: only whole stores of its TCI can be done in place.
        if (offset === 14 && length === 2) slab.setVlan(p, slab.vlanProto(p), (regs.u8[from] << 8) | regs.u8[from + 1]);
        else if (offset === 12 && length === 4) {
          slab.setVlan(p, (regs.u8[from] << 8) | regs.u8[from + 1], (regs.u8[from + 2] << 8) | regs.u8[from + 3]);
        } else regs.verdict = NFT_BREAK;
        return;
      }
      const to = at + offset;
      const end = slab.end(p);
      if (to + length > end) {
        regs.verdict = NFT_BREAK;
        return;
      }
      const { dv, u8 } = slab;
      // Checksums add 16-bit words that begin at even offsets of the header.
      const even = to - (offset & 1);
      const span = (length + (offset & 1) + 1) & ~1;
      const inside = even + span <= end ? span : end - even;
      const before = partial(dv, even, inside);
      for (let i = 0; i < length; i++) u8[to + i] = regs.u8[from + i];
      const after = partial(dv, even, inside);
      if (csumType === NFT_PAYLOAD_CSUM_INET) {
        const l4 = csumFlags & NFT_PAYLOAD_L4CSUM_PSEUDOHDR ? l4ChecksumOffset(pkt) : -1;
        if (l4 >= 0) mend(pkt, l4, before, after, pkt.tprot === IPPROTO_UDP);
        if (base !== NFT_PAYLOAD_TRANSPORT_HEADER || pkt.tprot !== IPPROTO_UDP || dv.getUint16(at + csumOffset) !== 0) {
          if (at + csumOffset + 2 <= end) {
            const udp = base === NFT_PAYLOAD_TRANSPORT_HEADER && pkt.tprot === IPPROTO_UDP;
            mend(pkt, at + csumOffset, before, after, udp);
          }
        }
      } else if (csumType === NFT_PAYLOAD_CSUM_NONE && csumFlags & NFT_PAYLOAD_L4CSUM_PSEUDOHDR) {
        const l4 = l4ChecksumOffset(pkt);
        if (l4 >= 0) mend(pkt, l4, before, after, pkt.tprot === IPPROTO_UDP);
      } else if (csumType === NFT_PAYLOAD_CSUM_SCTP && pkt.tprot === IPPROTO_SCTP && pkt.fragoff === 0) {
        const l4 = pkt.thoff;
        sctp.setChecksum(dv, l4, sctp.computeChecksum(dv, u8, l4, pkt.ipEnd() - l4));
      }
    },
    dump(w) {
      w.beU32(NFTA_PAYLOAD_SREG, regNumber(from)).beU32(NFTA_PAYLOAD_BASE, base);
      w.beU32(NFTA_PAYLOAD_OFFSET, offset).beU32(NFTA_PAYLOAD_LEN, length);
      w.beU32(NFTA_PAYLOAD_CSUM_TYPE, csumType).beU32(NFTA_PAYLOAD_CSUM_OFFSET, csumOffset);
      w.beU32(NFTA_PAYLOAD_CSUM_FLAGS, csumFlags);
    },
  };
}

export const payload: ExprKind = {
  name: 'payload',
  init(attrs): Expr {
    const base = u32Attr(attrs, NFTA_PAYLOAD_BASE);
    if (base > NFT_PAYLOAD_INNER_HEADER) throw new KernelError(EOPNOTSUPP);
    const offset = u32Attr(attrs, NFTA_PAYLOAD_OFFSET);
    const length = u32Attr(attrs, NFTA_PAYLOAD_LEN);
    if (offset > 255 || length === 0 || length > 64) throw new KernelError(EINVAL);
    if (attrs.has(NFTA_PAYLOAD_SREG)) {
      if (attrs.has(NFTA_PAYLOAD_DREG)) throw new KernelError(EINVAL);
      const from = loadRegister(attrs.get(NFTA_PAYLOAD_SREG), length);
      const csumType = u32Attr(attrs, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
      if (csumType > NFT_PAYLOAD_CSUM_SCTP) throw new KernelError(EOPNOTSUPP);
      const csumOffset = u32Attr(attrs, NFTA_PAYLOAD_CSUM_OFFSET, 0);
      const flags = u32Attr(attrs, NFTA_PAYLOAD_CSUM_FLAGS, 0);
      if (flags & ~NFT_PAYLOAD_L4CSUM_PSEUDOHDR) throw new KernelError(EINVAL);
      return payloadStore(base, offset, length, from, csumType, csumOffset, flags);
    }
    return payloadLoad(base, offset, length, storeRegister(attrs.get(NFTA_PAYLOAD_DREG), length));
  },
};
