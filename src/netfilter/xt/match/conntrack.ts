/** Matches on the packet's connection: conntrack (and state), connmark, connbytes, connlabel, connlimit, helper. */
import { EINVAL, ERANGE, KernelError } from '../../../core/errno.ts';
import { IP_CT_IS_REPLY, IPS_DST_NAT, IPS_SRC_NAT } from '../../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { type Connbytes, connbytes as connbytesCodec } from '../../../wire/xt/connbytes.ts';
import { type Connlabel, connlabel as connlabelCodec } from '../../../wire/xt/connlabel.ts';
import { type Connlimit, connlimit as connlimitCodec } from '../../../wire/xt/connlimit.ts';
import { type Connmark, connmark as connmarkCodec } from '../../../wire/xt/connmark.ts';
import { type Conntrack, conntrack as conntrackCodec } from '../../../wire/xt/conntrack.ts';
import { type Helper, helper as helperCodec } from '../../../wire/xt/helper.ts';
import { ConnCount } from '../../conntrack/conncount.ts';
import type { Conntrack as Table } from '../../conntrack/conntrack.ts';
import { type Conn, IP_CT_UNTRACKED } from '../../conntrack/entry.ts';
import { DST, PORTS, protonum } from '../../conntrack/tuple.ts';
import { holdConntrack } from '../../nft/expr/nat-common.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import { type Made, type MatchFn, XT_HOTDROP, XT_NO, XT_YES, type XtContext, type XtMatch } from '../extension.ts';

const STATE = 1;
const PROTO = 2;
const ORIGSRC = 4;
const ORIGDST = 8;
const REPLSRC = 16;
const REPLDST = 32;
const STATUS = 64;
const EXPIRES = 128;
const ORIGSRC_PORT = 256;
const ORIGDST_PORT = 512;
const REPLSRC_PORT = 1024;
const REPLDST_PORT = 2048;
const DIRECTION = 4096;
const STATE_INVALID = 1;
const STATE_SNAT = 64;
const STATE_DNAT = 128;
const STATE_UNTRACKED = 256;

/** A match that keeps connection tracking on while its rule is there. */
function tracked(ctx: XtContext, run: MatchFn): Made<MatchFn> {
  const release = holdConntrack(ctx.init);
  return { run, destroy: release };
}

/** The packet's entry. A template counts as well: before tracking it is all there is, and reads as a new connection. */
function entryOf(table: Table, pkt: PktInfo): Conn | undefined {
  return table.of(pkt.p);
}

/** An address under a mask, as words in host order. */
function maskedWords(address: Uint8Array, mask: Uint8Array): { words: Uint32Array; mask: Uint32Array } {
  const a = new DataView(address.buffer, address.byteOffset);
  const m = new DataView(mask.buffer, mask.byteOffset);
  const words = new Uint32Array(4);
  const masks = new Uint32Array(4);
  for (let i = 0; i < 4; i++) {
    masks[i] = m.getUint32(i * 4);
    words[i] = a.getUint32(i * 4);
  }
  return { words, mask: masks };
}

type Check = (ct: Conn, table: Table) => boolean;

export const conntrack: XtMatch<Conntrack> = {
  name: 'conntrack',
  revision: 3,
  codec: conntrackCodec,
  make(info, ctx) {
    const table = ctx.init.host.conntrack;
    const count = ctx.family === NFPROTO_IPV4 ? 1 : 4;
    const inverted = (flag: number): boolean => (info.invertFlags & flag) !== 0;
    const checks: Check[] = [];
    const addresses: readonly [number, Uint8Array, Uint8Array, number, number][] = [
      [ORIGSRC, info.origSrc, info.origSrcMask, 0, 0],
      [ORIGDST, info.origDst, info.origDstMask, 0, DST],
      [REPLSRC, info.replSrc, info.replSrcMask, 1, 0],
      [REPLDST, info.replDst, info.replDstMask, 1, DST],
    ];
    for (const [flag, address, netmask, dir, offset] of addresses) {
      if (!(info.matchFlags & flag)) continue;
      const { words, mask } = maskedWords(address, netmask);
      checks.push((ct, t) => {
        const at = t.at(ct, dir) + offset;
        let same = true;
        for (let i = 0; i < count; i++) same &&= ((ct.words[at + i] ^ words[i]) & mask[i]) === 0;
        return same !== inverted(flag);
      });
    }
    if (info.matchFlags & PROTO)
      checks.push((ct, t) => (protonum(ct.words, t.at(ct, 0)) === info.l4proto) !== inverted(PROTO));
    const ports: readonly [number, number, number, number, number][] = [
      [ORIGSRC_PORT, info.origSrcPort, info.origSrcPortHigh, 0, 16],
      [ORIGDST_PORT, info.origDstPort, info.origDstPortHigh, 0, 0],
      [REPLSRC_PORT, info.replSrcPort, info.replSrcPortHigh, 1, 16],
      [REPLDST_PORT, info.replDstPort, info.replDstPortHigh, 1, 0],
    ];
    for (const [flag, low, high, dir, shift] of ports) {
      if (!(info.matchFlags & flag)) continue;
      checks.push((ct, t) => {
        const port = (ct.words[t.at(ct, dir) + PORTS] >>> shift) & 0xffff;
        return (port >= low && port <= high) !== inverted(flag);
      });
    }
    if (info.matchFlags & STATUS) checks.push((ct) => ((info.statusMask & ct.status) !== 0) !== inverted(STATUS));
    if (info.matchFlags & EXPIRES)
      checks.push((ct, t) => {
        const left = Math.max(0, Math.floor(t.expires(ct)));
        return (left >= info.expiresMin && left <= info.expiresMax) !== inverted(EXPIRES);
      });
    return tracked(ctx, (pkt) => {
      const ctinfo = table.slab.nfctinfo(pkt.p);
      const ct = entryOf(table, pkt);
      let bit = STATE_INVALID;
      if (ct !== undefined) bit = 1 << ((ctinfo % IP_CT_IS_REPLY) + 1);
      else if (ctinfo === IP_CT_UNTRACKED) bit = STATE_UNTRACKED;
      if (info.matchFlags & STATE) {
        if (ct !== undefined) {
          if (ct.status & IPS_SRC_NAT) bit |= STATE_SNAT;
          if (ct.status & IPS_DST_NAT) bit |= STATE_DNAT;
        }
        if (((info.stateMask & bit) !== 0) === inverted(STATE)) return XT_NO;
      }
      if (ct === undefined) return info.matchFlags & STATE ? XT_YES : XT_NO;
      if (info.matchFlags & DIRECTION && ctinfo < IP_CT_IS_REPLY === inverted(DIRECTION)) return XT_NO;
      for (const check of checks) if (!check(ct, table)) return XT_NO;
      return XT_YES;
    });
  },
};

export const connmark: XtMatch<Connmark> = {
  name: 'connmark',
  revision: 1,
  codec: connmarkCodec,
  make(info, ctx) {
    const table = ctx.init.host.conntrack;
    return tracked(ctx, (pkt) => {
      const ct = entryOf(table, pkt);
      if (ct === undefined) return XT_NO;
      return ((ct.mark & info.mask) >>> 0 === info.mark) !== (info.invert !== 0) ? XT_YES : XT_NO;
    });
  },
};

export const connbytes: XtMatch<Connbytes> = {
  name: 'connbytes',
  revision: 0,
  codec: connbytesCodec,
  make(info, ctx) {
    if (info.what > 2 || info.direction > 2) throw new KernelError(EINVAL);
    const table = ctx.init.host.conntrack;
    // The match needs accounting and turns it on (as the kernel does).
    table.setSysctl('nf_conntrack_acct', '1');
    const from = Number(info.from);
    const to = Number(info.to);
    const swapped = to < from;
    const pick = (original: number, reply: number): number =>
      info.direction === 2 ? original + reply : info.direction === 1 ? reply : original;
    return tracked(ctx, (pkt) => {
      const ct = entryOf(table, pkt);
      if (ct === undefined) return XT_NO;
      const packets = pick(ct.packets(0), ct.packets(1));
      const bytes = pick(ct.bytes(0), ct.bytes(1));
      const what =
        info.what === 0 ? packets : info.what === 1 ? bytes : packets === 0 ? 0 : Math.floor(bytes / packets);
      return (swapped ? what < to || what > from : what >= from && what <= to) ? XT_YES : XT_NO;
    });
  },
};

export const connlabel: XtMatch<Connlabel> = {
  name: 'connlabel',
  revision: 0,
  codec: connlabelCodec,
  make(info, ctx) {
    if (info.bit > 127) throw new KernelError(ERANGE);
    if (info.options & ~3) throw new KernelError(EINVAL);
    const table = ctx.init.host.conntrack;
    const word = info.bit >> 5;
    const bit = 1 << (info.bit & 31);
    const invert = (info.options & 1) !== 0;
    return tracked(ctx, (pkt) => {
      const ct = entryOf(table, pkt);
      if (ct === undefined) return invert ? XT_YES : XT_NO;
      if (info.options & 2) {
        ct.labels ??= new Uint32Array(4);
        ct.labels[word] |= bit;
        return invert ? XT_NO : XT_YES;
      }
      return (ct.labels !== undefined && (ct.labels[word] & bit) !== 0) !== invert ? XT_YES : XT_NO;
    });
  },
};

export const connlimit: XtMatch<Connlimit> = {
  name: 'connlimit',
  revision: 1,
  codec: connlimitCodec,
  make(info, ctx) {
    const table = ctx.init.host.conntrack;
    const size = ctx.family === NFPROTO_IPV4 ? 4 : 16;
    const counts = new Map<string, ConnCount>();
    const invert = (info.flags & 1) !== 0;
    const offset = info.flags & 2 ? (size === 4 ? 16 : 24) : size === 4 ? 12 : 8;
    return tracked(ctx, (pkt) => {
      let key = '';
      for (let i = 0; i < size; i++) key += String.fromCharCode(pkt.slab.u8[pkt.nhoff + offset + i] & info.mask[i]);
      let count = counts.get(key);
      if (count === undefined) {
        count = new ConnCount(table);
        counts.set(key, count);
      }
      const connections = count.add(pkt.p, pkt.pf);
      if (connections <= 0) return XT_HOTDROP;
      return connections > info.limit !== invert ? XT_YES : XT_NO;
    });
  },
};

export const helper: XtMatch<Helper> = {
  name: 'helper',
  revision: 0,
  codec: helperCodec,
  make(info, ctx) {
    const table = ctx.init.host.conntrack;
    return tracked(ctx, (pkt) => {
      const name = entryOf(table, pkt)?.master?.helper?.name;
      if (name === undefined) return info.invert ? XT_YES : XT_NO;
      return (info.name === '' || name.startsWith(info.name)) !== (info.invert !== 0) ? XT_YES : XT_NO;
    });
  },
};
