/** Targets that change the packet: TTL, HL, DSCP, TOS, TCPMSS, ECN; each mends the checksums it touches. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { update16 } from '../../../wire/checksum.ts';
import * as ipv4 from '../../../wire/ipv4.ts';
import { NF_DROP, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type DscpTarget, dscpTarget } from '../../../wire/xt/dscp-target.ts';
import { type TcpmssTarget, tcpmssTarget } from '../../../wire/xt/tcpmss-target.ts';
import { type TosTarget, tosTarget } from '../../../wire/xt/tos-target.ts';
import { type TtlTarget, ttlTarget } from '../../../wire/xt/ttl-target.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';
import { tosOctet } from '../match/packet.ts';

/** Writes a 16-bit word of the IPv4 header and mends its checksum. */
function setWord4(pkt: PktInfo, offset: number, value: number): void {
  const { dv } = pkt.slab;
  const at = pkt.nhoff + offset;
  ipv4.setHeaderChecksum(dv, pkt.nhoff, update16(ipv4.headerChecksum(dv, pkt.nhoff), dv.getUint16(at), value));
  dv.setUint16(at, value);
}

/** Writes the type of service octet or traffic class. */
export function setTos(pkt: PktInfo, octet: number): void {
  const { dv } = pkt.slab;
  if (pkt.pf === NFPROTO_IPV4) setWord4(pkt, 0, (dv.getUint16(pkt.nhoff) & 0xff00) | octet);
  else dv.setUint16(pkt.nhoff, (dv.getUint16(pkt.nhoff) & 0xf00f) | (octet << 4));
}

function hopLimit(name: string, family: number): XtTarget<TtlTarget> {
  return {
    name,
    revision: 0,
    family,
    codec: ttlTarget,
    make(info, ctx) {
      if (ctx.table !== 'mangle' || info.mode > 2 || (info.mode !== 0 && info.ttl === 0)) throw new KernelError(EINVAL);
      const v4 = family === NFPROTO_IPV4;
      return (pkt) => {
        const at = pkt.nhoff + (v4 ? 8 : 7);
        const old = pkt.slab.u8[at];
        let value = info.ttl;
        if (info.mode === 1) value = Math.min(255, old + info.ttl);
        else if (info.mode === 2) value = Math.max(0, old - info.ttl);
        if (value === old) return XT_CONTINUE;
        if (v4) setWord4(pkt, 8, (value << 8) | pkt.slab.u8[pkt.nhoff + 9]);
        else pkt.slab.u8[at] = value;
        return XT_CONTINUE;
      };
    },
  };
}
export const TTL: XtTarget<TtlTarget> = hopLimit('TTL', NFPROTO_IPV4);
export const HL: XtTarget<TtlTarget> = hopLimit('HL', NFPROTO_IPV6);

export const DSCP: XtTarget<DscpTarget> = {
  name: 'DSCP',
  revision: 0,
  codec: dscpTarget,
  make(info, ctx) {
    if (info.dscp > 63 || ctx.table !== 'mangle') throw new KernelError(EINVAL);
    return (pkt) => {
      const octet = tosOctet(pkt);
      if (octet >> 2 !== info.dscp) setTos(pkt, (info.dscp << 2) | (octet & 3));
      return XT_CONTINUE;
    };
  },
};

export const TOS: XtTarget<TosTarget> = {
  name: 'TOS',
  revision: 1,
  codec: tosTarget,
  make(info, ctx) {
    if (ctx.table !== 'mangle') throw new KernelError(EINVAL);
    return (pkt) => {
      const old = tosOctet(pkt);
      const octet = (old & ~info.mask & 0xff) ^ info.value;
      if (octet !== old) setTos(pkt, octet);
      return XT_CONTINUE;
    };
  },
};

const CLAMP = 0xffff;
const DEFAULT_MSS4 = 536;
const DEFAULT_MSS6 = 1220;

export const TCPMSS: XtTarget<TcpmssTarget> = {
  name: 'TCPMSS',
  revision: 0,
  proto: 6,
  codec: tcpmssTarget,
  make(info, ctx) {
    const { host } = ctx.init;
    const v4 = ctx.family === NFPROTO_IPV4;
    return (pkt) => {
      if (pkt.fragoff !== 0) return XT_CONTINUE;
      const { slab } = pkt;
      const { dv, u8 } = slab;
      const at = pkt.thoff;
      const header = at + 20 <= pkt.end ? (u8[at + 12] >> 4) * 4 : 0;
      if (header < 20 || at + header > pkt.end) return NF_DROP;
      const wanted = info.mss === CLAMP ? host.routeMss(pkt.p) : info.mss;
      if (wanted === 0) return XT_CONTINUE;
      for (let i = at + 20; i <= at + header - 4; i += u8[i] < 2 ? 1 : u8[i + 1] || 1) {
        if (u8[i] !== 2 || u8[i + 1] !== 4) continue;
        const old = dv.getUint16(i + 2);
        // Never raise it: the peer may not be able to take more.
        if (old <= wanted) return XT_CONTINUE;
        dv.setUint16(i + 2, wanted);
        mendTcp(pkt, i + 2, old, wanted);
        return XT_CONTINUE;
      }
      // No option: one is put in when the segment carries nothing and the header has room (RFC 9293 section 3.7.1).
      if (pkt.end > at + header || header >= 60) return XT_CONTINUE;
      return insertMss(pkt, header, Math.min(wanted, v4 ? DEFAULT_MSS4 : DEFAULT_MSS6), v4);
    };
  },
  validate(chain, info) {
    const hook = chain.base?.hook ?? 0;
    if (info.mss === CLAMP && (hook < 2 || hook > 4)) throw new KernelError(EINVAL);
  },
};

/** Mends the TCP checksum after the word at `at` changed; a word at an odd place of the header counts swapped. */
function mendTcp(pkt: PktInfo, at: number, before: number, after: number): void {
  const { dv } = pkt.slab;
  const odd = (at - pkt.thoff) & 1;
  const swap = (v: number): number => (odd ? ((v & 0xff) << 8) | (v >> 8) : v);
  const sum = pkt.thoff + 16;
  dv.setUint16(sum, update16(dv.getUint16(sum), swap(before), swap(after)));
}

function insertMss(pkt: PktInfo, header: number, mss: number, v4: boolean): number {
  const { slab, p } = pkt;
  if (!slab.setLen(p, slab.len(p) + 4)) return NF_DROP;
  const { dv, u8 } = slab;
  const at = pkt.thoff;
  u8.copyWithin(at + 24, at + 20, at + header);
  dv.setUint32(at + 20, 0x02040000 | mss);
  // Pseudo header length, the data offset word and the option itself enter the checksum.
  const sum = at + 16;
  let check = dv.getUint16(sum);
  check = update16(check, header, header + 4);
  check = update16(check, 0, 0x0204);
  check = update16(check, 0, mss);
  const word = dv.getUint16(at + 12);
  dv.setUint16(at + 12, word + 0x1000);
  check = update16(check, word, word + 0x1000);
  dv.setUint16(sum, check);
  if (v4) setWord4(pkt, 2, dv.getUint16(pkt.nhoff + 2) + 4);
  else dv.setUint16(pkt.nhoff + 4, dv.getUint16(pkt.nhoff + 4) + 4);
  pkt.end += 4;
  return XT_CONTINUE;
}
