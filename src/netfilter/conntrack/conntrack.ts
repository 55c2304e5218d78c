/**
 * Connection tracking of one host (nf_conntrack_core): finds or makes the entry of every packet, asks the protocol's
 * tracker what the packet means, and confirms new entries when their first packet has passed all rules.
 * See Documentation/networking/nf_conntrack-sysctl.rst and conntrack(8).
 *
 * Packets carry the entry in `slab.nfct` (its number plus one) and what they are to it in `slab.nfctinfo`
 * (IP_CT_NEW, IP_CT_ESTABLISHED...). No entry and IP_CT_UNTRACKED: a rule said notrack. No entry otherwise: invalid.
 */
import { DROP } from '../../core/drop.ts';
import type { HookFn, HookState, Hooks } from '../../core/hook.ts';
import type { Random } from '../../core/random.ts';
import type { Slab } from '../../core/slab.ts';
import type { World } from '../../core/world.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IP_CT_RELATED_REPLY,
  IPCT_REPLY,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_HELPER,
  IPS_SEEN_REPLY,
  IPS_SEQ_ADJUST,
  IPS_TEMPLATE,
  NF_CT_STATE_INVALID_BIT,
  NF_CT_STATE_UNTRACKED_BIT,
  TCP_CONNTRACK_CLOSE,
} from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_DROP } from '../../wire/uapi/netfilter.ts';
import { Confirmation } from './confirm.ts';
import { type Conn, DEFAULT_ZONE, IP_CT_UNTRACKED, type Zone, zoneId } from './entry.ts';
import { type ConntrackListener, Events } from './events.ts';
import { Collector } from './gc.ts';
import { Expectations } from './helper/expect.ts';
import { helperState } from './helper/registry.ts';
import type { Expectation, Follower } from './helper/types.ts';
import { isIcmp, trackIcmpError } from './icmp-error.ts';
import { addressesFromHeader, type Located, locate, newLocated, packetEnd } from './packet.ts';
import { trackerFor } from './protocols.ts';
import { adjustSequence } from './seqadj.ts';
import { type AllocatePage, ConnStore } from './store.ts';
import { type ConntrackSysctls, defaultSysctls, readSysctl, writeSysctl } from './sysctl.ts';
import { ConnTable } from './table.ts';
import { describe } from './text.ts';
import type { TimeoutPolicy } from './timeout-policy.ts';
import { CT_ACCEPT, CT_DROP, CT_REPEAT, type Tracker, type TrackerContext } from './tracker.ts';
import { copyAddress, copyTuple, DST, equal, newTuple, PORTS, PROTO, protonum, type Words, ZONE } from './tuple.ts';
import { Unconfirmed } from './unconfirmed.ts';
import { Users } from './users.ts';

export type { ConntrackListener } from './events.ts';

/** Statistics of `conntrack -S` (CTA_STATS_*). */
export type ConntrackStats = {
  found: number;
  invalid: number;
  insert: number;
  insertFailed: number;
  drop: number;
  earlyDrop: number;
  error: number;
  clashResolve: number;
  chainTooLong: number;
};

export type ConntrackOptions = {
  /** Name of the host, for traces. */
  readonly host?: string;
  /** Told when a family starts or stops being tracked: defragmentation must run in front (NFPROTO_IPV4, NFPROTO_IPV6). */
  readonly onTrack?: (pf: number, on: boolean) => void;
  /** The netmask of the network that `address` is the broadcast address of, on device `oif`; 0: it is none. */
  readonly broadcastMask?: (oif: number, address: number) => number;
  /** Memory for connections; default: ArrayBuffers. SharedArrayBuffers let other threads look. */
  readonly allocate?: AllocatePage;
};

const SECOND = 1e9;

export class Conntrack implements TrackerContext {
  readonly world: World;
  readonly slab: Slab;
  readonly host: string;
  readonly random: Random;
  readonly sysctls: ConntrackSysctls = defaultSysctls();
  readonly stats: ConntrackStats = {
    found: 0,
    invalid: 0,
    insert: 0,
    insertFailed: 0,
    drop: 0,
    earlyDrop: 0,
    error: 0,
    clashResolve: 0,
    chainTooLong: 0,
  };
  /** Told before an entry's memory is given back (NAT's own table). */
  readonly onFree: ((ct: Conn) => void)[] = [];
  /** Called for each new entry before its first packet goes on. */
  readonly onNew: ((ct: Conn, p: number) => void)[] = [];
  /** Connections that others announced. */
  readonly expectations: Expectations;
  /** Named timeout policies. */
  readonly timeoutPolicies: Map<string, TimeoutPolicy> = new Map();
  readonly greKeys: Map<string, number> = new Map();
  /** NAT's part in helpers, while there is NAT. */
  follower: Follower | undefined;
  readonly broadcastMask: ((oif: number, address: number) => number) | undefined;
  readonly #events: Events = new Events();
  readonly #store: ConnStore;
  readonly #table: ConnTable;
  readonly #unconfirmed: Unconfirmed;
  readonly #collector: Collector;
  readonly #confirmation: Confirmation;
  readonly #users: Users;
  readonly #located: Located = newLocated();
  readonly #key: Words = newTuple();
  readonly #reply: Words = newTuple();
  readonly #taken: Words = newTuple();
  #nextId = 0;

  constructor(world: World, hooks: Hooks, options: ConntrackOptions = {}) {
    this.world = world;
    this.slab = world.slab;
    this.host = options.host ?? '';
    this.random = world.random.fork();
    this.#store = new ConnStore(options.allocate);
    this.#table = new ConnTable(this.#store, () => this.random.u32());
    this.#unconfirmed = new Unconfirmed(this.slab);
    this.expectations = new Expectations(this);
    this.broadcastMask = options.broadcastMask;
    this.#collector = new Collector(this, this.#table);
    this.#confirmation = new Confirmation(this);
    this.#users = new Users(hooks, this.in, this.confirm, options.onTrack);
  }

  /** Confirmed and unconfirmed entries (`nf_conntrack_count`). */
  get count(): number {
    return this.#table.count + this.#unconfirmed.count;
  }

  /** Told of every event. */
  get listeners(): Set<ConntrackListener> {
    return this.#events.listeners;
  }

  /** One more user of a family (a rule with ct or nat, a set...): tracking runs while there is one. INET is both families. */
  get(pf: number): void {
    this.#users.get(pf);
  }
  /** Ends one `get`. */
  put(pf: number): void {
    this.#users.put(pf);
  }

  /** `sysctl net.netfilter.NAME`; undefined: no such name. */
  sysctl(name: string): string | undefined {
    return readSysctl(this.sysctls, name, this.count);
  }
  /** `sysctl -w net.netfilter.NAME=TEXT`: 0 or an errno. */
  setSysctl(name: string, text: string): number {
    return writeSysctl(this.sysctls, name, text);
  }

  /** The packet's entry (a template before priority -200), or undefined. */
  of(p: number): Conn | undefined {
    const n = this.slab.nfct(p);
    return n === 0 ? undefined : this.#store.view(n - 1);
  }

  /** Bit of the packet's state as rules see it: NF_CT_STATE_BIT(ctinfo), INVALID or UNTRACKED. */
  stateBit(p: number): number {
    const info = this.slab.nfctinfo(p);
    if (this.slab.nfct(p) !== 0) return 1 << ((info % IP_CT_IS_REPLY) + 1);
    return info === IP_CT_UNTRACKED ? NF_CT_STATE_UNTRACKED_BIT : NF_CT_STATE_INVALID_BIT;
  }

  /** Where a tuple lies in `ct.words`; `dir` 0 original, 1 reply. */
  at(ct: Conn, dir: number): number {
    return ct.at(dir);
  }

  tracker(ct: Conn): Tracker {
    return trackerFor(protonum(ct.words, ct.base));
  }

  /** Takes the packet out of tracking (`notrack`), unless it is already tracked. */
  notrack(p: number): void {
    if (this.slab.nfct(p) === 0 && this.slab.nfctinfo(p) !== IP_CT_UNTRACKED) this.slab.setNfct(p, 0, IP_CT_UNTRACKED);
  }

  /** An entry that only carries settings for the entry to come (zone, helper, timeouts) from priority -300 to -200. */
  attachTemplate(p: number, zone: Zone, setup?: (tmpl: Conn) => void): boolean {
    if (this.slab.nfct(p) !== 0 || this.slab.nfctinfo(p) === IP_CT_UNTRACKED) {
      const old = this.of(p);
      if (old === undefined || !old.template) return false;
      this.#store.release(old);
    }
    const tmpl = this.#store.take();
    tmpl.status = IPS_TEMPLATE | IPS_CONFIRMED;
    tmpl.zone = zone.id;
    tmpl.zoneDir = zone.dir;
    setup?.(tmpl);
    // A template is only read by the tracking hook that follows; after that its number may be reused.
    this.#store.release(tmpl);
    this.slab.setNfct(p, tmpl.index + 1, IP_CT_NEW);
    return true;
  }

  /** The hook in front: PRE_ROUTING and LOCAL_OUT. */
  readonly in: HookFn = (p, state) => {
    let tmpl: Conn | undefined;
    if (this.slab.nfct(p) !== 0 || this.slab.nfctinfo(p) === IP_CT_UNTRACKED) {
      tmpl = this.of(p);
      if (tmpl === undefined || !tmpl.template) {
        // Looped back, or taken out by a rule.
        if (this.world.traced(p)) this.#trace(p);
        return NF_ACCEPT;
      }
      this.slab.setNfct(p, 0, 0);
    }
    const verdict = this.#track(p, state, tmpl);
    if (this.world.traced(p)) this.#trace(p);
    return verdict;
  };

  /** The hook at the end: LOCAL_IN and POST_ROUTING. Helpers look here; a packet that came this far makes its entry real. */
  readonly confirm: HookFn = (p, state) => {
    const ct = this.of(p);
    if (ct === undefined) return NF_ACCEPT;
    if ((ct.extras !== undefined || ct.status & IPS_SEQ_ADJUST) && !this.#help(ct, p, state)) return NF_DROP;
    if (!ct.confirmed && this.slab.nfctinfo(p) < IP_CT_IS_REPLY) {
      const verdict = this.#confirmation.confirm(ct, p);
      if (verdict !== NF_ACCEPT) return verdict;
    }
    const now = this.of(p);
    if (now?.confirmed && now.pendingEvents !== 0) this.#events.deliver(now);
    return NF_ACCEPT;
  };

  /** Hands the packet to its connection's helper, and corrects its sequence numbers; false: it is dropped. */
  #help(ct: Conn, p: number, state: HookState): boolean {
    const { slab } = this;
    const ctinfo = slab.nfctinfo(p);
    const helper = ct.helper?.helper;
    const adjust = (ct.status & IPS_SEQ_ADJUST) !== 0;
    if ((helper === undefined && !adjust) || ctinfo === IP_CT_RELATED_REPLY) return true;
    const found = this.#located;
    if (!locate(slab.dv, state.pf, slab.network(p), slab.end(p), found)) return true;
    const { at, protocol } = found;
    // An error about the connection is no packet of it.
    if (protocol !== protonum(ct.words, ct.base)) return true;
    if (helper !== undefined && helper.help(this, ct, p, at, ctinfo, state) !== NF_ACCEPT) {
      if (slab.dropReason(p) === 0) slab.setDropReason(p, DROP.NF_CONNTRACK_HELPER);
      return false;
    }
    return !adjust || adjustSequence(slab, ct, ctinfo, at, packetEnd(slab, p, state.pf));
  }

  #trace(p: number): void {
    const bit = this.stateBit(p);
    const info = this.slab.nfctinfo(p);
    const state =
      bit === NF_CT_STATE_UNTRACKED_BIT
        ? 'untracked'
        : bit === NF_CT_STATE_INVALID_BIT
          ? 'invalid'
          : ['established', 'related', 'new'][info % IP_CT_IS_REPLY];
    const ct = this.of(p);
    this.world.trace(p, {
      kind: 'conntrack',
      host: this.host,
      state,
      text: ct === undefined ? '' : describe(ct),
    });
  }

  #invalid(): number {
    this.stats.invalid++;
    return NF_ACCEPT;
  }

  #track(p: number, state: HookState, tmpl: Conn | undefined): number {
    const slab = this.slab;
    const ip = slab.network(p);
    const found = this.#located;
    if (!locate(slab.dv, state.pf, ip, slab.end(p), found)) return this.#invalid();
    const protocol = found.protocol;
    const at = found.at;
    if (isIcmp(protocol)) {
      const verdict = trackIcmpError(this, p, state, protocol, at, tmpl ?? DEFAULT_ZONE_TEMPLATE);
      if (verdict === CT_DROP) return NF_DROP;
      if (verdict < 0) {
        this.stats.error++;
        return this.#invalid();
      }
      if (slab.nfct(p) !== 0 || slab.nfctinfo(p) === IP_CT_UNTRACKED) return NF_ACCEPT;
    }
    const tracker = trackerFor(protocol);
    // One repetition: a deleted entry is made anew; after that there is nothing left to delete.
    for (let round = 0; round < 2; round++) {
      const ct = this.#resolve(tracker, p, state.pf, ip, at, packetEnd(slab, p, state.pf), tmpl);
      if (ct === null) {
        this.stats.drop++;
        slab.setDropReason(p, DROP.NF_CONNTRACK_FULL);
        return NF_DROP;
      }
      if (ct === undefined) return this.#invalid();
      const ctinfo = slab.nfctinfo(p);
      const verdict = tracker.packet(this, ct, p, at, ctinfo, state);
      if (verdict === CT_ACCEPT) {
        if (ctinfo === IP_CT_ESTABLISHED_REPLY && !(ct.status & IPS_SEEN_REPLY)) {
          ct.status |= IPS_SEEN_REPLY;
          this.event(ct, IPCT_REPLY);
        }
        return NF_ACCEPT;
      }
      slab.setNfct(p, 0, 0);
      if (!ct.confirmed) this.discard(ct);
      if (verdict === CT_REPEAT) continue;
      this.stats.invalid++;
      if (verdict === CT_DROP) {
        this.stats.drop++;
        return NF_DROP;
      }
      return NF_ACCEPT;
    }
    return NF_ACCEPT;
  }

  /** The entry for a packet, found or made, put on the packet. Undefined: none can be made of it; null: the table is full. */
  #resolve(
    tracker: Tracker,
    p: number,
    pf: number,
    ip: number,
    at: number,
    end: number,
    tmpl: Conn | undefined,
  ): Conn | undefined | null {
    const key = this.#key;
    const dv = this.slab.dv;
    addressesFromHeader(dv, pf, ip, tracker.protocol === 0 ? this.#located.protocol : tracker.protocol, key);
    if (!tracker.ports(dv, at, end, key, PORTS)) return undefined;
    tracker.complete?.(this, key);
    const zone = tmpl?.zone ?? 0;
    const zoneDir = tmpl?.zoneDir ?? 3;
    key[ZONE] = zoneId(zone, zoneDir, 0);
    let n = this.find(key);
    if (n < 0 && zoneId(zone, zoneDir, 1) !== key[ZONE]) {
      key[ZONE] = zoneId(zone, zoneDir, 1);
      n = this.find(key);
      key[ZONE] = zoneId(zone, zoneDir, 0);
    }
    let ct: Conn;
    let info = IP_CT_NEW;
    if (n < 0) {
      if (!this.invert(key, 0, this.#reply, 0)) return undefined;
      const made = this.create(key, this.#reply, zone, zoneDir, p);
      if (made === undefined) return null;
      ct = made;
      const announced = this.expectations.take(key, key[ZONE]);
      if (announced !== undefined) this.#fulfil(ct, announced);
      if (tmpl !== undefined) {
        if (tmpl.extras !== undefined) {
          if (announced === undefined && tmpl.helper !== undefined) {
            ct.helper = helperState(tmpl.helper.name, protonum(ct.words, ct.base));
            ct.status |= IPS_HELPER;
          }
          ct.timeouts = tmpl.timeouts;
        }
        ct.eventMask = tmpl.eventMask;
        if (announced === undefined) ct.mark = tmpl.mark;
      }
      for (const fn of this.onNew) fn(ct, p);
      announced?.expectfn?.(this, ct, announced);
      if (ct.status & IPS_EXPECTED) info = IP_CT_RELATED;
    } else {
      ct = this.#store.view(n >> 1);
      this.stats.found++;
      if (n & 1) info = IP_CT_ESTABLISHED_REPLY;
      else if (ct.status & IPS_SEEN_REPLY) info = IP_CT_ESTABLISHED;
      else if (ct.status & IPS_EXPECTED) info = IP_CT_RELATED;
    }
    this.slab.setNfct(p, ct.index + 1, info);
    return ct;
  }

  /** The connection is one that was announced. */
  #fulfil(ct: Conn, e: Expectation): void {
    const master = this.expectations.masterOf(e);
    ct.status |= IPS_EXPECTED;
    ct.master = master;
    if (master !== undefined) {
      ct.mark = master.mark;
      ct.secmark = master.secmark;
    }
    if (e.helper !== undefined) ct.helper = helperState(e.helper.name, e.helper.protocol);
  }

  /** The other direction's tuple; false when the protocol has none for it. The zone is copied. */
  invert(from: Words, i: number, to: Words, j: number): boolean {
    copyAddress(from, i, to, j + DST);
    copyAddress(from, i + DST, to, j);
    to[j + PROTO] = from[i + PROTO];
    to[j + ZONE] = from[i + ZONE];
    return trackerFor(protonum(from, i)).invert(from, i + PORTS, to, j + PORTS);
  }

  /** The confirmed tuple equal to `t` (zone included): entry number times two plus direction, or -1. */
  find(t: Words): number {
    for (;;) {
      const n = this.#table.find(t);
      if (n < 0) return -1;
      const ct = this.#store.view(n >> 1);
      if (ct.timeout > this.world.now) return n;
      this.kill(ct);
    }
  }

  /** True when the last lookup met an absurd number of look-alikes. */
  chainTooLong(): boolean {
    return this.#table.chainTooLong(this.#table.seed);
  }

  /** The entry of a number from `find`. */
  entry(n: number): Conn {
    return this.#store.view(n >> 1);
  }

  /**
   * An unconfirmed entry with these tuples, made by packet `p` (-1: by nobody's); undefined when the table is full and nothing
   * can make room.
   */
  create(orig: Words, reply: Words, zone: number, zoneDir: number, p = -1): Conn | undefined {
    const max = this.sysctls.max;
    if (this.#unconfirmed.many || (max !== 0 && this.count >= max)) this.#reap();
    if (max !== 0 && this.count >= max && !this.#collector.earlyDrop(this.#table.hashOf(orig, 0))) return undefined;
    const ct = this.#store.take();
    ct.zone = zone;
    ct.zoneDir = zoneDir;
    ct.id = (Math.imul(++this.#nextId, 0x9e3779b1) ^ this.#table.seed) >>> 0;
    copyTuple(orig, 0, ct.words, ct.at(0));
    copyTuple(reply, 0, ct.words, ct.at(1));
    ct.words[ct.at(0) + ZONE] = zoneId(zone, zoneDir, 0);
    ct.words[ct.at(1) + ZONE] = zoneId(zone, zoneDir, 1);
    this.#unconfirmed.add(ct, p);
    return ct;
  }

  /** Gives back unconfirmed entries whose packet was dropped. */
  #reap(): void {
    for (const index of this.#unconfirmed.lost()) this.discard(this.#store.view(index));
  }

  /** Gives up an entry that was created and is not to be inserted. */
  discard(ct: Conn): void {
    if (!this.#unconfirmed.remove(ct)) return;
    for (const fn of this.onFree) fn(ct);
    this.#store.release(ct);
  }

  /** Puts an entry into the table: its time runs from now. The caller has looked for clashes. */
  insert(ct: Conn): void {
    this.#unconfirmed.remove(ct);
    this.#table.insert(ct);
    this.stats.insert++;
    ct.timeout += this.world.now;
    if (this.sysctls.timestamp) ct.startNs = this.world.epochMs * 1e6 + this.world.now;
    ct.status |= IPS_CONFIRMED;
    this.#collector.arm();
  }

  /** Removes an entry for good; listeners hear DESTROY. */
  kill(ct: Conn): boolean {
    if (ct.dying || !ct.live) return false;
    ct.status |= IPS_DYING;
    if (!ct.confirmed) return true;
    this.#table.remove(ct);
    if (this.sysctls.timestamp) ct.stopNs = this.world.epochMs * 1e6 + this.world.now;
    this.#events.destroyed(ct);
    const { extras } = ct;
    if (extras !== undefined) {
      extras.helper?.helper?.gone?.(this, ct);
      if (extras.helper !== undefined) this.expectations.removeOf(ct);
    }
    for (const fn of this.onFree) fn(ct);
    this.#store.release(ct);
    return true;
  }

  /** True when the entry's original or reply tuple equals `reply` in `ct`'s zone and the entry is another flow: NAT may not use it. */
  tupleTaken(reply: Words, ct: Conn): boolean {
    const key = this.#taken;
    copyTuple(reply, 0, key, 0);
    for (let dir = 1; dir >= 0; dir--) {
      key[ZONE] = zoneId(ct.zone, ct.zoneDir, dir);
      const n = this.find(key);
      if (n >= 0 && (n & 1) === dir) {
        const other = this.entry(n);
        if (other.same(ct)) continue;
        const sameFlow =
          equal(ct.words, ct.at(0), other.words, other.at(0)) &&
          ct.words[ct.at(0) + ZONE] === other.words[other.at(0) + ZONE];
        if (!sameFlow) return true;
      }
    }
    return false;
  }

  refresh(ct: Conn, ctinfo: number, p: number, seconds: number): void {
    if (!(ct.status & IPS_FIXED_TIMEOUT)) this.setTimeout(ct, seconds);
    if (this.sysctls.acct) this.account(ct, ctinfo, p);
  }

  /** Gives the connection so many seconds from now, unless its timeout is fixed. */
  prolong(ct: Conn, seconds: number): void {
    if (!(ct.status & IPS_FIXED_TIMEOUT)) this.setTimeout(ct, seconds);
  }

  setTimeout(ct: Conn, seconds: number): void {
    ct.timeout = seconds * SECOND + (ct.confirmed ? this.world.now : 0);
  }

  expires(ct: Conn): number {
    return Math.max(0, ct.confirmed ? ct.timeout - this.world.now : ct.timeout) / SECOND;
  }

  /** This host has reset the packet's TCP connection (a reject): nobody else will close it. */
  setClosing(p: number): void {
    const ct = this.of(p);
    if (ct?.tcp === undefined || !ct.confirmed) return;
    ct.tcp.state = TCP_CONNTRACK_CLOSE;
    this.setTimeout(ct, this.sysctls.tcp_timeout_close);
  }

  /** Counts the packet on the entry. */
  account(ct: Conn, ctinfo: number, p: number): void {
    const dir = ctinfo >= IP_CT_IS_REPLY ? 1 : 0;
    ct.count(dir, 1, this.slab.end(p) - this.slab.network(p));
  }

  event(ct: Conn, event: number): void {
    this.#events.note(ct, event);
  }

  /** Tells listeners what has gathered on a confirmed entry. */
  deliverEvents(ct: Conn): void {
    this.#events.deliver(ct);
  }

  /** Every confirmed entry that has not expired. `fn` may kill entries. */
  forEach(fn: (ct: Conn) => void): void {
    for (const index of this.#table.all()) {
      const ct = this.#store.view(index);
      if (!ct.confirmed || ct.dying) continue;
      if (ct.timeout > this.world.now) fn(ct);
      else this.kill(ct);
    }
  }

  /** Every entry whose first packet is on its way. */
  forEachUnconfirmed(fn: (ct: Conn) => void): void {
    this.#reap();
    for (const index of this.#unconfirmed.all()) fn(this.#store.view(index));
  }

  /** Removes every entry that `which` names; all without it (`conntrack -F`). */
  flush(which?: (ct: Conn) => boolean): void {
    this.forEach((ct) => {
      if (which === undefined || which(ct)) this.kill(ct);
    });
  }
}

const DEFAULT_ZONE_TEMPLATE: Pick<Conn, 'zone' | 'zoneDir'> = { zone: DEFAULT_ZONE.id, zoneDir: DEFAULT_ZONE.dir };
