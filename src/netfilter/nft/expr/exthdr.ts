/**
 * `exthdr`: IPv6 extension headers, IPv4 and TCP options, SCTP and DCCP chunks: presence, bytes, and for TCP options
 * setting and removing.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { update16 } from '../../../wire/checksum.ts';
import * as ipv4 from '../../../wire/ipv4.ts';
import * as ipv6 from '../../../wire/ipv6.ts';
import { getU8 } from '../../../wire/netlink/attr.ts';
import * as sctp from '../../../wire/sctp.ts';
import * as tcp from '../../../wire/tcp.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, need, u32Attr } from '../expr.ts';
import type { PktInfo } from '../pkt.ts';
import { loadRegister, regNumber, storeRegister } from '../regs.ts';

const NFT_EXTHDR_OP_IPV4 = 2;
const NFT_EXTHDR_OP_SCTP = 3;
const NFT_EXTHDR_OP_DCCP = 4;

/** Finds the header or option of `type`: its offset, -1 when it is not there. */
type Find = (pkt: PktInfo, type: number) => number;

/** IPv6 extension header by protocol number; the fragment header of a later fragment counts, headers behind do not. */
const findIpv6: Find = (pkt, type) => {
  const dv = pkt.slab.dv;
  if (ipv6.version(dv, pkt.nhoff) !== 6) return -1;
  let next = ipv6.nextHeader(dv, pkt.nhoff);
  let at = pkt.nhoff + ipv6.HEADER_LENGTH;
  for (;;) {
    if (next === type) return at + 2 <= pkt.end ? at : -1;
    if (!ipv6.isExtensionHeader(next) || next === ipv4.IPPROTO_NONE || at + 8 > pkt.end) return -1;
    if (next === ipv4.IPPROTO_FRAGMENT && dv.getUint16(at + 2) & 0xfff8) return -1;
    const length = ipv6.extensionLength(dv, next, at);
    next = dv.getUint8(at);
    at += length;
  }
};

function hasTcpHeader(pkt: PktInfo): boolean {
  if (!pkt.hasTransport || pkt.tprot !== ipv4.IPPROTO_TCP || pkt.fragoff !== 0) return false;
  return tcp.check(pkt.slab.dv, pkt.thoff, pkt.end - pkt.thoff);
}

const findTcpOption: Find = (pkt, type) => {
  if (!hasTcpHeader(pkt)) return -1;
  return tcp.findOption(pkt.slab.dv, pkt.thoff, type);
};

const findIpv4Option: Find = (pkt, type) => {
  const dv = pkt.slab.dv;
  if (ipv4.version(dv, pkt.nhoff) !== 4) return -1;
  const end = pkt.nhoff + ipv4.headerLength(dv, pkt.nhoff);
  for (let at = pkt.nhoff + ipv4.HEADER_LENGTH; at < end; ) {
    const kind = dv.getUint8(at);
    if (kind === 0) return -1;
    if (kind === 1) {
      at++;
      continue;
    }
    const length = at + 1 < end ? dv.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) return -1;
    if (kind === type) return at;
    at += length;
  }
  return -1;
};

const findSctpChunk: Find = (pkt, type) => {
  if (!pkt.hasTransport || pkt.tprot !== ipv4.IPPROTO_SCTP || pkt.fragoff !== 0) return -1;
  const dv = pkt.slab.dv;
  let at = pkt.thoff + sctp.HEADER_LENGTH;
  if (at + sctp.CHUNK_HEADER_LENGTH > pkt.end) return -1;
  for (; at >= 0; at = sctp.nextChunk(dv, at, pkt.end)) if (sctp.chunkType(dv, at) === type) return at;
  return -1;
};

const findDccpOption: Find = (pkt, type) => {
  if (!pkt.hasTransport || pkt.tprot !== ipv4.IPPROTO_DCCP || pkt.fragoff !== 0) return -1;
  const dv = pkt.slab.dv;
  if (pkt.thoff + 12 > pkt.end) return -1;
  const end = Math.min(pkt.thoff + (dv.getUint8(pkt.thoff + 4) << 2), pkt.end);
  const extended = dv.getUint8(pkt.thoff + 8) & 1;
  const packetType = (dv.getUint8(pkt.thoff + 8) >> 1) & 15;
  const acks = packetType >= 2 && packetType !== 0 ? (extended ? 8 : 4) : 0;
  const fixed =
    (extended ? 16 : 12) + (packetType === 0 ? 4 : acks + (packetType === 1 ? 4 : packetType === 7 ? 4 : 0));
  for (let at = pkt.thoff + fixed; at < end; ) {
    const kind = dv.getUint8(at);
    if (kind === type) return at;
    if (kind < 32) {
      at++;
      continue;
    }
    const length = at + 1 < end ? dv.getUint8(at + 1) : 0;
    if (length < 2) return -1;
    at += length;
  }
  return -1;
};

const FINDERS: ReadonlyMap<number, Find> = new Map([
  [U.NFT_EXTHDR_OP_IPV6, findIpv6],
  [U.NFT_EXTHDR_OP_TCPOPT, findTcpOption],
  [NFT_EXTHDR_OP_IPV4, findIpv4Option],
  [NFT_EXTHDR_OP_SCTP, findSctpChunk],
  [NFT_EXTHDR_OP_DCCP, findDccpOption],
]);

/** Writes a byte inside the TCP header and mends its checksum. */
function patch(pkt: PktInfo, at: number, value: number): void {
  const dv = pkt.slab.dv;
  const even = at - ((at - pkt.thoff) & 1);
  const before = dv.getUint16(even);
  dv.setUint8(at, value);
  tcp.setChecksum(dv, pkt.thoff, update16(tcp.checksum(dv, pkt.thoff), before, dv.getUint16(even)));
}

export const exthdr: ExprKind = {
  name: 'exthdr',
  init(attrs): Expr {
    const op = u32Attr(attrs, U.NFTA_EXTHDR_OP, U.NFT_EXTHDR_OP_IPV6);
    const find = FINDERS.get(op);
    if (find === undefined) throw new KernelError(EOPNOTSUPP);
    const type = getU8(need(attrs, U.NFTA_EXTHDR_TYPE).payload);
    const sreg = attrs.get(U.NFTA_EXTHDR_SREG);
    const dreg = attrs.get(U.NFTA_EXTHDR_DREG);
    const flags = u32Attr(attrs, U.NFTA_EXTHDR_FLAGS, 0);
    if (flags & ~U.NFT_EXTHDR_F_PRESENT) throw new KernelError(EINVAL);
    if (sreg === undefined && dreg === undefined) {
      if (op !== U.NFT_EXTHDR_OP_TCPOPT) throw new KernelError(EOPNOTSUPP);
      return {
        name: 'exthdr',
        // "reset": the option's bytes become no-operations.
        eval(regs, pkt) {
          if (!hasTcpHeader(pkt)) {
            regs.verdict = U.NFT_BREAK;
            return;
          }
          const at = find(pkt, type);
          if (at < 0) return;
          const length = pkt.slab.dv.getUint8(at + 1);
          for (let i = 0; i < length; i++) patch(pkt, at + i, tcp.TCPOPT_NOP);
        },
        dump(w) {
          w.u8(U.NFTA_EXTHDR_TYPE, type).beU32(U.NFTA_EXTHDR_OFFSET, 0).beU32(U.NFTA_EXTHDR_LEN, 0);
          w.beU32(U.NFTA_EXTHDR_FLAGS, 0).beU32(U.NFTA_EXTHDR_OP, op);
        },
      };
    }
    const offset = u32Attr(attrs, U.NFTA_EXTHDR_OFFSET);
    const length = u32Attr(attrs, U.NFTA_EXTHDR_LEN);
    if (offset > 255 || length > 255) throw new KernelError(EINVAL);
    if (sreg !== undefined) {
      if (op !== U.NFT_EXTHDR_OP_TCPOPT || flags !== 0 || (length !== 2 && length !== 4 && length !== 8)) {
        throw new KernelError(EOPNOTSUPP);
      }
      const from = loadRegister(sreg, length);
      return {
        name: 'exthdr',
        eval(regs, pkt) {
          if (!hasTcpHeader(pkt)) {
            regs.verdict = U.NFT_BREAK;
            return;
          }
          const at = find(pkt, type);
          if (at < 0) return;
          const dv = pkt.slab.dv;
          if (dv.getUint8(at + 1) < offset + length) return;
          // The MSS is only ever lowered.
          if (
            type === tcp.TCPOPT_MSS &&
            length === 2 &&
            offset === 2 &&
            dv.getUint16(at + 2) <= regs.dv.getUint16(from)
          )
            return;
          for (let i = 0; i < length; i++) patch(pkt, at + offset + i, regs.u8[from + i]);
        },
        dump(w) {
          w.beU32(U.NFTA_EXTHDR_SREG, regNumber(from)).u8(U.NFTA_EXTHDR_TYPE, type);
          w.beU32(U.NFTA_EXTHDR_OFFSET, offset).beU32(U.NFTA_EXTHDR_LEN, length);
          w.beU32(U.NFTA_EXTHDR_FLAGS, 0).beU32(U.NFTA_EXTHDR_OP, op);
        },
      };
    }
    const present = (flags & U.NFT_EXTHDR_F_PRESENT) !== 0;
    const to = storeRegister(dreg, present ? 1 : length);
    return {
      name: 'exthdr',
      eval(regs, pkt) {
        const at = find(pkt, type);
        if (present) {
          regs.u32[to >> 2] = at >= 0 ? 1 : 0;
          return;
        }
        const dv = pkt.slab.dv;
        const isTcp = op === U.NFT_EXTHDR_OP_TCPOPT;
        if (at < 0 || at + offset + length > pkt.end || (isTcp && type > 1 && offset + length > dv.getUint8(at + 1))) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        regs.u32[(to + length - 1) >> 2] = 0;
        for (let i = 0; i < length; i++) regs.u8[to + i] = pkt.slab.u8[at + offset + i];
      },
      dump(w) {
        w.beU32(U.NFTA_EXTHDR_DREG, regNumber(to)).u8(U.NFTA_EXTHDR_TYPE, type);
        w.beU32(U.NFTA_EXTHDR_OFFSET, offset).beU32(U.NFTA_EXTHDR_LEN, length);
        w.beU32(U.NFTA_EXTHDR_FLAGS, flags).beU32(U.NFTA_EXTHDR_OP, op);
      },
    };
  },
};
