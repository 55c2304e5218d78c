/** Matches on what the host knows of a packet: socket, cgroup, osf, ipvs, nfacct, cluster. */
import { EDOM, EINVAL, ENOENT, KernelError } from '../../../core/errno.ts';
import { jhash } from '../../../core/jhash.ts';
import { NFPROTO_IPV4 } from '../../../wire/uapi/netfilter.ts';
import { type Cgroup, cgroup as cgroupCodec } from '../../../wire/xt/cgroup.ts';
import { type Cluster, cluster as clusterCodec } from '../../../wire/xt/cluster.ts';
import { IPVS_PROPERTY, type Ipvs, ipvs as ipvsCodec } from '../../../wire/xt/ipvs.ts';
import { type Nfacct, nfacct as nfacctCodec } from '../../../wire/xt/nfacct.ts';
import { type Osf, osf as osfCodec } from '../../../wire/xt/osf.ts';
import { type Socket, socket as socketCodec } from '../../../wire/xt/socket.ts';
import { holdConntrack } from '../../nft/expr/nat-common.ts';
import type { Chain } from '../../nft/model.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

const PRE = 0;
const IN = 1;
const FORWARD = 2;
const OUT = 3;
const POST = 4;

/** Refuses base chains on other hooks. */
function onlyOn(...hooks: number[]): (chain: Chain) => void {
  return (chain) => {
    if (chain.base !== undefined && !hooks.includes(chain.base.hook)) throw new KernelError(EINVAL);
  };
}

const TRANSPARENT = 1;
const NOWILDCARD = 2;
const RESTORE_MARK = 4;

export const socket: XtMatch<Socket> = {
  name: 'socket',
  revision: 3,
  codec: socketCodec,
  make(info, ctx) {
    if (info.flags & ~7) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    return (pkt) => {
      const found = host.socket?.(pkt);
      if (found === undefined) return XT_NO;
      // A socket bound to no address does not count, unless it was asked for.
      if (!(info.flags & NOWILDCARD) && found.wildcard) return XT_NO;
      if (info.flags & TRANSPARENT && !found.transparent) return XT_NO;
      if (info.flags & RESTORE_MARK) pkt.slab.setMark(pkt.p, found.mark);
      return XT_YES;
    };
  },
  validate: onlyOn(PRE, IN),
};

/** netloom's sockets are in the root control group and in no net_cls class. */
export const cgroup: XtMatch<Cgroup> = {
  name: 'cgroup',
  revision: 2,
  codec: cgroupCodec,
  make(info) {
    if (info.invertPath & ~1 || info.invertClassid & ~1) throw new KernelError(EINVAL);
    if (!info.hasPath && !info.hasClassid) throw new KernelError(EINVAL, 'xt_cgroup: no path or classid specified');
    if (info.hasPath && info.hasClassid) throw new KernelError(EINVAL, 'xt_cgroup: path and classid specified');
    const root = info.value[0] === 0x2f && info.value[1] === 0;
    if (info.hasPath && !root) throw new KernelError(EINVAL, 'xt_cgroup: invalid path, errno=-2');
    const classid = new DataView(info.value.buffer, info.value.byteOffset).getUint32(0, true);
    const answer = info.hasPath ? info.invertPath === 0 : (classid === 0) !== (info.invertClassid !== 0);
    return (pkt) => (pkt.slab.sk(pkt.p) !== 0 && answer ? XT_YES : XT_NO);
  },
  validate: onlyOn(OUT, POST, IN),
};

/** No fingerprints are loaded (as while nobody has run `nfnl_osf`): nothing is recognized, whatever is asked for. */
export const osf: XtMatch<Osf> = {
  name: 'osf',
  revision: 0,
  family: NFPROTO_IPV4,
  proto: 6,
  codec: osfCodec,
  make: () => () => XT_NO,
  validate: onlyOn(PRE, IN, FORWARD),
};

/** netloom has no IP virtual server: no packet belongs to one, which is all that can be matched. */
export const ipvs: XtMatch<Ipvs> = {
  name: 'ipvs',
  revision: 0,
  codec: ipvsCodec,
  make(info) {
    const only = info.bitmask === IPVS_PROPERTY && (info.invert & IPVS_PROPERTY) !== 0;
    return () => (only ? XT_YES : XT_NO);
  },
};

export const nfacct: XtMatch<Nfacct> = {
  name: 'nfacct',
  revision: 0,
  codec: nfacctCodec,
  make(info, ctx) {
    const account = ctx.state.nfacct.get(info.name);
    if (account === undefined)
      throw new KernelError(ENOENT, `xt_nfacct: accounting object \`${info.name}' does not exists`);
    account.users++;
    return {
      run(pkt) {
        account.packets++;
        account.bytes += pkt.slab.end(pkt.p) - pkt.nhoff;
        if (account.quota === 0) return XT_YES;
        // With a quota the match holds from the moment at which it is used up.
        return (account.inPackets ? account.packets : account.bytes) >= account.quota ? XT_YES : XT_NO;
      },
      destroy(undo) {
        account.users--;
        undo(() => {
          account.users++;
        });
      },
    };
  },
};

const NODES_MAX = 32;
const INVERT = 1;
const PACKET_HOST = 0;
const PACKET_MULTICAST = 2;

export const cluster: XtMatch<Cluster> = {
  name: 'cluster',
  revision: 0,
  codec: clusterCodec,
  make(info, ctx) {
    if (info.totalNodes > NODES_MAX || info.totalNodes === 0) throw new KernelError(EINVAL);
    if (info.nodeMask >= 2 ** info.totalNodes) throw new KernelError(EDOM);
    const { conntrack } = ctx.init.host;
    const v4 = ctx.family === NFPROTO_IPV4;
    const words = v4 ? 1 : 4;
    const bytes = new Uint8Array(words * 4);
    const view = new DataView(bytes.buffer);
    const invert = (info.flags & INVERT) !== 0;
    const release = holdConntrack(ctx.init);
    return {
      run(pkt) {
        const { slab, p } = pkt;
        // Nodes share a multicast link address: a packet for a single host is then taken for one.
        const first = slab.u8[pkt.nhoff + (v4 ? 16 : 24)];
        const multicast = v4 ? first >> 4 === 14 : first === 0xff;
        if (!multicast && slab.pktType(p) === PACKET_MULTICAST) slab.setPktType(p, PACKET_HOST);
        const found = conntrack.of(p);
        if (found === undefined) return XT_NO;
        const { words: tuple } = found.master ?? found;
        const at = conntrack.at(found.master ?? found, 0);
        for (let i = 0; i < words; i++) view.setUint32(i * 4, tuple[at + i]);
        const node = Math.floor((jhash(bytes, 0, bytes.length, info.hashSeed) * info.totalNodes) / 2 ** 32);
        return (((1 << node) & info.nodeMask) !== 0) !== invert ? XT_YES : XT_NO;
      },
      destroy: release,
    };
  },
};
