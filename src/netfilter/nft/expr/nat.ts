/** `nat`: snat and dnat, with addresses and ports from registers; with NF_NAT_RANGE_NETMAP whole networks. */
import { EAFNOSUPPORT, EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import {
  NF_NAT_RANGE_MAP_IPS,
  NF_NAT_RANGE_NETMAP,
  NF_NAT_RANGE_PROTO_SPECIFIED,
} from '../../../wire/uapi/ctnetlink.ts';
import * as H from '../../../wire/uapi/netfilter.ts';
import * as U from '../../../wire/uapi/nf-tables.ts';
import { MANIP_DST, MANIP_SRC, type NatRange, newRange } from '../../nat/range.ts';
import { type Expr, type ExprKind, u32Attr } from '../expr.ts';
import { loadRegister, type Regs, regNumber } from '../regs.ts';
import { fillPorts, holdConntrack, natFlags, portRegisters, validateNat } from './nat-common.ts';

const SNAT_HOOKS: readonly number[] = [H.NF_INET_POST_ROUTING, H.NF_INET_LOCAL_IN];
const DNAT_HOOKS: readonly number[] = [H.NF_INET_PRE_ROUTING, H.NF_INET_LOCAL_OUT];

function fillAddress(
  regs: Regs,
  from: number,
  words: number,
  range: NatRange,
  which: 'minAddress' | 'maxAddress',
): void {
  for (let k = 0; k < 4; k++) range[which][k] = k < words ? regs.dv.getUint32(from + k * 4) : 0;
}

export const nat: ExprKind = {
  name: 'nat',
  init(attrs, ctx): Expr {
    const type = u32Attr(attrs, U.NFTA_NAT_TYPE);
    if (type !== U.NFT_NAT_SNAT && type !== U.NFT_NAT_DNAT) throw new KernelError(EINVAL);
    const family = u32Attr(attrs, U.NFTA_NAT_FAMILY);
    if (ctx.family !== H.NFPROTO_INET && ctx.family !== family) throw new KernelError(EOPNOTSUPP);
    if (family !== H.NFPROTO_IPV4 && family !== H.NFPROTO_IPV6 && attrs.has(U.NFTA_NAT_REG_ADDR_MIN))
      throw new KernelError(EAFNOSUPPORT);
    const words = family === H.NFPROTO_IPV4 ? 1 : 4;
    let min = -1;
    let max = -1;
    let flags = natFlags(attrs, U.NFTA_NAT_FLAGS);
    if (attrs.has(U.NFTA_NAT_REG_ADDR_MIN)) {
      min = loadRegister(attrs.get(U.NFTA_NAT_REG_ADDR_MIN), words * 4);
      max = attrs.has(U.NFTA_NAT_REG_ADDR_MAX) ? loadRegister(attrs.get(U.NFTA_NAT_REG_ADDR_MAX), words * 4) : min;
      flags |= NF_NAT_RANGE_MAP_IPS;
    }
    const ports = portRegisters(attrs, U.NFTA_NAT_REG_PROTO_MIN, U.NFTA_NAT_REG_PROTO_MAX);
    if (ports.min >= 0) flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
    const manip = type === U.NFT_NAT_SNAT ? MANIP_SRC : MANIP_DST;
    const range = newRange();
    const engine = ctx.host.nat;
    const release = holdConntrack(ctx);
    return {
      name: 'nat',
      eval(regs, pkt) {
        // In inet tables the rule is for one of the two families; without an address for both.
        if (pkt.pf !== family && family !== H.NFPROTO_INET) return;
        if (min >= 0) {
          fillAddress(regs, min, words, range, 'minAddress');
          fillAddress(regs, max, words, range, 'maxAddress');
        }
        fillPorts(range, flags, ports, regs);
        if (min >= 0 && flags & NF_NAT_RANGE_NETMAP) regs.verdict = engine.netmap(pkt.p, pkt.pf, manip, range);
        else regs.verdict = manip === MANIP_SRC ? engine.snat(pkt.p, range) : engine.dnat(pkt.p, range);
      },
      dump(w) {
        w.beU32(U.NFTA_NAT_TYPE, type).beU32(U.NFTA_NAT_FAMILY, family);
        if (min >= 0) w.beU32(U.NFTA_NAT_REG_ADDR_MIN, regNumber(min)).beU32(U.NFTA_NAT_REG_ADDR_MAX, regNumber(max));
        if (ports.min >= 0)
          w.beU32(U.NFTA_NAT_REG_PROTO_MIN, regNumber(ports.min)).beU32(U.NFTA_NAT_REG_PROTO_MAX, regNumber(ports.max));
        if (flags !== 0) w.beU32(U.NFTA_NAT_FLAGS, flags);
      },
      validate(chain) {
        validateNat(chain, manip === MANIP_SRC ? SNAT_HOOKS : DNAT_HOOKS);
      },
      destroy: release,
    };
  },
};
