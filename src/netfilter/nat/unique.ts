/**
 * Choosing the translated tuple (`get_unique_tuple`): keep what is there if it is allowed and free; else an address from the
 * range by a hash of the ends, so that a client keeps its address; else a free port of the same class.
 * RFC 4787, 5382: endpoint-independent as far as ports suffice.
 */
import { jhash2 } from '../../core/jhash.ts';
import {
  IPPROTO_GRE,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPPROTO_UDPLITE,
} from '../../wire/ipv4.ts';
import {
  IPS_DYING,
  IPS_FIXED_TIMEOUT,
  IPS_SRC_NAT,
  NF_NAT_RANGE_MAP_IPS,
  NF_NAT_RANGE_PERSISTENT,
  NF_NAT_RANGE_PROTO_RANDOM_ALL,
  TCP_CONNTRACK_TIME_WAIT,
} from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { Conn } from '../conntrack/entry.ts';
import {
  copyTuple,
  DST,
  dstPort,
  l3num,
  newTuple,
  protonum,
  setDstPort,
  setSrcPort,
  srcPort,
  type Words,
} from '../conntrack/tuple.ts';
import { addressInRange, hasOffset, hasPorts, MANIP_DST, MANIP_SRC, type NatRange } from './range.ts';

/** Ports tried before a new random start (NF_NAT_MAX_ATTEMPTS), and the fewest of a round. */
const MAX_ATTEMPTS = 128;
const MIN_ATTEMPTS = 16;
/** With so few attempts left, a tuple that a connection in TIME_WAIT holds is taken from it. */
const HARDER = 8;

function swap32(v: number): number {
  return ((v >>> 24) | ((v >>> 8) & 0xff00) | ((v << 8) & 0xff0000) | (v << 24)) >>> 0;
}

/** Picks tuples for one host's connections. */
export class TupleChooser {
  readonly #ct: Conntrack;
  readonly #inverse: Words = newTuple();
  /** An existing mapping of a source: fills `out` and answers true (nat.ts keeps them). */
  readonly #sourceMapping: (t: Words, ct: Conn, range: NatRange, out: Words) => boolean;

  constructor(ct: Conntrack, sourceMapping: (t: Words, ct: Conn, range: NatRange, out: Words) => boolean) {
    this.#ct = ct;
    this.#sourceMapping = sourceMapping;
  }

  /** Fills `out` from `orig` so that it lies in the range and its answers meet no other connection. */
  choose(orig: Words, range: NatRange, ct: Conn, manip: number, out: Words): void {
    const random = (range.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL) !== 0;
    if (manip === MANIP_SRC && !random) {
      copyTuple(orig, 0, out, 0);
      if (sourceInRange(orig, range)) {
        if (!this.used(out, ct)) return;
      } else if (this.#sourceMapping(orig, ct, range, out) && !this.used(out, ct)) return;
    }
    copyTuple(orig, 0, out, 0);
    chooseAddress(out, range, ct, manip);
    if (!random) {
      if (hasPorts(range)) {
        const inside = !hasOffset(range) && portInRange(out, range, manip);
        if (inside && (range.minPort === range.maxPort || !this.used(out, ct))) return;
      } else if (!this.used(out, ct)) return;
    }
    this.#choosePort(out, range, ct, manip);
  }

  /** True when answers to `t` would belong to another connection. */
  used(t: Words, ct: Conn): boolean {
    // A protocol without inverse cannot clash.
    return this.#ct.invert(t, 0, this.#inverse, 0) && this.#ct.tupleTaken(this.#inverse, ct);
  }

  #usedHarder(t: Words, ct: Conn, left: number): boolean {
    if (!this.used(t, ct)) return false;
    if (left >= HARDER) return true;
    const n = this.#ct.find(this.#inverse);
    if (n < 0) return true;
    const other = this.#ct.entry(n);
    if (other.tcp === undefined || other.tcp.state < TCP_CONNTRACK_TIME_WAIT) return true;
    // Only connections whose source is translated may lose theirs (nf_nat_may_kill).
    if ((other.status & (IPS_SRC_NAT | IPS_FIXED_TIMEOUT | IPS_DYING)) !== IPS_SRC_NAT) return true;
    return !this.#ct.kill(other);
  }

  #choosePort(t: Words, range: NatRange, ct: Conn, manip: number): void {
    const protocol = protonum(t, 0);
    let min: number;
    let size: number;
    let source = manip === MANIP_SRC;
    const key = source ? srcPort(t, 0) : dstPort(t, 0);
    switch (protocol) {
      case IPPROTO_ICMP:
      case IPPROTO_ICMPV6:
        source = true; // the id, whichever way
        min = hasPorts(range) ? range.minPort : 0;
        size = hasPorts(range) ? range.maxPort - range.minPort + 1 : 65536;
        break;
      case IPPROTO_TCP:
      case IPPROTO_UDP:
      case IPPROTO_UDPLITE:
      case IPPROTO_SCTP:
        if (hasPorts(range)) {
          min = Math.min(range.minPort, range.maxPort);
          size = Math.abs(range.maxPort - range.minPort) + 1;
        } else if (manip === MANIP_DST) return;
        // A port stays in its class: some services trust ports below 1024, rsh those below 512.
        else if (key >= 1024) {
          min = 1024;
          size = 65535 - 1024 + 1;
        } else if (key < 512) {
          min = 1;
          size = 511;
        } else {
          min = 600;
          size = 1023 - 600 + 1;
        }
        break;
      case IPPROTO_GRE:
        // Only PPTP's keys are anybody's to choose.
        if (ct.master === undefined) return;
        min = hasPorts(range) ? range.minPort : 1;
        size = hasPorts(range) ? range.maxPort - range.minPort + 1 : 65535;
        break;
      default:
        return;
    }
    const { random } = this.#ct;
    let offset: number;
    if (hasOffset(range)) offset = (key - range.basePort) & 0xffff;
    else if (range.flags & NF_NAT_RANGE_PROTO_RANDOM_ALL || manip !== MANIP_DST) offset = random.below(65536);
    else offset = 0;
    for (let attempts = Math.min(size, MAX_ATTEMPTS); ; attempts >>= 1, offset = random.below(65536)) {
      for (let i = 0; i < attempts; i++, offset++) {
        const port = min + (offset % size);
        if (source) setSrcPort(t, 0, port);
        else setDstPort(t, 0, port);
        if (!this.#usedHarder(t, ct, attempts - i)) return;
      }
      if (attempts >= size || attempts < MIN_ATTEMPTS) return;
    }
  }
}

/** True when the tuple's source is what the range would allow. */
export function sourceInRange(t: Words, range: NatRange): boolean {
  if (range.flags & NF_NAT_RANGE_MAP_IPS && !addressInRange(range, t, 0)) return false;
  return !hasPorts(range) || portInRange(t, range, MANIP_SRC);
}

function portInRange(t: Words, range: NatRange, manip: number): boolean {
  switch (protonum(t, 0)) {
    case IPPROTO_ICMP:
    case IPPROTO_ICMPV6: {
      const id = srcPort(t, 0);
      return id >= range.minPort && id <= range.maxPort;
    }
    case IPPROTO_GRE:
    case IPPROTO_TCP:
    case IPPROTO_UDP:
    case IPPROTO_UDPLITE:
    case IPPROTO_SCTP: {
      const port = manip === MANIP_SRC ? srcPort(t, 0) : dstPort(t, 0);
      return port >= range.minPort && port <= range.maxPort;
    }
    default:
      return true;
  }
}

function chooseAddress(t: Words, range: NatRange, ct: Conn, manip: number): void {
  if (!(range.flags & NF_NAT_RANGE_MAP_IPS)) return;
  const at = manip === MANIP_SRC ? 0 : DST;
  const { minAddress: min, maxAddress: max } = range;
  if (min[0] === max[0] && min[1] === max[1] && min[2] === max[2] && min[3] === max[3]) {
    for (let k = 0; k < 4; k++) t[at + k] = min[k];
    return;
  }
  const last = l3num(t, 0) === NFPROTO_IPV4 ? 0 : 3;
  const persistent = (range.flags & NF_NAT_RANGE_PERSISTENT) !== 0;
  // The kernel hashes and mixes the words as they lie in memory, little-endian.
  const source = [0, 1, 2, 3].map((k) => swap32(t[k]));
  const destination = [0, 1, 2, 3].map((k) => swap32(t[DST + k]));
  let j = jhash2(source, persistent ? 0 : (destination[last] ^ ct.zone) >>> 0);
  let full = false;
  for (let k = 0; k <= last; k++) {
    // Once a word is not the range's last, the words behind it may be anything.
    const low = full ? 0 : min[k];
    const distance = full ? 0xffffffff : (max[k] - min[k] + 1) >>> 0;
    t[at + k] = (low + Number((BigInt(j) * BigInt(distance)) >> 32n)) >>> 0;
    if (t[at + k] !== max[k]) full = true;
    if (!persistent) j = (j ^ destination[k]) >>> 0;
  }
}
