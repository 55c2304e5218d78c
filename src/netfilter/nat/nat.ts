/**
 * Network address translation of one host (nf_nat_core). A NAT rule is asked once per connection and direction of rewriting: its
 * answer is put into the connection's reply tuple, and every later packet is rewritten from the two tuples alone.
 *
 * One dispatcher per hook calls the chains of type nat in order, for the first packet only: destinations at -100 in
 * PRE_ROUTING and LOCAL_OUT, sources at 100 in POST_ROUTING and LOCAL_IN. While any chain is registered, all
 * connections are bound, if only to themselves, so that a later mapping cannot steal their ports.
 */
import { DROP } from '../../core/drop.ts';
import type { HookEntry, HookFn, HookState } from '../../core/hook.ts';
import { HashTable } from '../../core/table.ts';
import * as icmp from '../../wire/icmp.ts';
import * as icmpv6 from '../../wire/icmpv6.ts';
import { IPPROTO_ICMP, IPPROTO_ICMPV6 } from '../../wire/ipv4.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IPS_DST_NAT,
  IPS_DST_NAT_DONE,
  IPS_NAT_DONE_MASK,
  IPS_NAT_MASK,
  IPS_SRC_NAT,
  IPS_SRC_NAT_DONE,
  NF_NAT_RANGE_MAP_IPS,
} from '../../wire/uapi/ctnetlink.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_NAT_DST,
  NF_IP_PRI_NAT_SRC,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from '../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack/conntrack.ts';
import type { Conn } from '../conntrack/entry.ts';
import { locate, newLocated, packetEnd, plainChecksumOk, transportChecksumOk } from '../conntrack/packet.ts';
import { endpoint } from '../conntrack/text.ts';
import { DST, equal, newTuple, PORTS, PROTO, sameAddress, setAddress, type Words, ZONE } from '../conntrack/tuple.ts';
import { newFollower } from './follow.ts';
import { manipulate, refillIcmp } from './manip.ts';
import { MANIP_DST, MANIP_SRC, type NatRange, newRange, setSingleAddress } from './range.ts';
import { sourceInRange, TupleChooser } from './unique.ts';

/** What NAT needs to know of its host. */
export type NatHost = {
  /** The address that masquerading writes on packets out of `oif` (4 or 16 bytes); undefined: none. */
  masqueradeAddress(p: number, pf: number, oif: number): Uint8Array | undefined;
  /** The first address of a device, which redirection writes; undefined: none. */
  deviceAddress(pf: number, ifindex: number): Uint8Array | undefined;
  /** Routes a packet of this host's own again after its destination changed; false: no route. */
  reroute(p: number, pf: number): boolean;
};

type Family = {
  readonly hooks: HookEntry[];
  /** Chains of type nat by hook, in order of priority. */
  readonly chains: HookEntry[][];
  count: number;
};

const HOOKS: readonly { readonly hook: number; readonly priority: number; readonly manip: number }[] = [
  { hook: NF_INET_PRE_ROUTING, priority: NF_IP_PRI_NAT_DST, manip: MANIP_DST },
  { hook: NF_INET_POST_ROUTING, priority: NF_IP_PRI_NAT_SRC, manip: MANIP_SRC },
  { hook: NF_INET_LOCAL_OUT, priority: NF_IP_PRI_NAT_DST, manip: MANIP_DST },
  { hook: NF_INET_LOCAL_IN, priority: NF_IP_PRI_NAT_SRC, manip: MANIP_SRC },
];

function manipOf(hook: number): number {
  return hook === NF_INET_POST_ROUTING || hook === NF_INET_LOCAL_IN ? MANIP_SRC : MANIP_DST;
}

const LOOPBACK4: Uint8Array = Uint8Array.of(127, 0, 0, 1);
const LOOPBACK6: Uint8Array = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);

export class Nat {
  readonly conntrack: Conntrack;
  readonly #host: NatHost;
  readonly #register: (entry: HookEntry) => void;
  readonly #unregister: (entry: HookEntry) => void;
  readonly #families = new Map<number, Family>();
  readonly #chooser: TupleChooser;
  /** Connections by original source, for mappings that later connections of the same source share. */
  readonly #bySource: HashTable;
  readonly #current: Words = newTuple();
  readonly #chosen: Words = newTuple();
  readonly #target: Words = newTuple();
  readonly #range: NatRange = newRange();
  readonly #located = newLocated();

  constructor(
    conntrack: Conntrack,
    hooks: { register(entry: HookEntry): void; unregister(entry: HookEntry): void },
    host: NatHost,
  ) {
    this.conntrack = conntrack;
    this.#host = host;
    this.#register = (entry) => hooks.register(entry);
    this.#unregister = (entry) => hooks.unregister(entry);
    this.#chooser = new TupleChooser(conntrack, (t, ct, range, out) => this.#sourceMapping(t, ct, range, out));
    this.#bySource = new HashTable({
      hashOf: (n) => {
        const ct = conntrack.entry(n * 2);
        return sourceHash(ct.words, ct.base);
      },
    });
    conntrack.follower = newFollower(this);
    conntrack.onFree.push((ct) => {
      if (!ct.natSource) return;
      ct.natSource = false;
      this.#bySource.remove(sourceHash(ct.words, ct.base), ct.index);
    });
  }

  /** Adds a chain of type nat (`pf` IPV4, IPV6, or INET for both). */
  register(entry: HookEntry): void {
    for (const pf of entry.pf === NFPROTO_INET ? [NFPROTO_IPV4, NFPROTO_IPV6] : [entry.pf]) {
      const family = this.#family(pf);
      const list = family.chains[entry.hook];
      const at = list.findIndex((e) => e.priority > entry.priority);
      family.chains[entry.hook] = at < 0 ? [...list, entry] : [...list.slice(0, at), entry, ...list.slice(at)];
      family.count++;
    }
  }

  /** Takes a chain out. */
  unregister(entry: HookEntry): void {
    for (const pf of entry.pf === NFPROTO_INET ? [NFPROTO_IPV4, NFPROTO_IPV6] : [entry.pf]) {
      const family = this.#families.get(pf);
      if (!family?.chains[entry.hook].includes(entry)) continue;
      family.chains[entry.hook] = family.chains[entry.hook].filter((e) => e !== entry);
      if (--family.count > 0) continue;
      for (const e of family.hooks) this.#unregister(e);
      this.#families.delete(pf);
      this.conntrack.put(pf);
    }
  }

  #family(pf: number): Family {
    const known = this.#families.get(pf);
    if (known) return known;
    this.conntrack.get(pf);
    const family: Family = {
      chains: [[], [], [], [], []],
      count: 0,
      hooks: HOOKS.map(({ hook, priority }) => ({
        pf,
        hook,
        priority,
        name: 'nat',
        fn: hook === NF_INET_LOCAL_OUT ? this.#output : this.#hook,
      })),
    };
    for (const e of family.hooks) this.#register(e);
    this.#families.set(pf, family);
    return family;
  }

  /** The dispatcher. */
  readonly #hook: HookFn = (p, state) => {
    const { conntrack } = this;
    const { slab } = conntrack;
    const ct = conntrack.of(p);
    if (ct === undefined) return NF_ACCEPT;
    const info = slab.nfctinfo(p);
    const manip = manipOf(state.hook);
    if (info === IP_CT_RELATED || info === IP_CT_RELATED_REPLY) {
      const at = slab.network(p);
      const icmpProtocol = state.pf === NFPROTO_IPV4 ? IPPROTO_ICMP : IPPROTO_ICMPV6;
      if (locate(slab.dv, state.pf, at, slab.end(p), this.#located) && this.#located.protocol === icmpProtocol)
        return this.#icmpError(p, ct, info, state, manip) ? NF_ACCEPT : NF_DROP;
    }
    if (info !== IP_CT_ESTABLISHED && info !== IP_CT_ESTABLISHED_REPLY && !initialized(ct, manip)) {
      const chains = this.#families.get(state.pf)?.chains[state.hook] ?? [];
      for (let i = 0; i < chains.length && !initialized(ct, manip); i++) {
        const verdict = chains[i].fn(p, state);
        if (verdict !== NF_ACCEPT) return verdict;
      }
      if (!initialized(ct, manip)) {
        const verdict = this.#nullBinding(ct, manip);
        if (verdict !== NF_ACCEPT) return verdict;
      }
    } else if (this.#oifChanged(ct, info, state)) {
      conntrack.kill(ct);
      return NF_DROP;
    }
    return this.#packet(p, ct, info, state, manip);
  };

  /** LOCAL_OUT: a changed destination is routed again. */
  readonly #output: HookFn = (p, state) => {
    const verdict = this.#hook(p, state);
    if (verdict !== NF_ACCEPT) return verdict;
    const { conntrack } = this;
    const ct = conntrack.of(p);
    if (ct === undefined || !(ct.status & IPS_NAT_MASK)) return NF_ACCEPT;
    const dir = conntrack.slab.nfctinfo(p) >= IP_CT_IS_REPLY ? 1 : 0;
    const t = ct.words;
    if (sameAddress(t, conntrack.at(ct, dir) + DST, t, conntrack.at(ct, 1 - dir))) return NF_ACCEPT;
    if (this.#host.reroute(p, state.pf)) return NF_ACCEPT;
    conntrack.slab.setDropReason(p, DROP.IP_OUTNOROUTES);
    return NF_DROP;
  };

  #oifChanged(ct: Conn, info: number, state: HookState): boolean {
    return (
      state.hook === NF_INET_POST_ROUTING &&
      ct.masqIfindex !== 0 &&
      info < IP_CT_IS_REPLY &&
      ct.masqIfindex !== state.oif
    );
  }

  /**
   * Gives a connection its translation (`nf_nat_setup_info`): rules call it through `snat`, `dnat`... NF_ACCEPT, or NF_DROP when
   * this direction is set already.
   */
  setup(ct: Conn, range: NatRange, manip: number): number {
    const { conntrack } = this;
    if (ct.confirmed) return NF_ACCEPT;
    if (initialized(ct, manip)) return NF_DROP;
    const t = ct.words;
    const reply = conntrack.at(ct, 1);
    const current = this.#current;
    conntrack.invert(t, reply, current, 0);
    const chosen = this.#chosen;
    this.#chooser.choose(current, range, ct, manip, chosen);
    if (!equal(chosen, 0, current, 0)) {
      const zone = t[reply + ZONE];
      conntrack.invert(chosen, 0, t, reply);
      t[reply + ZONE] = zone;
      ct.status |= manip === MANIP_SRC ? IPS_SRC_NAT : IPS_DST_NAT;
    }
    if (manip === MANIP_SRC && !ct.natSource) {
      ct.natSource = true;
      this.#bySource.insert(sourceHash(t, conntrack.at(ct, 0)), ct.index);
    }
    ct.status |= manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE;
    return NF_ACCEPT;
  }

  /** `snat` and the SNAT target. */
  snat(p: number, range: NatRange): number {
    const ct = this.conntrack.of(p);
    return ct === undefined ? NF_ACCEPT : this.setup(ct, range, MANIP_SRC);
  }

  /** `dnat` and the DNAT target. */
  dnat(p: number, range: NatRange): number {
    const ct = this.conntrack.of(p);
    return ct === undefined ? NF_ACCEPT : this.setup(ct, range, MANIP_DST);
  }

  /** `masquerade`: the source becomes an address of the device the packet leaves by. `range` gives ports and flags. */
  masquerade(p: number, pf: number, oif: number, range: NatRange): number {
    const ct = this.conntrack.of(p);
    if (ct === undefined) return NF_ACCEPT;
    const at = this.conntrack.at(ct, 0);
    // A packet without an address yet (DHCP) stays without.
    if (pf === NFPROTO_IPV4 && ct.words[at] === 0) return NF_ACCEPT;
    const address = this.#host.masqueradeAddress(p, pf, oif);
    if (address === undefined) return NF_DROP;
    ct.masqIfindex = oif;
    return this.setup(ct, this.#withAddress(range, address), MANIP_SRC);
  }

  /** `redirect`: the destination becomes this host, at the device the packet came in by. */
  redirect(p: number, pf: number, hook: number, iif: number, range: NatRange): number {
    const ct = this.conntrack.of(p);
    if (ct === undefined) return NF_ACCEPT;
    const address =
      hook === NF_INET_LOCAL_OUT ? (pf === NFPROTO_IPV4 ? LOOPBACK4 : LOOPBACK6) : this.#host.deviceAddress(pf, iif);
    if (address === undefined) return NF_DROP;
    return this.setup(ct, this.#withAddress(range, address), MANIP_DST);
  }

  /** `snat prefix to`, NETMAP: the network part is replaced, the host part stays. */
  netmap(p: number, pf: number, manip: number, range: NatRange): number {
    const ct = this.conntrack.of(p);
    if (ct === undefined) return NF_ACCEPT;
    netmapRange(this.conntrack.slab.dv, this.conntrack.slab.network(p), pf, manip, range, this.#range);
    return this.setup(ct, this.#range, manip);
  }

  #withAddress(range: NatRange, address: Uint8Array): NatRange {
    const out = this.#range;
    const words = this.#target;
    setAddress(words, 0, address);
    out.flags = range.flags;
    out.minPort = range.minPort;
    out.maxPort = range.maxPort;
    out.basePort = range.basePort;
    setSingleAddress(out, words, 0);
    return out;
  }

  /** Removes masqueraded connections when their device goes down or loses its address (`address`: only that one). */
  flushMasquerade(ifindex: number, address?: Uint8Array): void {
    const words = newTuple();
    if (address !== undefined) setAddress(words, 0, address);
    this.conntrack.flush((ct) => {
      if (ct.masqIfindex !== ifindex) return false;
      return address === undefined || sameAddress(ct.words, this.conntrack.at(ct, 1) + DST, words, 0);
    });
  }

  /** Binds a connection that no rule wanted to what it has: its answers' tuple is then taken. */
  #nullBinding(ct: Conn, manip: number): number {
    const range = this.#range;
    range.flags = NF_NAT_RANGE_MAP_IPS;
    const reply = this.conntrack.at(ct, 1);
    setSingleAddress(range, ct.words, manip === MANIP_SRC ? reply + DST : reply);
    return this.setup(ct, range, manip);
  }

  /** Rewrites a packet from its connection's tuples. */
  #packet(p: number, ct: Conn, info: number, state: HookState, manip: number): number {
    const dir = info >= IP_CT_IS_REPLY ? 1 : 0;
    if (!(ct.status & statusBit(manip, dir))) return NF_ACCEPT;
    const { conntrack } = this;
    const { slab } = conntrack;
    const target = this.#target;
    conntrack.invert(ct.words, conntrack.at(ct, 1 - dir), target, 0);
    const traced = conntrack.world.traced(p);
    if (traced) this.#trace(p, ct, dir, manip, target);
    // What cannot be rewritten must not leave with the wrong address.
    const done = manipulate(slab, p, state.pf, slab.network(p), packetEnd(slab, p, state.pf), target, 0, manip, false);
    if (done) return NF_ACCEPT;
    slab.setDropReason(p, DROP.NF_NAT_FAILED);
    return NF_DROP;
  }

  #trace(p: number, ct: Conn, dir: number, manip: number, target: Words): void {
    const which = manip === MANIP_SRC ? 'src' : 'dst';
    const { conntrack } = this;
    conntrack.world.trace(p, {
      kind: 'nat',
      host: conntrack.host,
      manip: manip === MANIP_SRC ? 'snat' : 'dnat',
      from: endpoint(ct.words, conntrack.at(ct, dir), which),
      to: endpoint(target, 0, which),
    });
  }

  /** An error about a translated packet: the quotation is translated back, then the error itself. False: drop it. */
  #icmpError(p: number, ct: Conn, info: number, state: HookState, manip: number): boolean {
    const { conntrack } = this;
    const { slab } = conntrack;
    const pf = state.pf;
    const ip = slab.network(p);
    const at = this.#located.at;
    const end = packetEnd(slab, p, pf);
    const four = pf === NFPROTO_IPV4;
    const inner = at + 8;
    if (inner + (four ? 20 : 40) > end) return false;
    const intact = four ? plainChecksumOk(slab, p, at, end) : transportChecksumOk(slab, p, pf, IPPROTO_ICMPV6, at, end);
    if (!intact) return false;
    // A redirect must not name an address that the receiver has never seen.
    if (slab.dv.getUint8(at) === (four ? icmp.ICMP_REDIRECT : icmpv6.NDISC_REDIRECT))
      if ((ct.status & IPS_NAT_DONE_MASK) !== IPS_NAT_DONE_MASK || ct.status & IPS_NAT_MASK) return false;
    const dir = info >= IP_CT_IS_REPLY ? 1 : 0;
    if (!(ct.status & statusBit(manip, dir))) return true;
    const other = conntrack.at(ct, 1 - dir);
    if (!manipulate(slab, p, pf, inner, end, ct.words, other, 1 - manip, true)) return false;
    const target = this.#target;
    conntrack.invert(ct.words, other, target, 0);
    if (conntrack.world.traced(p)) this.#trace(p, ct, dir, manip, target);
    target[PROTO] = (pf << 8) | (four ? IPPROTO_ICMP : IPPROTO_ICMPV6);
    target[PORTS] = 0;
    if (!manipulate(slab, p, pf, ip, end, target, 0, manip, false)) return false;
    refillIcmp(slab, pf, ip, at, end);
    return true;
  }

  #sourceMapping(t: Words, ct: Conn, range: NatRange, out: Words): boolean {
    const { conntrack } = this;
    const own = conntrack.at(ct, 0);
    // Of several mappings of the source the newest counts, as in the kernel's chains.
    let newest = -1;
    let id = -1;
    this.#bySource.find(sourceHash(t, 0), (n) => {
      if (n === ct.index) return false;
      const known = conntrack.entry(n * 2);
      if (known.words[known.base + ZONE] !== ct.words[own + ZONE] || !sameSource(known.words, known.base, t))
        return false;
      const candidate = known.id;
      if (candidate <= id || !this.#mapped(n, t, range, out)) return false;
      newest = n;
      id = candidate;
      return false;
    });
    return newest >= 0 && this.#mapped(newest, t, range, out);
  }

  /** What connection n made of its source, with the destination of `t`; false when it is out of the range. */
  #mapped(n: number, t: Words, range: NatRange, out: Words): boolean {
    const { conntrack } = this;
    const ct = conntrack.entry(n * 2);
    conntrack.invert(ct.words, ct.at(1), out, 0);
    for (let k = 0; k < 4; k++) out[DST + k] = t[DST + k];
    out[PORTS] = (out[PORTS] & 0xffff0000) | (t[PORTS] & 0xffff);
    return sourceInRange(out, range);
  }
}

/** True when this half of the translation is settled. */
export function initialized(ct: Conn, manip: number): boolean {
  return (ct.status & (manip === MANIP_SRC ? IPS_SRC_NAT_DONE : IPS_DST_NAT_DONE)) !== 0;
}

/** The status bit that says whether `manip` is to be done to packets of a direction: replies are rewritten the other way. */
function statusBit(manip: number, dir: number): number {
  return (manip === MANIP_SRC) === (dir === 0) ? IPS_SRC_NAT : IPS_DST_NAT;
}

function sourceHash(t: Words, at: number): number {
  let h = t[at + PROTO];
  for (let k = 0; k < 4; k++) h = Math.imul(h ^ t[at + k], 0x9e3779b1) ^ (h >>> 13);
  return Math.imul(h ^ (t[at + PORTS] >>> 16), 0x85ebca6b) >>> 0;
}

function sameSource(tuples: Words, at: number, t: Words): boolean {
  return (
    tuples[at + PROTO] === t[PROTO] && tuples[at + PORTS] >>> 16 === t[PORTS] >>> 16 && sameAddress(tuples, at, t, 0)
  );
}

/** The range of one address that maps the packet's own address into the network `range.minAddress..maxAddress`. */
export function netmapRange(dv: DataView, ip: number, pf: number, manip: number, range: NatRange, out: NatRange): void {
  const four = pf === NFPROTO_IPV4;
  const at = ip + (manip === MANIP_SRC ? (four ? 12 : 8) : four ? 16 : 24);
  const words = new Uint32Array(4);
  for (let k = 0; k < (four ? 1 : 4); k++) {
    const hostBits = range.minAddress[k] ^ range.maxAddress[k];
    words[k] = (dv.getUint32(at + k * 4) & hostBits) | (range.minAddress[k] & ~hostBits);
  }
  out.flags = range.flags;
  out.minPort = range.minPort;
  out.maxPort = range.maxPort;
  out.basePort = range.basePort;
  setSingleAddress(out, words, 0);
}
