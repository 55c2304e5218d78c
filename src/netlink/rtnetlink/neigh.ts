/**
 * RTM_{NEW,DEL,GET}NEIGH: neighbour entries. See rtnetlink(7), ip-neighbour(8).
 */
import { EEXIST, EINVAL, ENODEV, ENOENT, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import { AF_INET, AF_INET6, AF_UNSPEC, sameBytes } from '../../wire/address.ts';
import { AttrWriter, attrMap, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitNd, NDMSG_LENGTH, parseNd } from '../../wire/netlink/rtnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { NeighbourView, RtnetlinkHost } from './host.ts';

/** The payload of RTM_NEWNEIGH for an entry. */
export function neighbourPayload(host: RtnetlinkHost, n: NeighbourView): Uint8Array {
  const w = new AttrWriter();
  const state = n.flags & u.NTF_PROXY ? u.NUD_NONE : n.state;
  w.raw(emitNd({ family: n.family, index: n.ifindex, state, flags: n.flags, type: n.type }));
  w.bytes(u.NDA_DST, n.address);
  if (n.flags & u.NTF_PROXY) return w.finish();
  if (n.lladdr !== undefined && n.state & ~(u.NUD_INCOMPLETE | u.NUD_FAILED)) w.bytes(u.NDA_LLADDR, n.lladdr);
  w.u32(u.NDA_PROBES, n.probes);
  const info = new Uint8Array(16);
  const dv = new DataView(info.buffer);
  [n.confirmed, n.used, n.updated].forEach((at, i) => {
    dv.setUint32(i * 4, Math.max(0, Math.floor((host.world.now - at) / 1e7)), true);
  });
  return w.bytes(u.NDA_CACHEINFO, info).finish();
}

/** RTM_GETNEIGH: a dump, or one entry. */
export function getNeighbours(host: RtnetlinkHost, m: Message, dump: boolean): Uint8Array[] {
  const header = parseNd(m.payload);
  const attrs = attrMap(m.payload, NDMSG_LENGTH);
  const proxy = (header.flags & u.NTF_PROXY) !== 0;
  const families = header.family === AF_UNSPEC ? [AF_INET, AF_INET6] : [header.family];
  for (const family of families) if (family !== AF_INET && family !== AF_INET6) throw new KernelError(EOPNOTSUPP);
  let entries = families.flatMap((family) => host.neighbours(family, proxy));
  if (!dump) {
    const dst = attrs.get(u.NDA_DST);
    if (dst === undefined) throw new KernelError(EINVAL, 'Network address not specified');
    entries = entries.filter((n) => n.ifindex === header.index && sameBytes(n.address, dst.payload));
    if (entries.length === 0)
      throw new KernelError(ENOENT, proxy ? 'Proxy neighbour entry not found' : 'Neighbour entry not found');
  }
  const only = attrs.get(u.NDA_IFINDEX);
  if (only !== undefined) entries = entries.filter((n) => n.ifindex === getU32(only.payload));
  // An entry nobody has asked about yet is not shown.
  return entries.filter((n) => n.state !== u.NUD_NONE || proxy).map((n) => neighbourPayload(host, n));
}

type Parsed = {
  family: number;
  ifindex: number;
  address: Uint8Array;
  lladdr: Uint8Array | undefined;
  state: number;
  flags: number;
};

function parse(host: RtnetlinkHost, m: Message): Parsed {
  const header = parseNd(m.payload);
  const attrs = attrMap(m.payload, NDMSG_LENGTH);
  const dst = attrs.get(u.NDA_DST);
  if (header.family !== AF_INET && header.family !== AF_INET6)
    throw new KernelError(EOPNOTSUPP, 'netloom does not support forwarding database entries');
  if (dst === undefined) throw new KernelError(EINVAL, 'Network address not specified');
  if (dst.payload.length < (header.family === AF_INET ? 4 : 16))
    throw new KernelError(EINVAL, 'Invalid network address');
  if (header.index !== 0 && !host.links().some((link) => link.ifindex === header.index)) throw new KernelError(ENODEV);
  if (header.index === 0) throw new KernelError(EINVAL);
  const lladdr = attrs.get(u.NDA_LLADDR);
  if (lladdr !== undefined && lladdr.payload.length < 6) throw new KernelError(EINVAL, 'Invalid link address');
  return {
    family: header.family,
    ifindex: header.index,
    address: Uint8Array.from(dst.payload),
    lladdr: lladdr === undefined ? undefined : Uint8Array.from(lladdr.payload),
    state: header.state,
    flags: header.flags,
  };
}

/** RTM_NEWNEIGH. */
export function newNeighbour(host: RtnetlinkHost, m: Message): void {
  const entry = parse(host, m);
  const proxy = (entry.flags & u.NTF_PROXY) !== 0;
  const old = host
    .neighbours(entry.family, proxy)
    .find((n) => n.ifindex === entry.ifindex && sameBytes(n.address, entry.address));
  if (!proxy) {
    if (old === undefined) {
      if (!(m.flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
      if (entry.lladdr === undefined && entry.state & (u.NUD_PERMANENT | u.NUD_REACHABLE | u.NUD_STALE))
        throw new KernelError(EINVAL);
    } else {
      if (m.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
      if (!(m.flags & NLM_F_REPLACE) && entry.lladdr !== undefined) throw new KernelError(EEXIST);
    }
  }
  host.setNeighbour(entry);
}

/** RTM_DELNEIGH. */
export function deleteNeighbour(host: RtnetlinkHost, m: Message): void {
  const { family, ifindex, address, flags } = parse(host, m);
  if (!host.deleteNeighbour(family, ifindex, address, (flags & u.NTF_PROXY) !== 0)) throw new KernelError(ENOENT);
}
