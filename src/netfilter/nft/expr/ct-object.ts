/**
 * Named objects of connection tracking: `ct helper`, `ct timeout` and `ct expectation`. A rule that refers to one gives it to the
 * connection of the packet, or has a connection announced.
 */
import { EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import * as ip from '../../../wire/ipv4.ts';
import { type Attr, type AttrWriter, attrMap, getBeU16, getString, getU8, getU32 } from '../../../wire/netlink/attr.ts';
import { IP_CT_IS_REPLY, IPS_HELPER } from '../../../wire/uapi/ctnetlink.ts';
import { NF_DROP, NFPROTO_INET, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { helperState, needHelper } from '../../conntrack/helper/registry.ts';
import { readTimeouts, timeoutSlots } from '../../conntrack/timeout-policy.ts';
import { DST, l3num, protonum } from '../../conntrack/tuple.ts';
import { type Expr, type ExprKind, type InitContext, need } from '../expr.ts';

/** Protocols whose connections can be expected. */
const EXPECTED: ReadonlySet<number> = new Set([
  ip.IPPROTO_TCP,
  ip.IPPROTO_UDP,
  ip.IPPROTO_UDPLITE,
  ip.IPPROTO_DCCP,
  ip.IPPROTO_SCTP,
]);

function l3of(attr: Attr | undefined, ctx: InitContext): number {
  return attr === undefined ? ctx.family : getBeU16(attr.payload);
}

export const ctHelper: ExprKind = {
  name: 'ct helper',
  init(attrs, ctx): Expr {
    const name = getString(need(attrs, U.NFTA_CT_HELPER_NAME).payload);
    const l4 = getU8(need(attrs, U.NFTA_CT_HELPER_L4PROTO).payload);
    const l3 = l3of(attrs.get(U.NFTA_CT_HELPER_L3PROTO), ctx);
    if (l4 === 0) throw new KernelError(ENOENT);
    if (![NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_INET].includes(l3)) throw new KernelError(EINVAL);
    needHelper(name, l4);
    const { conntrack } = ctx.host;
    conntrack.get(ctx.family);
    return {
      name: 'ct helper',
      eval(_regs, pkt) {
        const ct = conntrack.of(pkt.p);
        if (ct === undefined || ct.confirmed || ct.template || ct.status & IPS_HELPER) return;
        const at = conntrack.at(ct, 0);
        if (protonum(ct.words, at) !== l4) return;
        if (l3 !== NFPROTO_INET && l3num(ct.words, at) !== l3) return;
        ct.helper = helperState(name, l4);
        ct.status |= IPS_HELPER;
      },
      dump(w) {
        w.string(U.NFTA_CT_HELPER_NAME, name).u8(U.NFTA_CT_HELPER_L4PROTO, l4).beU16(U.NFTA_CT_HELPER_L3PROTO, l3);
      },
      destroy(undo) {
        conntrack.put(ctx.family);
        undo(() => conntrack.get(ctx.family));
      },
    };
  },
};

export const ctExpectation: ExprKind = {
  name: 'ct expectation',
  init(attrs, ctx): Expr {
    const l4 = getU8(need(attrs, U.NFTA_CT_EXPECT_L4PROTO).payload);
    const dport = getBeU16(need(attrs, U.NFTA_CT_EXPECT_DPORT).payload);
    const timeout = getU32(need(attrs, U.NFTA_CT_EXPECT_TIMEOUT).payload);
    const size = getU8(need(attrs, U.NFTA_CT_EXPECT_SIZE).payload);
    const l3 = l3of(attrs.get(U.NFTA_CT_EXPECT_L3PROTO), ctx);
    if (![NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_INET].includes(l3)) throw new KernelError(EOPNOTSUPP);
    if (!EXPECTED.has(l4)) throw new KernelError(EOPNOTSUPP);
    const { conntrack } = ctx.host;
    conntrack.get(ctx.family);
    return {
      name: 'ct expectation',
      eval(regs, pkt) {
        const ct = conntrack.of(pkt.p);
        if (ct === undefined || ct.template || ct.confirmed) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        ct.helper ??= helperState('', l4);
        if ((ct.helper.expecting[0] ?? 0) >= size) {
          regs.verdict = U.NFT_BREAK;
          return;
        }
        const other = ct.at(conntrack.slab.nfctinfo(pkt.p) >= IP_CT_IS_REPLY ? 0 : 1);
        const e = conntrack.expectations.make(ct, {
          family: l3 === NFPROTO_INET ? l3num(ct.words, ct.at(0)) : l3,
          protocol: l4,
          src: [ct.words, other],
          dst: [ct.words, other + DST],
          dstPort: dport,
        });
        // The kernel takes the milliseconds of the rule for seconds.
        if (conntrack.expectations.add(e, timeout) !== 0) regs.verdict = NF_DROP;
      },
      dump(w) {
        w.beU16(U.NFTA_CT_EXPECT_L3PROTO, l3).u8(U.NFTA_CT_EXPECT_L4PROTO, l4).beU16(U.NFTA_CT_EXPECT_DPORT, dport);
        w.u32(U.NFTA_CT_EXPECT_TIMEOUT, timeout).u8(U.NFTA_CT_EXPECT_SIZE, size);
      },
      destroy(undo) {
        conntrack.put(ctx.family);
        undo(() => conntrack.get(ctx.family));
      },
    };
  },
};

export const ctTimeout: ExprKind = {
  name: 'ct timeout',
  init(attrs, ctx): Expr {
    const l4 = getU8(need(attrs, U.NFTA_CT_TIMEOUT_L4PROTO).payload);
    const l3 = l3of(attrs.get(U.NFTA_CT_TIMEOUT_L3PROTO), ctx);
    const data = attrMap(need(attrs, U.NFTA_CT_TIMEOUT_DATA).payload);
    const slots = timeoutSlots(l4);
    const { conntrack } = ctx.host;
    const values = readTimeouts(data, l4, conntrack.sysctls);
    conntrack.get(ctx.family);
    return {
      name: 'ct timeout',
      eval(_regs, pkt) {
        const ct = conntrack.of(pkt.p);
        if (ct === undefined || ct.template || protonum(ct.words, conntrack.at(ct, 0)) !== l4) return;
        ct.timeouts = values;
        if (!ct.confirmed) conntrack.setTimeout(ct, values[0]);
      },
      dump(w: AttrWriter) {
        w.u8(U.NFTA_CT_TIMEOUT_L4PROTO, l4).beU16(U.NFTA_CT_TIMEOUT_L3PROTO, l3);
        w.nest(U.NFTA_CT_TIMEOUT_DATA, (d) => {
          for (const [attr, index] of slots) d.beU32(attr, values[index]);
        });
      },
      destroy(undo) {
        conntrack.put(ctx.family);
        undo(() => conntrack.get(ctx.family));
      },
    };
  },
};
