/** Targets that send a packet (or its copy) elsewhere: TEE, TPROXY. */
import { EINVAL, EOPNOTSUPP, KernelError } from '../../../core/errno.ts';
import { NF_ACCEPT, NF_DROP } from '../../../wire/uapi/netfilter.ts';
import { type TeeTarget, teeTarget } from '../../../wire/xt/tee-target.ts';
import { type TproxyTarget, tproxyTarget } from '../../../wire/xt/tproxy-target.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

export const TEE: XtTarget<TeeTarget> = {
  name: 'TEE',
  revision: 1,
  codec: teeTarget,
  make(info, ctx) {
    if (info.gateway.every((byte) => byte === 0)) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    const { duplicate } = host;
    if (duplicate === undefined) throw new KernelError(EOPNOTSUPP, 'netloom does not support TEE on this host');
    return (pkt) => {
      const oif = info.oif === '' ? 0 : host.deviceIndex(info.oif);
      // A device that is named and not there takes no copies.
      if (info.oif === '' || oif !== 0) duplicate.call(host, pkt.pf, pkt.p, info.gateway, oif, pkt.hook);
      return XT_CONTINUE;
    };
  },
};

/** netloom's sockets cannot be transparent (IP_TRANSPARENT): none is found, and a packet for a proxy that is not there is dropped. */
export const TPROXY: XtTarget<TproxyTarget> = {
  name: 'TPROXY',
  revision: 1,
  codec: tproxyTarget,
  make(info, ctx) {
    if (ctx.table !== 'mangle') throw new KernelError(EINVAL);
    if ((ctx.proto !== 6 && ctx.proto !== 17) || ctx.protoInvert)
      throw new KernelError(EINVAL, 'Can be used only with -p tcp or -p udp');
    const { host } = ctx.init;
    return (pkt) => {
      const found = host.socket?.(pkt);
      if (found?.transparent !== true) return NF_DROP;
      const { slab, p } = pkt;
      slab.setMark(p, ((slab.mark(p) & ~info.markMask) ^ info.markValue) >>> 0);
      return NF_ACCEPT;
    };
  },
  validate(chain) {
    if (chain.base !== undefined && chain.base.hook !== 0) throw new KernelError(EINVAL);
  },
};
