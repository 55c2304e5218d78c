/**
 * `fib`: asks the routing tables about the packet's source or destination: output interface, its name, or address type.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../../wire/ethernet.ts';
import { IPPROTO_ICMPV6 } from '../../../wire/ipv4.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import type { FibAnswer } from '../host.ts';
import type { PktInfo } from '../pkt.ts';
import { regNumber, storeRegister } from '../regs.ts';

const IFNAMSIZ = 16;
const RTN_LOCAL = 2;
const RTN_BROADCAST = 3;
const RTN_MULTICAST = 5;

export const fib: ExprKind = {
  name: 'fib',
  init(attrs, ctx): Expr {
    const result = u32Attr(attrs, U.NFTA_FIB_RESULT);
    const flags = u32Attr(attrs, U.NFTA_FIB_FLAGS);
    if (flags === 0) throw new KernelError(EINVAL);
    const source = (flags & U.NFTA_FIB_F_SADDR) !== 0;
    const destination = (flags & U.NFTA_FIB_F_DADDR) !== 0;
    if (source === destination) throw new KernelError(EINVAL);
    const byIif = (flags & U.NFTA_FIB_F_IIF) !== 0;
    const byOif = (flags & U.NFTA_FIB_F_OIF) !== 0;
    if (byIif && byOif) throw new KernelError(EINVAL);
    const byMark = (flags & U.NFTA_FIB_F_MARK) !== 0;
    const present = (flags & U.NFTA_FIB_F_PRESENT) !== 0;
    const wantsType = result === U.NFT_FIB_RESULT_ADDRTYPE;
    const length = result === U.NFT_FIB_RESULT_OIFNAME ? (present ? 4 : IFNAMSIZ) : 4;
    if (result < U.NFT_FIB_RESULT_OIF || result > U.NFT_FIB_RESULT_ADDRTYPE) throw new KernelError(EINVAL);
    if (!wantsType && byOif) throw new KernelError(EINVAL);
    const to = storeRegister(attrs.get(U.NFTA_FIB_DREG), length);
    const host = ctx.host;

    const query = (pkt: PktInfo, v6: boolean): FibAnswer => {
      const at = pkt.nhoff + (v6 ? (source ? 8 : 24) : source ? 12 : 16);
      const mark = byMark ? pkt.slab.mark(pkt.p) : 0;
      return host.fib(v6 ? 10 : 2, at, pkt, byIif ? pkt.iif : 0, byOif ? pkt.oif : 0, mark, source);
    };
    /** Addresses that have a type without a route: multicast and the IPv4 broadcast address. */
    const special = (pkt: PktInfo, v6: boolean): number => {
      const dv = pkt.slab.dv;
      if (v6) return dv.getUint8(pkt.nhoff + (source ? 8 : 24)) === 0xff ? RTN_MULTICAST : 0;
      const address = dv.getUint32(pkt.nhoff + (source ? 12 : 16));
      if (address === 0xffffffff || address >>> 24 === 0) return RTN_BROADCAST;
      return address >>> 28 === 14 ? RTN_MULTICAST : 0;
    };

    /** Packets of a host that has no address yet (DHCP, duplicate address detection): no route can lead back to it. */
    const unaddressed = (pkt: PktInfo, v6: boolean): boolean => {
      const { dv } = pkt.slab;
      if (!v6) {
        if (dv.getUint32(pkt.nhoff + 12) >>> 24 !== 0) return false;
        const to = dv.getUint32(pkt.nhoff + 16);
        return to === 0xffffffff || to >>> 8 === 0xe00000;
      }
      if (pkt.tprot !== IPPROTO_ICMPV6 || pkt.hook === H.NF_INET_LOCAL_IN) return false;
      for (let i = 8; i < 24; i += 4) if (dv.getUint32(pkt.nhoff + i) !== 0) return false;
      const to = dv.getUint16(pkt.nhoff + 24);
      return (to & 0xffc0) === 0xfe80 || (to & 0xff0f) === 0xff02;
    };

    return {
      name: 'fib',
      eval(regs, pkt) {
        const protocol =
          pkt.pf === H.NFPROTO_IPV4 ? ETH_P_IP : pkt.pf === H.NFPROTO_IPV6 ? ETH_P_IPV6 : pkt.slab.protocol(pkt.p);
        if (protocol !== ETH_P_IP && protocol !== ETH_P_IPV6) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        const v6 = protocol === ETH_P_IPV6;
        if (wantsType) {
          regs.u32[to >> 2] = special(pkt, v6) || query(pkt, v6).addressType;
          return;
        }
        let oif = 0;
        // A packet of this host's own, or one looped back, came by the device it is on.
        if (
          (pkt.hook === H.NF_INET_PRE_ROUTING || pkt.hook === H.NF_INET_LOCAL_IN || pkt.hook === H.NF_INET_INGRESS) &&
          (host.deviceKind(pkt.iif) === 'loopback' || unaddressed(pkt, v6))
        ) {
          oif = pkt.iif;
        } else {
          const answer = query(pkt, v6);
          if (answer.type !== 0 && answer.type !== RTN_LOCAL) oif = answer.oif;
        }
        if (present) {
          regs.u32[to >> 2] = oif !== 0 ? 1 : 0;
          return;
        }
        if (result === U.NFT_FIB_RESULT_OIF) {
          regs.u32[to >> 2] = oif;
          return;
        }
        const name = host.deviceName(oif);
        for (let i = 0; i < IFNAMSIZ; i++) regs.u8[to + i] = i < name.length ? name.charCodeAt(i) : 0;
      },
      dump(w) {
        w.beU32(U.NFTA_FIB_DREG, regNumber(to)).beU32(U.NFTA_FIB_RESULT, result).beU32(U.NFTA_FIB_FLAGS, flags);
      },
      validate(chain) {
        const hook = chain.base!.hook;
        const family = chain.table.family;
        if (family === H.NFPROTO_NETDEV) return;
        const input = [H.NF_INET_PRE_ROUTING, H.NF_INET_LOCAL_IN, H.NF_INET_FORWARD, H.NF_INET_INGRESS];
        const output = [H.NF_INET_LOCAL_OUT, H.NF_INET_POST_ROUTING, H.NF_INET_FORWARD];
        const allowed = !wantsType ? input.slice(0, 3) : byIif ? input : byOif ? output : [...input, ...output];
        if (!allowed.includes(hook)) throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
