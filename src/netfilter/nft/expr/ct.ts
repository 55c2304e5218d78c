/**
 * `ct`: what connection tracking knows of a packet, and what rules may set: mark, label, event mask, zone, secmark.
 * One row per key in `LOADS`.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { getU8 } from '../../../wire/netlink/attr.ts';
import { IP_CT_IS_REPLY, IPCT_LABEL, IPCT_MARK, IPCT_SECMARK } from '../../../wire/uapi/ctnetlink.ts';
import { NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { Conntrack } from '../../conntrack/conntrack.ts';
import { type Conn, ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPL, zoneId } from '../../conntrack/entry.ts';
import { DST, l3num, PORTS, protonum } from '../../conntrack/tuple.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { PktInfo } from '../pkt.ts';
import { loadRegister, type Regs, regNumber, storeRegister } from '../regs.ts';

const ANY = -1;

type Load = {
  /** Bytes written, or by the family of the table. */
  readonly length: number | ((family: number) => number);
  /** A direction is needed, allowed, or refused. */
  readonly direction: 'needed' | 'allowed' | 'refused';
  /** False when the packet's connection has no such thing. */
  readonly load: (regs: Regs, to: number, ct: Conn, table: Conntrack, pkt: PktInfo, dir: number) => boolean;
};

function word(get: (ct: Conn, table: Conntrack, pkt: PktInfo) => number): Load {
  return {
    length: 4,
    direction: 'refused',
    load(regs, to, ct, table, pkt) {
      regs.u32[to >> 2] = get(ct, table, pkt);
      return true;
    },
  };
}

function byte(direction: 'allowed' | 'refused', get: (ct: Conn, table: Conntrack, pkt: PktInfo) => number): Load {
  return {
    length: 1,
    direction,
    load(regs, to, ct, table, pkt) {
      regs.u32[to >> 2] = get(ct, table, pkt) & 255;
      return true;
    },
  };
}

/** An address of one direction's tuple; `family` 0 takes whichever the connection has. */
function address(offset: number, family: number): Load {
  return {
    length: family === NFPROTO_IPV4 ? 4 : family === NFPROTO_IPV6 ? 16 : (table) => (table === NFPROTO_IPV4 ? 4 : 16),
    direction: 'needed',
    load(regs, to, ct, table, _pkt, dir) {
      const at = table.at(ct, dir);
      const own = l3num(ct.words, at);
      if (family !== 0 && own !== family) return false;
      for (let k = 0; k < (own === NFPROTO_IPV4 ? 1 : 4); k++) regs.dv.setUint32(to + k * 4, ct.words[at + offset + k]);
      return true;
    },
  };
}

function port(shift: number): Load {
  return {
    length: 2,
    direction: 'needed',
    load(regs, to, ct, table, _pkt, dir) {
      regs.u32[to >> 2] = 0;
      regs.dv.setUint16(to, (ct.words[table.at(ct, dir) + PORTS] >>> shift) & 0xffff);
      return true;
    },
  };
}

function count(get: (ct: Conn, dir: number) => number): Load {
  return {
    length: 8,
    direction: 'allowed',
    load(regs, to, ct, _table, _pkt, dir) {
      regs.dv.setBigUint64(to, BigInt(get(ct, dir)), true);
      return true;
    },
  };
}

function sum(original: number, reply: number, dir: number): number {
  return dir === ANY ? original + reply : dir === 1 ? reply : original;
}

const LOADS: ReadonlyMap<number, Load> = new Map<number, Load>([
  [U.NFT_CT_DIRECTION, byte('refused', (_ct, table, pkt) => (table.slab.nfctinfo(pkt.p) >= IP_CT_IS_REPLY ? 1 : 0))],
  [U.NFT_CT_STATUS, word((ct) => ct.status)],
  [U.NFT_CT_MARK, word((ct) => ct.mark)],
  [U.NFT_CT_SECMARK, word((ct) => ct.secmark)],
  [U.NFT_CT_EXPIRATION, word((ct, table) => (ct.confirmed ? Math.floor(table.expires(ct) * 1000) : 0))],
  [
    U.NFT_CT_HELPER,
    {
      length: 16,
      direction: 'refused',
      load(regs, to, ct) {
        const name = ct.master?.helper?.name;
        if (name === undefined) return false;
        for (let i = 0; i < 16; i++) regs.u8[to + i] = i < name.length ? name.charCodeAt(i) : 0;
        return true;
      },
    },
  ],
  [
    U.NFT_CT_LABELS,
    {
      length: 16,
      direction: 'refused',
      load(regs, to, ct) {
        for (let k = 0; k < 4; k++) regs.u32[(to >> 2) + k] = ct.labels?.[k] ?? 0;
        return true;
      },
    },
  ],
  [U.NFT_CT_PKTS, count((ct, dir) => sum(ct.packets(0), ct.packets(1), dir))],
  [U.NFT_CT_BYTES, count((ct, dir) => sum(ct.bytes(0), ct.bytes(1), dir))],
  [
    U.NFT_CT_AVGPKT,
    count((ct, dir) => {
      const packets = sum(ct.packets(0), ct.packets(1), dir);
      return packets === 0 ? 0 : Math.floor(sum(ct.bytes(0), ct.bytes(1), dir) / packets);
    }),
  ],
  [U.NFT_CT_L3PROTOCOL, byte('allowed', (ct, table) => l3num(ct.words, table.at(ct, 0)))],
  [U.NFT_CT_PROTOCOL, byte('allowed', (ct, table) => protonum(ct.words, table.at(ct, 0)))],
  [
    U.NFT_CT_ZONE,
    {
      length: 2,
      direction: 'allowed',
      load(regs, to, ct, _table, _pkt, dir) {
        regs.u32[to >> 2] = dir === ANY ? ct.zone : zoneId(ct.zone, ct.zoneDir, dir);
        return true;
      },
    },
  ],
  [U.NFT_CT_ID, word((ct) => ct.id)],
  [U.NFT_CT_SRC, address(0, 0)],
  [U.NFT_CT_DST, address(DST, 0)],
  [U.NFT_CT_SRC_IP, address(0, NFPROTO_IPV4)],
  [U.NFT_CT_DST_IP, address(DST, NFPROTO_IPV4)],
  [U.NFT_CT_SRC_IP6, address(0, NFPROTO_IPV6)],
  [U.NFT_CT_DST_IP6, address(DST, NFPROTO_IPV6)],
  [U.NFT_CT_PROTO_SRC, port(16)],
  [U.NFT_CT_PROTO_DST, port(0)],
]);

type Set = { readonly length: number; readonly set: (regs: Regs, from: number, ct: Conn, table: Conntrack) => void };

const SETS: ReadonlyMap<number, Set> = new Map<number, Set>([
  [
    U.NFT_CT_MARK,
    {
      length: 4,
      set(regs, from, ct, table) {
        const mark = regs.u32[from >> 2];
        if (ct.mark === mark) return;
        ct.mark = mark;
        table.event(ct, IPCT_MARK);
      },
    },
  ],
  [
    U.NFT_CT_SECMARK,
    {
      length: 4,
      set(regs, from, ct, table) {
        const mark = regs.u32[from >> 2];
        if (ct.secmark === mark) return;
        ct.secmark = mark;
        table.event(ct, IPCT_SECMARK);
      },
    },
  ],
  [
    U.NFT_CT_LABELS,
    {
      length: 16,
      set(regs, from, ct, table) {
        ct.labels ??= new Uint32Array(4);
        let changed = false;
        for (let k = 0; k < 4; k++) {
          const value = (ct.labels[k] | regs.u32[(from >> 2) + k]) >>> 0;
          changed ||= value !== ct.labels[k];
          ct.labels[k] = value;
        }
        if (changed) table.event(ct, IPCT_LABEL);
      },
    },
  ],
  [
    U.NFT_CT_EVENTMASK,
    {
      length: 4,
      set(regs, from, ct) {
        ct.eventMask = regs.u32[from >> 2];
      },
    },
  ],
]);

/** 0, 1, or ANY; only these two values of the attribute exist. */
function directionOf(attr: { readonly payload: Uint8Array; readonly offset: number } | undefined): number {
  if (attr === undefined) return ANY;
  const dir = getU8(attr.payload);
  if (dir > 1) throw new KernelError(EINVAL, undefined, attr.offset);
  return dir;
}

export const ct: ExprKind = {
  name: 'ct',
  init(attrs, ctx): Expr {
    const key = u32Attr(attrs, U.NFTA_CT_KEY);
    const dir = directionOf(attrs.get(U.NFTA_CT_DIRECTION));
    const table = ctx.host.conntrack;
    const { family } = ctx;
    if (attrs.has(U.NFTA_CT_DREG) && attrs.has(U.NFTA_CT_SREG)) throw new KernelError(EINVAL);
    const hold = (): Required<Pick<Expr, 'destroy'>> => {
      table.get(family);
      return {
        destroy(undo) {
          table.put(family);
          undo(() => table.get(family));
        },
      };
    };

    if (attrs.has(U.NFTA_CT_SREG)) {
      if (key === U.NFT_CT_ZONE) {
        const from = loadRegister(attrs.get(U.NFTA_CT_SREG), 2);
        const zoneDir = dir === ANY ? ZONE_DIR_BOTH : dir === 0 ? ZONE_DIR_ORIG : ZONE_DIR_REPL;
        return {
          name: 'ct',
          eval(regs, pkt) {
            // Tracked already, or out of tracking: too late.
            if (table.slab.nfct(pkt.p) === 0)
              table.attachTemplate(pkt.p, { id: regs.u32[from >> 2] & 0xffff, dir: zoneDir });
          },
          dump(w) {
            w.beU32(U.NFTA_CT_SREG, regNumber(from)).beU32(U.NFTA_CT_KEY, key);
            if (dir !== ANY) w.u8(U.NFTA_CT_DIRECTION, dir);
          },
          ...hold(),
        };
      }
      const setter = SETS.get(key);
      if (setter === undefined) throw new KernelError(EOPNOTSUPP);
      if (dir !== ANY) throw new KernelError(EINVAL);
      const from = loadRegister(attrs.get(U.NFTA_CT_SREG), setter.length);
      const { set } = setter;
      return {
        name: 'ct',
        eval(regs, pkt) {
          const entry = table.of(pkt.p);
          if (entry !== undefined && !entry.template) set(regs, from, entry, table);
        },
        dump(w) {
          w.beU32(U.NFTA_CT_SREG, regNumber(from)).beU32(U.NFTA_CT_KEY, key);
        },
        ...hold(),
      };
    }

    if (key === U.NFT_CT_STATE) {
      if (dir !== ANY) throw new KernelError(EINVAL);
      const to = storeRegister(attrs.get(U.NFTA_CT_DREG), 4);
      return {
        name: 'ct',
        native: { op: 'ct state', to },
        eval(regs, pkt) {
          regs.u32[to >> 2] = table.stateBit(pkt.p);
        },
        dump(w) {
          w.beU32(U.NFTA_CT_DREG, regNumber(to)).beU32(U.NFTA_CT_KEY, key);
        },
        ...hold(),
      };
    }
    const loader = LOADS.get(key);
    if (loader === undefined) throw new KernelError(EOPNOTSUPP);
    if (dir === ANY ? loader.direction === 'needed' : loader.direction === 'refused') throw new KernelError(EINVAL);
    if ((key === U.NFT_CT_SRC || key === U.NFT_CT_DST) && ![NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_INET].includes(family))
      throw new KernelError(EOPNOTSUPP);
    const length = typeof loader.length === 'number' ? loader.length : loader.length(family);
    const to = storeRegister(attrs.get(U.NFTA_CT_DREG), length);
    const { load } = loader;
    return {
      name: 'ct',
      eval(regs, pkt) {
        const entry = table.of(pkt.p);
        if (entry === undefined || !load(regs, to, entry, table, pkt, dir)) regs.verdict = U.NFT_BREAK;
      },
      dump(w) {
        w.beU32(U.NFTA_CT_DREG, regNumber(to)).beU32(U.NFTA_CT_KEY, key);
        if (dir !== ANY && key !== U.NFT_CT_L3PROTOCOL && key !== U.NFT_CT_PROTOCOL) w.u8(U.NFTA_CT_DIRECTION, dir);
      },
      ...hold(),
    };
  },
};
