/**
 * `meta`: what is known of a packet besides its bytes. One row per key in `LOADS`.
 */
import { EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import {
  NO_OFFSET,
  PACKET_BROADCAST,
  PACKET_HOST,
  PACKET_LOOPBACK,
  PACKET_MULTICAST,
  PKT_NFTRACE,
} from '../../../core/slab.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../../wire/ethernet.ts';
import { NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV } from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { NetfilterHost } from '../host.ts';
import type { PktInfo } from '../pkt.ts';
import { loadRegister, type Regs, regNumber, storeRegister } from '../regs.ts';

const IFNAMSIZ = 16;
const NFPROTO_UNSPEC = 0;

/** Loads a key to byte offset `to`; false when this packet has no such thing. */
type Load = {
  readonly length: number;
  readonly load: (regs: Regs, to: number, pkt: PktInfo, host: NetfilterHost) => boolean;
};

function word(get: (pkt: PktInfo, host: NetfilterHost) => number): Load {
  return {
    length: 4,
    load(regs, to, pkt, host) {
      regs.u32[to >> 2] = get(pkt, host);
      return true;
    },
  };
}

function half(get: (pkt: PktInfo, host: NetfilterHost) => number, needs?: (pkt: PktInfo) => boolean): Load {
  return {
    length: 2,
    load(regs, to, pkt, host) {
      if (needs && !needs(pkt)) return false;
      regs.u32[to >> 2] = get(pkt, host);
      return true;
    },
  };
}

function byte(get: (pkt: PktInfo, host: NetfilterHost) => number, needs?: (pkt: PktInfo) => boolean): Load {
  return {
    length: 1,
    load(regs, to, pkt, host) {
      if (needs && !needs(pkt)) return false;
      regs.u32[to >> 2] = get(pkt, host) & 255;
      return true;
    },
  };
}

/** A NUL-padded string of 16 bytes; a missing interface gives the empty name. */
function text(get: (pkt: PktInfo, host: NetfilterHost) => string, needed: boolean): Load {
  return {
    length: IFNAMSIZ,
    load(regs, to, pkt, host) {
      const value = get(pkt, host);
      if (needed && value === '') return false;
      for (let i = 0; i < IFNAMSIZ; i++) regs.u8[to + i] = i < value.length ? value.charCodeAt(i) : 0;
      return true;
    },
  };
}

const ethertype = (pkt: PktInfo): number => {
  const protocol = pkt.slab.protocol(pkt.p);
  return ((protocol & 255) << 8) | (protocol >> 8);
};

function nfproto(pkt: PktInfo): number {
  return pkt.pf;
}

/** Packet type; on output and for looped packets from the destination address, as there is none yet. */
function pktType(pkt: PktInfo): number {
  const type = pkt.slab.pktType(pkt.p);
  if (type !== PACKET_LOOPBACK) return type;
  const dv = pkt.slab.dv;
  if (pkt.pf === NFPROTO_IPV4) return dv.getUint8(pkt.nhoff + 16) >> 4 === 14 ? PACKET_MULTICAST : PACKET_BROADCAST;
  if (pkt.pf === NFPROTO_IPV6) return dv.getUint8(pkt.nhoff + 24) === 0xff ? PACKET_MULTICAST : PACKET_BROADCAST;
  return PACKET_HOST;
}

const DAY_NS = 86_400_000_000_000;
const wallMs = (pkt: PktInfo): number => pkt.world.epochMs + pkt.world.now / 1e6;

const hasTransport = (pkt: PktInfo): boolean => pkt.hasTransport;

const LOADS: ReadonlyMap<number, Load> = new Map<number, Load>([
  [U.NFT_META_LEN, word((pkt) => pkt.slab.len(pkt.p))],
  [U.NFT_META_PROTOCOL, half(ethertype)],
  [U.NFT_META_PRIORITY, word((pkt) => pkt.slab.priority(pkt.p))],
  [U.NFT_META_MARK, word((pkt) => pkt.slab.mark(pkt.p))],
  [U.NFT_META_IIF, word((pkt) => pkt.iif)],
  [U.NFT_META_OIF, word((pkt) => pkt.oif)],
  [U.NFT_META_IIFNAME, text((pkt, host) => host.deviceName(pkt.iif), false)],
  [U.NFT_META_OIFNAME, text((pkt, host) => host.deviceName(pkt.oif), false)],
  [U.NFT_META_IFTYPE ?? U.NFT_META_IIFTYPE, needsIif((pkt, host) => host.deviceType(pkt.iif), 2)],
  [U.NFT_META_OIFTYPE, needsOif((pkt, host) => host.deviceType(pkt.oif), 2)],
  [
    U.NFT_META_SKUID,
    {
      length: 4,
      load(regs, to, pkt) {
        const uid = pkt.slab.uid(pkt.p);
        if (uid === NO_OFFSET) return false;
        regs.u32[to >> 2] = uid;
        return true;
      },
    },
  ],
  [
    U.NFT_META_SKGID,
    {
      length: 4,
      load(regs, to, pkt) {
        const gid = pkt.slab.gid(pkt.p);
        if (gid === NO_OFFSET) return false;
        regs.u32[to >> 2] = gid;
        return true;
      },
    },
  ],
  [U.NFT_META_NFTRACE, byte((pkt) => (pkt.slab.flags(pkt.p) & PKT_NFTRACE ? 1 : 0))],
  [U.NFT_META_RTCLASSID, word((pkt) => pkt.slab.classid(pkt.p))],
  [U.NFT_META_SECMARK, word((pkt) => pkt.slab.secmark(pkt.p))],
  [U.NFT_META_NFPROTO, byte(nfproto)],
  [U.NFT_META_L4PROTO, byte((pkt) => pkt.tprot, hasTransport)],
  [U.NFT_META_BRI_IIFNAME, text((pkt, host) => host.deviceName(host.bridgeOf(pkt.iif)), true)],
  [U.NFT_META_BRI_OIFNAME, text((pkt, host) => host.deviceName(host.bridgeOf(pkt.oif)), true)],
  [U.NFT_META_PKTTYPE, byte(pktType)],
  [U.NFT_META_CPU, word((_pkt, host) => host.cpu ?? 0)],
  [U.NFT_META_IIFGROUP, needsIif((pkt, host) => host.deviceGroup(pkt.iif), 4)],
  [U.NFT_META_OIFGROUP, needsOif((pkt, host) => host.deviceGroup(pkt.oif), 4)],
  [U.NFT_META_CGROUP, { length: 4, load: () => false }],
  [U.NFT_META_PRANDOM, word((pkt) => pkt.world.random.u32())],
  [U.NFT_META_SECPATH, byte(() => 0)],
  [U.NFT_META_IIFKIND, text((pkt, host) => host.deviceKind(pkt.iif), true)],
  [U.NFT_META_OIFKIND, text((pkt, host) => host.deviceKind(pkt.oif), true)],
  [
    U.NFT_META_TIME_NS,
    {
      length: 8,
      load(regs, to, pkt) {
        regs.dv.setBigUint64(to, BigInt(pkt.world.epochMs) * 1_000_000n + BigInt(Math.floor(pkt.world.now)), true);
        return true;
      },
    },
  ],
  [U.NFT_META_TIME_DAY, byte((pkt) => new Date(wallMs(pkt)).getUTCDay())],
  [U.NFT_META_TIME_HOUR, word((pkt) => Math.floor(((wallMs(pkt) * 1e6) % DAY_NS) / 1e9))],
  [U.NFT_META_SDIF, word((pkt) => pkt.iif)],
  [U.NFT_META_SDIFNAME, text((pkt, host) => host.deviceName(pkt.iif), false)],
]);

function needsIif(get: (pkt: PktInfo, host: NetfilterHost) => number, length: number): Load {
  return {
    length,
    load(regs, to, pkt, host) {
      if (pkt.iif === 0) return false;
      regs.u32[to >> 2] = get(pkt, host);
      return true;
    },
  };
}

function needsOif(get: (pkt: PktInfo, host: NetfilterHost) => number, length: number): Load {
  return {
    length,
    load(regs, to, pkt, host) {
      if (pkt.oif === 0) return false;
      regs.u32[to >> 2] = get(pkt, host);
      return true;
    },
  };
}

/** Setters by key: length of the source register and what it changes. */
const SETS: ReadonlyMap<
  number,
  { readonly length: number; readonly set: (regs: Regs, from: number, pkt: PktInfo) => void }
> = new Map([
  [
    U.NFT_META_MARK,
    { length: 4, set: (regs: Regs, from: number, pkt: PktInfo) => pkt.slab.setMark(pkt.p, regs.u32[from >> 2]) },
  ],
  [
    U.NFT_META_PRIORITY,
    { length: 4, set: (regs: Regs, from: number, pkt: PktInfo) => pkt.slab.setPriority(pkt.p, regs.u32[from >> 2]) },
  ],
  [
    U.NFT_META_PKTTYPE,
    {
      length: 1,
      set: (regs: Regs, from: number, pkt: PktInfo) => {
        // Only between types that the host itself may receive, as in Linux (skb_pkt_type_ok).
        const type = regs.u8[from];
        if (type <= PACKET_MULTICAST + 1 && pkt.slab.pktType(pkt.p) <= PACKET_MULTICAST + 1)
          pkt.slab.setPktType(pkt.p, type);
      },
    },
  ],
  [
    U.NFT_META_NFTRACE,
    {
      length: 1,
      set: (regs: Regs, from: number, pkt: PktInfo) => {
        const flags = pkt.slab.flags(pkt.p);
        pkt.slab.setFlags(pkt.p, regs.u8[from] & 1 ? flags | PKT_NFTRACE : flags & ~PKT_NFTRACE);
      },
    },
  ],
  [
    U.NFT_META_SECMARK,
    { length: 4, set: (regs: Regs, from: number, pkt: PktInfo) => pkt.slab.setSecmark(pkt.p, regs.u32[from >> 2]) },
  ],
]);

export const meta: ExprKind = {
  name: 'meta',
  init(attrs, ctx): Expr {
    const key = u32Attr(attrs, U.NFTA_META_KEY);
    const host = ctx.host;
    if (attrs.has(U.NFTA_META_SREG)) {
      const setter = SETS.get(key);
      if (setter === undefined) throw new KernelError(EOPNOTSUPP, undefined, attrs.get(U.NFTA_META_KEY)?.offset);
      const from = loadRegister(attrs.get(U.NFTA_META_SREG), setter.length);
      const set = setter.set;
      return {
        name: 'meta',
        native: { op: 'meta set', key, from },
        eval(regs, pkt) {
          set(regs, from, pkt);
        },
        dump(w) {
          w.beU32(U.NFTA_META_KEY, key).beU32(U.NFTA_META_SREG, regNumber(from));
        },
        validate(chain) {
          // The packet type may be set before routing only.
          if (key !== U.NFT_META_PKTTYPE || chain.base === undefined) return;
          const hook = chain.base.hook;
          const family = chain.table.family;
          if (family === NFPROTO_NETDEV || hook === 0) return;
          throw new KernelError(EOPNOTSUPP);
        },
      };
    }
    const loader = LOADS.get(key);
    if (loader === undefined) throw new KernelError(EOPNOTSUPP, undefined, attrs.get(U.NFTA_META_KEY)?.offset);
    const bridgeOnly = key === U.NFT_META_BRI_IIFNAME || key === U.NFT_META_BRI_OIFNAME;
    if (bridgeOnly && ctx.family !== NFPROTO_BRIDGE) throw new KernelError(EOPNOTSUPP);
    const to = storeRegister(attrs.get(U.NFTA_META_DREG), loader.length);
    const load = loader.load;
    const l2 = key === U.NFT_META_NFPROTO && (ctx.family === NFPROTO_BRIDGE || ctx.family === NFPROTO_NETDEV);
    return {
      name: 'meta',
      native: { op: 'meta', key, to, l2 },
      eval(regs, pkt) {
        if (l2) {
          // Families below IP say which protocol the frame carries, if any.
          const protocol = pkt.slab.protocol(pkt.p);
          regs.u32[to >> 2] =
            protocol === ETH_P_IP ? NFPROTO_IPV4 : protocol === ETH_P_IPV6 ? NFPROTO_IPV6 : NFPROTO_UNSPEC;
          return;
        }
        if (!load(regs, to, pkt, host)) regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.beU32(U.NFTA_META_KEY, key).beU32(U.NFTA_META_DREG, regNumber(to));
      },
    };
  },
};
