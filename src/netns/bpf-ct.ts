/** Connection tracking of a host for its eBPF programs (bpf/runtime/kfuncs-ct.ts). */
import type { Conntrack as BpfConntrack, CtQuery } from '../bpf/runtime/net.ts';
import { EBUSY, EEXIST, ENOENT, ENOMEM } from '../core/errno.ts';
import type { Conntrack } from '../netfilter/conntrack/conntrack.ts';
import { type Conn, ZONE_DIR_BOTH } from '../netfilter/conntrack/entry.ts';
import { DST, newTuple, PORTS, PROTO, type Words, ZONE } from '../netfilter/conntrack/tuple.ts';
import type { Nat } from '../netfilter/nat/nat.ts';
import { newRange, setSingleAddress } from '../netfilter/nat/range.ts';
import { AF_INET } from '../wire/address.ts';
import {
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_EXPECTED,
  IPS_SEEN_REPLY,
  IPS_UNCHANGEABLE_MASK,
  NF_NAT_RANGE_PROTO_SPECIFIED,
} from '../wire/uapi/ctnetlink.ts';
import { NF_DROP } from '../wire/uapi/netfilter.ts';

const MS_PER_SECOND = 1000;

/** `struct bpf_sock_tuple` as conntrack keeps tuples. */
function tupleOf(dv: DataView, { family, tuple, l4proto, zone }: CtQuery): Words {
  const words = newTuple();
  const count = family === AF_INET ? 1 : 4;
  for (let i = 0; i < count; i++) {
    words[i] = dv.getUint32(tuple + i * 4);
    words[DST + i] = dv.getUint32(tuple + (count + i) * 4);
  }
  words[PROTO] = (family << 8) | l4proto;
  words[PORTS] = dv.getUint32(tuple + count * 8);
  words[ZONE] = zone;
  return words;
}

/** Lookup, creation and change of the host's entries. */
export function hostConntrack(conntrack: Conntrack, nat: Nat): BpfConntrack {
  const { dv } = conntrack.slab;
  const taken = (ct: Conn): boolean =>
    [0, 1].some((dir) => conntrack.find(ct.words.slice(conntrack.at(ct, dir), conntrack.at(ct, dir) + 12)) >= 0);
  return {
    lookup(query) {
      const n = conntrack.find(tupleOf(dv, query));
      return n < 0 ? -ENOENT : { entry: conntrack.entry(n), dir: n & 1 };
    },
    create(query) {
      const original = tupleOf(dv, query);
      const reply = newTuple();
      if (!conntrack.invert(original, 0, reply, 0)) return undefined;
      return conntrack.create(original, reply, query.zone, ZONE_DIR_BOTH);
    },
    insert(entry) {
      const ct = entry as Conn;
      if (taken(ct)) return -EEXIST;
      conntrack.insert(ct);
      return 0;
    },
    setNat(entry, address, port, manip) {
      const ct = entry as Conn;
      const range = newRange();
      const v4 = ct.words[conntrack.at(ct, 0) + PROTO] >>> 8 === AF_INET;
      const words = Uint32Array.from({ length: 4 }, (_, i) => (v4 && i > 0 ? 0 : dv.getUint32(address + i * 4)));
      setSingleAddress(range, words, 0);
      if (port > 0) {
        range.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
        range.minPort = range.maxPort = port & 0xffff;
      }
      return nat.setup(ct, range, manip) === NF_DROP ? -ENOMEM : 0;
    },
    setTimeout(entry, ms) {
      conntrack.setTimeout(entry as Conn, ms / MS_PER_SECOND);
      return 0;
    },
    setStatus(entry, status) {
      const ct = entry as Conn;
      const changed = ct.status ^ status;
      if ((changed & (IPS_EXPECTED | IPS_CONFIRMED | IPS_DYING)) !== 0) return -EBUSY;
      if ((changed & ct.status & (IPS_SEEN_REPLY | IPS_ASSURED)) !== 0) return -EBUSY;
      ct.status |= status & ~IPS_UNCHANGEABLE_MASK;
      return 0;
    },
  };
}
