/**
 * `reject`: drops the packet and answers it, with an ICMP error or a TCP reset.
 */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../../wire/ethernet.ts';
import { getU8 } from '../../../wire/netlink/attr.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { resetFor } from './reset.ts';

// icmpx codes to ICMP and ICMPv6 destination unreachable codes.
const ICMPX4: readonly number[] = [0, 3, 1, 13];
const ICMPX6: readonly number[] = [0, 4, 3, 1];
const ICMP_DEST_UNREACH = 3;
const ICMPV6_DEST_UNREACH = 1;

export const reject: ExprKind = {
  name: 'reject',
  init(attrs, ctx): Expr {
    const type = u32Attr(attrs, U.NFTA_REJECT_TYPE);
    const family = ctx.family;
    const needsCode = type === U.NFT_REJECT_ICMP_UNREACH || type === U.NFT_REJECT_ICMPX_UNREACH;
    if (type > U.NFT_REJECT_ICMPX_UNREACH) throw new KernelError(EINVAL);
    const single = family === H.NFPROTO_IPV4 || family === H.NFPROTO_IPV6;
    if (single && type === U.NFT_REJECT_ICMPX_UNREACH) throw new KernelError(EINVAL);
    const codeAttr = attrs.get(U.NFTA_REJECT_ICMP_CODE);
    if (needsCode && codeAttr === undefined) throw new KernelError(EINVAL);
    const code = codeAttr ? getU8(codeAttr.payload) : 0;
    if (type === U.NFT_REJECT_ICMPX_UNREACH && code >= ICMPX4.length) throw new KernelError(EINVAL);
    const host = ctx.host;
    return {
      name: 'reject',
      aloof: true,
      eval(regs, pkt) {
        regs.verdict = H.NF_DROP;
        const v4 = pkt.pf === H.NFPROTO_IPV4 || (pkt.pf !== H.NFPROTO_IPV6 && pkt.slab.protocol(pkt.p) === ETH_P_IP);
        const v6 = pkt.pf === H.NFPROTO_IPV6 || (pkt.pf !== H.NFPROTO_IPV4 && pkt.slab.protocol(pkt.p) === ETH_P_IPV6);
        if (!v4 && !v6) return;
        if (type === U.NFT_REJECT_TCP_RST) {
          const reply = resetFor(pkt);
          if (reply < 0) return;
          host.sendReply(pkt.pf, pkt.p, reply, pkt.hook);
          host.conntrack.setClosing(pkt.p);
          return;
        }
        const mapped = type === U.NFT_REJECT_ICMPX_UNREACH ? (v4 ? ICMPX4 : ICMPX6)[code] : code;
        host.sendIcmpError(pkt.pf, pkt.p, v4 ? ICMP_DEST_UNREACH : ICMPV6_DEST_UNREACH, mapped, pkt.hook);
      },
      dump(w) {
        w.beU32(U.NFTA_REJECT_TYPE, type);
        if (needsCode) w.u8(U.NFTA_REJECT_ICMP_CODE, code);
      },
      validate(chain) {
        const { hook } = chain.base!;
        const f = chain.table.family;
        const ok =
          f === H.NFPROTO_NETDEV
            ? hook === H.NF_NETDEV_INGRESS
            : f === H.NFPROTO_BRIDGE
              ? hook === H.NF_INET_PRE_ROUTING || hook === H.NF_INET_LOCAL_IN
              : [H.NF_INET_LOCAL_IN, H.NF_INET_FORWARD, H.NF_INET_LOCAL_OUT, H.NF_INET_PRE_ROUTING].includes(hook) ||
                (f === H.NFPROTO_INET && hook === H.NF_INET_INGRESS);
        if (!ok) throw new KernelError(EOPNOTSUPP);
      },
    };
  },
};
