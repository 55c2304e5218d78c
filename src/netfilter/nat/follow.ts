/**
 * NAT for connections that a helper announces (`nf_nat_follow_master` and the nf_nat_* helpers): the port is announced as it will
 * be seen outside, and the new connection is translated as its master is.
 */
import { EBUSY } from '../../core/errno.ts';
import type { Random } from '../../core/random.ts';
import { IPPROTO_TCP } from '../../wire/ipv4.ts';
import { NF_NAT_RANGE_PROTO_SPECIFIED } from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_DROP } from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { Conn } from '../conntrack/entry.ts';
import { bytesOfText, type Follow } from '../conntrack/helper/payload.ts';
import type { Expectation, Follower } from '../conntrack/helper/types.ts';
import { DST, PORTS, protonum } from '../conntrack/tuple.ts';
import { mangleTcp, mangleUdp } from './mangle.ts';
import type { Nat } from './nat.ts';
import { MANIP_DST, MANIP_SRC, newRange, setSingleAddress } from './range.ts';

const MAX_ATTEMPTS = 128;

function setDestinationPort(e: Expectation, port: number): void {
  e.tuple[PORTS] = (e.tuple[PORTS] & 0xffff0000) | port;
}

/** Enters the expectation with its own port or, when that is taken, a free one; 0: there is none (`nf_nat_exp_find_port`). */
export function findPort(table: Conntrack, e: Expectation, wanted: number, random: Random): number {
  let port = wanted;
  for (let attempt = 0; attempt <= MAX_ATTEMPTS; attempt++) {
    setDestinationPort(e, port);
    const errno = table.expectations.add(e);
    if (errno === 0) return port;
    if (errno !== EBUSY) return 0;
    port = 1024 + random.below(65536 - 1024);
  }
  return 0;
}

/** Translates a new connection as its master is: sources as the master's, the destination to where it really is. */
export function followMaster(nat: Nat, ct: Conn, e: Expectation, master: Conn): void {
  const range = newRange();
  const other = master.at(1 - e.dir);
  setSingleAddress(range, master.words, other + DST);
  nat.setup(ct, range, MANIP_SRC);
  setSingleAddress(range, master.words, other);
  range.flags |= NF_NAT_RANGE_PROTO_SPECIFIED;
  range.minPort = range.maxPort = e.savedPort;
  nat.setup(ct, range, MANIP_DST);
}

/** A PPTP call: addresses as the master's; the key of one side is the call id that the other side knows. */
function followCall(nat: Nat, ct: Conn, e: Expectation, master: Conn): void {
  const range = newRange();
  const other = master.at(1 - e.dir);
  const key = (on: boolean): void => {
    range.flags = on ? NF_NAT_RANGE_PROTO_SPECIFIED : 0;
    range.minPort = range.maxPort = on ? e.savedPort : 0;
  };
  key(e.dir === 0);
  setSingleAddress(range, master.words, other + DST);
  nat.setup(ct, range, MANIP_SRC);
  key(e.dir === 1);
  setSingleAddress(range, master.words, other);
  nat.setup(ct, range, MANIP_DST);
}

/** The NAT of one host as helpers see it. */
export function newFollower(nat: Nat): Follower {
  const { conntrack } = nat;
  return {
    follow(ct: Conn, p: number, at: number, ctinfo: number, pf: number, e: Expectation, how: Follow): number {
      e.savedPort = how.savedPort;
      e.dir = how.dir;
      e.expectfn = (table, made) => {
        const master = table.expectations.masterOf(e) ?? made.master;
        if (master !== undefined) followMaster(nat, made, e, master);
      };
      if (how.text === undefined) return conntrack.expectations.add(e) === 0 ? NF_ACCEPT : NF_DROP;
      const port = findPort(conntrack, e, e.tuple[PORTS] & 0xffff, conntrack.random);
      if (port === 0) return NF_DROP;
      const by = bytesOfText(how.text(port));
      const { slab } = conntrack;
      const done =
        protonum(ct.words, ct.base) === IPPROTO_TCP
          ? mangleTcp(slab, ct, p, pf, at, ctinfo, how.offset, how.length, by)
          : mangleUdp(slab, p, pf, at, how.offset, how.length, by);
      if (done) return NF_ACCEPT;
      conntrack.expectations.remove(e);
      return NF_DROP;
    },
    followCall(ct: Conn, e: Expectation): void {
      const master = conntrack.expectations.masterOf(e);
      if (master !== undefined) followCall(nat, ct, e, master);
    },
    replaceTcp(ct, p, at, ctinfo, pf, offset, by): number {
      return mangleTcp(conntrack.slab, ct, p, pf, at, ctinfo, offset, by.length, by) ? NF_ACCEPT : NF_DROP;
    },
  };
}
