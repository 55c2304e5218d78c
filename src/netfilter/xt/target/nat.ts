/** Targets SNAT, DNAT, MASQUERADE, REDIRECT, NETMAP. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NF_NAT_RANGE_MAP_IPS } from '../../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../../wire/uapi/netfilter.ts';
import { type NatRange1, natRange1 } from '../../../wire/xt/nat-range1.ts';
import { type NatRange2, natRange2 } from '../../../wire/xt/nat-range2.ts';
import { type NatRange4, natRange4 } from '../../../wire/xt/nat-range4.ts';
import type { Codec } from '../../../wire/xt/struct.ts';
import type { Nat } from '../../nat/nat.ts';
import { MANIP_DST, MANIP_SRC, type NatRange, newRange } from '../../nat/range.ts';
import { holdConntrack } from '../../nft/expr/nat-common.ts';
import type { Chain } from '../../nft/model.ts';
import type { PktInfo } from '../../nft/pkt.ts';
import type { XtTarget } from '../extension.ts';

const PRE = 0;
const IN = 1;
const OUT = 3;
const POST = 4;

function words(bytes: Uint8Array, into: Uint32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let i = 0; i * 4 < bytes.length; i++) into[i] = view.getUint32(i * 4);
}

function from4(info: NatRange4): NatRange {
  const range = newRange();
  range.flags = info.flags;
  words(info.minIp, range.minAddress);
  words(info.maxIp, range.maxAddress);
  range.minPort = info.minPort;
  range.maxPort = info.maxPort;
  return range;
}

function from1(info: NatRange1, v4: boolean): NatRange {
  const range = newRange();
  range.flags = info.flags;
  words(v4 ? info.minAddr.subarray(0, 4) : info.minAddr, range.minAddress);
  words(v4 ? info.maxAddr.subarray(0, 4) : info.maxAddr, range.maxAddress);
  range.minPort = info.minPort;
  range.maxPort = info.maxPort;
  return range;
}

type Act = (nat: Nat, pkt: PktInfo, range: NatRange) => number;

function build<S extends object>(
  name: string,
  revision: number,
  family: number | undefined,
  codec: Codec<S>,
  hooks: readonly number[],
  read: (info: S, v4: boolean) => NatRange,
  act: Act,
): XtTarget<S> {
  return {
    name,
    revision,
    ...(family !== undefined && { family }),
    codec,
    make(info, ctx) {
      const range = read(info, ctx.family === NFPROTO_IPV4);
      if ('count' in info && info.count !== 1) throw new KernelError(EINVAL, 'multiple ranges no longer supported');
      if (name === 'NETMAP' && !(range.flags & NF_NAT_RANGE_MAP_IPS)) throw new KernelError(EINVAL);
      const { nat } = ctx.init.host;
      const release = holdConntrack(ctx.init);
      return { run: (pkt) => act(nat, pkt, range), destroy: release };
    },
    validate(chain: Chain) {
      const { base } = chain;
      if (base === undefined) return;
      if (base.type !== 'nat' || !hooks.includes(base.hook)) throw new KernelError(EINVAL);
    },
  };
}

const snat: Act = (nat, pkt, range) => nat.snat(pkt.p, range);
const dnat: Act = (nat, pkt, range) => nat.dnat(pkt.p, range);
const masquerade: Act = (nat, pkt, range) => nat.masquerade(pkt.p, pkt.pf, pkt.oif, range);
const redirect: Act = (nat, pkt, range) => nat.redirect(pkt.p, pkt.pf, pkt.hook, pkt.iif, range);
const netmap: Act = (nat, pkt, range) =>
  nat.netmap(pkt.p, pkt.pf, pkt.hook === POST || pkt.hook === IN ? MANIP_SRC : MANIP_DST, range);

function both(name: string, hooks: readonly number[], act: Act): XtTarget<object>[] {
  return [
    build(name, 0, NFPROTO_IPV4, natRange4, hooks, from4, act),
    build(name, 0, NFPROTO_IPV6, natRange1, hooks, (info: NatRange1) => from1(info, false), act),
  ];
}

function withBase(info: NatRange2, v4: boolean): NatRange {
  const range = from1(info, v4);
  range.basePort = info.basePort;
  return range;
}

export const NAT_TARGETS: readonly XtTarget<object>[] = [
  build('SNAT', 0, NFPROTO_IPV4, natRange4, [POST, IN], from4, snat),
  build('SNAT', 1, undefined, natRange1, [POST, IN], from1, snat),
  build('DNAT', 0, NFPROTO_IPV4, natRange4, [PRE, OUT], from4, dnat),
  build('DNAT', 1, undefined, natRange1, [PRE, OUT], from1, dnat),
  build('DNAT', 2, undefined, natRange2, [PRE, OUT], withBase, dnat),
  ...both('MASQUERADE', [POST], masquerade),
  ...both('REDIRECT', [PRE, OUT], redirect),
  ...both('NETMAP', [PRE, IN, OUT, POST], netmap),
];
