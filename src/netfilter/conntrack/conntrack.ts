/**
 * Connection tracking of one host (nf_conntrack_core): finds or makes the entry of every packet, asks the protocol's
 * tracker what the packet means, and confirms new entries when their first packet has passed all rules.
 * See Documentation/networking/nf_conntrack-sysctl.rst and conntrack(8).
 *
 * Packets carry the entry in `slab.nfct` (its number plus one) and what they are to it in `slab.nfctinfo`
 * (IP_CT_NEW, IP_CT_ESTABLISHED...). No entry and IP_CT_UNTRACKED: a rule said notrack. No entry otherwise: invalid.
 */
import { DROP } from '../../core/drop.ts';
import type { HookEntry, HookFn, HookState, Hooks } from '../../core/hook.ts';
import type { Random } from '../../core/random.ts';
import type { Slab } from '../../core/slab.ts';
import { HashTable, type TableCursor } from '../../core/table.ts';
import type { World } from '../../core/world.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IP_CT_NEW,
  IP_CT_RELATED,
  IPCT_DESTROY,
  IPCT_NEW,
  IPCT_RELATED,
  IPCT_REPLY,
  IPS_ASSURED,
  IPS_CONFIRMED,
  IPS_DYING,
  IPS_EXPECTED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  IPS_TEMPLATE,
  NF_CT_STATE_INVALID_BIT,
  NF_CT_STATE_UNTRACKED_BIT,
  TCP_CONNTRACK_CLOSE,
} from '../../wire/uapi/ctnetlink.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NF_INET_LOCAL_IN,
  NF_INET_LOCAL_OUT,
  NF_INET_POST_ROUTING,
  NF_INET_PRE_ROUTING,
  NF_IP_PRI_CONNTRACK,
  NF_IP_PRI_CONNTRACK_CONFIRM,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from '../../wire/uapi/netfilter.ts';
import { Conn, DEFAULT_ZONE, IP_CT_UNTRACKED, IPS_NAT_CLASH, type Zone, zoneId } from './entry.ts';
import { isIcmp, trackIcmpError } from './icmp-error.ts';
import { addressesFromHeader, type Located, locate, newLocated, packetEnd } from './packet.ts';
import { trackerFor } from './protocols.ts';
import { type ConntrackSysctls, defaultSysctls, readSysctl, writeSysctl } from './sysctl.ts';
import { describe } from './text.ts';
import { CT_ACCEPT, CT_DROP, CT_REPEAT, type Tracker, type TrackerContext } from './tracker.ts';
import {
  copyAddress,
  copyTuple,
  DST,
  equal,
  HASH,
  hashTuple,
  newTuple,
  PORTS,
  PROTO,
  protonum,
  TUPLE_WORDS,
  type Words,
  ZONE,
} from './tuple.ts';

/** Called with an entry and the IPCT_* events (as bits) that happened to it. */
export type ConntrackListener = (ct: Conn, events: number) => void;

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
};

export type ConntrackOptions = {
  /** Name of the host, for traces. */
  readonly host?: string;
  /** Told when a family starts or stops being tracked: defragmentation must run in front (NFPROTO_IPV4, NFPROTO_IPV6). */
  readonly onTrack?: (pf: number, on: boolean) => void;
};

const SECOND = 1e9;
/** Freed entries wait so long before reuse, for packets on their way that still name them. */
const QUARANTINE = 256;
/** Unconfirmed entries kept before those whose packet is gone are looked for. */
const UNCONFIRMED_KEPT = 32;
const EVICTION_RANGE = 8;
const GC_INTERVAL_MIN = SECOND;
const GC_INTERVAL_MAX = 60 * SECOND;
const GC_BUCKETS = 1024;

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
  };
  /** Told of every event; conntrack keeps no events while there is none. */
  readonly listeners: Set<ConntrackListener> = new Set();
  /** Told before an entry's memory is given back (NAT's own table). */
  readonly onFree: ((ct: Conn) => void)[] = [];
  /** Called for each new entry before its first packet goes on: expectations and helpers will hang in here. */
  readonly onNew: ((ct: Conn, p: number) => void)[] = [];
  /** The tuples of entry n: original at `n * 24`, reply at `n * 24 + 12`. */
  tuples: Words = new Uint32Array(TUPLE_WORDS * 2 * 16);
  readonly #entries: Conn[] = [];
  #free: number[] = [];
  #freeHead = 0;
  #unconfirmed: Conn[] = [];
  readonly #table: HashTable;
  readonly #seed: number;
  readonly #hooks: Hooks;
  readonly #options: ConntrackOptions;
  readonly #users = new Map<number, { count: number; entries: HookEntry[] }>();
  readonly #located: Located = newLocated();
  readonly #key: Words = newTuple();
  readonly #reply: Words = newTuple();
  #wanted: Words = this.#key;
  #gcTimer = -1;
  readonly #gcCursor: TableCursor = { cursor: 0, seed: 0, done: false };
  #nextId = 0;

  constructor(world: World, hooks: Hooks, options: ConntrackOptions = {}) {
    this.world = world;
    this.slab = world.slab;
    this.host = options.host ?? '';
    this.#hooks = hooks;
    this.#options = options;
    this.random = world.random.fork();
    this.#seed = this.random.u32();
    this.#table = new HashTable({
      hashOf: (n): number => this.tuples[n * TUPLE_WORDS + HASH],
      random: (): number => this.random.u32(),
    });
  }

  /** Confirmed and unconfirmed entries (`nf_conntrack_count`). */
  get count(): number {
    return this.#table.count / 2 + this.#unconfirmed.length;
  }

  /** One more user of a family (a rule with ct or nat, a set...): tracking runs while there is one. INET is both families. */
  get(pf: number): void {
    for (const family of families(pf)) {
      const user = this.#users.get(family);
      if (user !== undefined) {
        user.count++;
        continue;
      }
      this.#options.onTrack?.(family, true);
      const entry = (hook: number, priority: number, fn: HookFn, name: string): HookEntry => {
        const e: HookEntry = { pf: family, hook, priority, fn, name };
        this.#hooks.register(e);
        return e;
      };
      this.#users.set(family, {
        count: 1,
        entries: [
          entry(NF_INET_PRE_ROUTING, NF_IP_PRI_CONNTRACK, this.in, 'conntrack'),
          entry(NF_INET_LOCAL_OUT, NF_IP_PRI_CONNTRACK, this.in, 'conntrack'),
          entry(NF_INET_LOCAL_IN, NF_IP_PRI_CONNTRACK_CONFIRM, this.confirm, 'conntrack confirm'),
          entry(NF_INET_POST_ROUTING, NF_IP_PRI_CONNTRACK_CONFIRM, this.confirm, 'conntrack confirm'),
        ],
      });
    }
  }

  /** Ends one `get`. */
  put(pf: number): void {
    for (const family of families(pf)) {
      const user = this.#users.get(family);
      if (user === undefined || --user.count > 0) continue;
      for (const e of user.entries) this.#hooks.unregister(e);
      this.#users.delete(family);
      this.#options.onTrack?.(family, false);
    }
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
    return n === 0 ? undefined : this.#entries[n - 1];
  }

  /** Bit of the packet's state as rules see it: NF_CT_STATE_BIT(ctinfo), INVALID or UNTRACKED. */
  stateBit(p: number): number {
    const info = this.slab.nfctinfo(p);
    if (this.slab.nfct(p) !== 0) return 1 << ((info % IP_CT_IS_REPLY) + 1);
    return info === IP_CT_UNTRACKED ? NF_CT_STATE_UNTRACKED_BIT : NF_CT_STATE_INVALID_BIT;
  }

  /** Where a tuple lies in `tuples`; `dir` 0 original, 1 reply. */
  at(ct: Conn, dir: number): number {
    return (ct.index * 2 + dir) * TUPLE_WORDS;
  }

  tracker(ct: Conn): Tracker {
    return trackerFor(protonum(this.tuples, this.at(ct, 0)));
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
      this.#release(old);
    }
    const tmpl = this.#take();
    tmpl.status = IPS_TEMPLATE | IPS_CONFIRMED;
    tmpl.zone = zone.id;
    tmpl.zoneDir = zone.dir;
    setup?.(tmpl);
    // A template is only read by the tracking hook that follows; after that its number may be reused.
    this.#release(tmpl);
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

  /** The hook at the end: LOCAL_IN and POST_ROUTING. A packet that came this far makes its entry real. */
  readonly confirm: HookFn = (p) => {
    const ct = this.of(p);
    if (ct === undefined) return NF_ACCEPT;
    if (!ct.confirmed && this.slab.nfctinfo(p) < IP_CT_IS_REPLY) {
      const verdict = this.#confirm(ct, p);
      if (verdict !== NF_ACCEPT) return verdict;
    }
    const now = this.of(p);
    if (now?.confirmed && now.pendingEvents !== 0) this.deliverEvents(now);
    return NF_ACCEPT;
  };

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
      text: ct === undefined ? '' : describe(this, ct),
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
      if (!ct.confirmed) this.#forget(ct);
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
      const made = this.create(key, this.#reply, zone, zoneDir);
      if (made === undefined) return null;
      ct = made;
      ct.packet = p;
      if (tmpl !== undefined) {
        ct.helper = tmpl.helper;
        ct.timeouts = tmpl.timeouts;
        ct.eventMask = tmpl.eventMask;
        ct.mark = tmpl.mark;
      }
      for (const fn of this.onNew) fn(ct, p);
      if (ct.status & IPS_EXPECTED) info = IP_CT_RELATED;
    } else {
      ct = this.#entries[n >> 1];
      this.stats.found++;
      if (n & 1) info = IP_CT_ESTABLISHED_REPLY;
      else if (ct.status & IPS_SEEN_REPLY) info = IP_CT_ESTABLISHED;
      else if (ct.status & IPS_EXPECTED) info = IP_CT_RELATED;
    }
    this.slab.setNfct(p, ct.index + 1, info);
    return ct;
  }

  /** The other direction's tuple; false when the protocol has none for it. The zone is copied. */
  invert(from: Words, i: number, to: Words, j: number): boolean {
    copyAddress(from, i, to, j + DST);
    copyAddress(from, i + DST, to, j);
    to[j + PROTO] = from[i + PROTO];
    to[j + ZONE] = from[i + ZONE];
    return trackerFor(protonum(from, i)).invert(from, i + PORTS, to, j + PORTS);
  }

  readonly #equals = (n: number): boolean => {
    const at = n * TUPLE_WORDS;
    return this.tuples[at + ZONE] === this.#wanted[ZONE] && equal(this.tuples, at, this.#wanted, 0);
  };

  /** The confirmed tuple equal to `t` (zone included): entry number times two plus direction, or -1. */
  find(t: Words): number {
    const hash = hashTuple(t, 0, this.#seed);
    for (;;) {
      this.#wanted = t;
      const n = this.#table.find(hash, this.#equals);
      if (n < 0) return -1;
      const ct = this.#entries[n >> 1];
      if (ct.timeout > this.world.now) return n;
      this.kill(ct);
    }
  }

  /** The entry of a number from `find`. */
  entry(n: number): Conn {
    return this.#entries[n >> 1];
  }

  /** An unconfirmed entry with these tuples; undefined when the table is full and nothing can make room. */
  create(orig: Words, reply: Words, zone: number, zoneDir: number): Conn | undefined {
    const max = this.sysctls.max;
    if (this.#unconfirmed.length >= UNCONFIRMED_KEPT || (max !== 0 && this.count >= max)) this.#reap();
    if (max !== 0 && this.count >= max && !this.#earlyDrop(hashTuple(orig, 0, this.#seed))) return undefined;
    const ct = this.#take();
    ct.zone = zone;
    ct.zoneDir = zoneDir;
    ct.id = (Math.imul(++this.#nextId, 0x9e3779b1) ^ this.#seed) >>> 0;
    copyTuple(orig, 0, this.tuples, this.at(ct, 0));
    copyTuple(reply, 0, this.tuples, this.at(ct, 1));
    this.tuples[this.at(ct, 0) + ZONE] = zoneId(zone, zoneDir, 0);
    this.tuples[this.at(ct, 1) + ZONE] = zoneId(zone, zoneDir, 1);
    this.#unconfirmed.push(ct);
    return ct;
  }

  #take(): Conn {
    let index: number;
    if (this.#free.length - this.#freeHead > QUARANTINE) {
      index = this.#free[this.#freeHead++];
      if (this.#freeHead > 1024) {
        this.#free = this.#free.slice(this.#freeHead);
        this.#freeHead = 0;
      }
    } else {
      index = this.#entries.length;
      this.#entries.push(new Conn(index));
      if ((index + 1) * 2 * TUPLE_WORDS > this.tuples.length) {
        const wider = new Uint32Array(this.tuples.length * 2);
        wider.set(this.tuples);
        this.tuples = wider;
      }
    }
    const ct = this.#entries[index];
    ct.reset();
    return ct;
  }

  #release(ct: Conn): void {
    ct.live = false;
    this.#free.push(ct.index);
  }

  /** Gives an unconfirmed entry back. */
  #forget(ct: Conn): void {
    const i = this.#unconfirmed.indexOf(ct);
    if (i < 0) return;
    this.#unconfirmed.splice(i, 1);
    for (const fn of this.onFree) fn(ct);
    this.#release(ct);
  }

  /** Gives back unconfirmed entries whose packet was dropped: its slot is free or belongs to another. */
  #reap(): void {
    for (const ct of this.#unconfirmed.slice())
      if (this.slab.refs(ct.packet) === 0 || this.slab.nfct(ct.packet) !== ct.index + 1) this.#forget(ct);
  }

  #confirm(ct: Conn, p: number): number {
    if (ct.dying) {
      this.stats.insertFailed++;
      return NF_DROP;
    }
    const i = this.#unconfirmed.indexOf(ct);
    const o = this.at(ct, 0);
    const r = this.at(ct, 1);
    const key = this.#key;
    for (const at of [o, r]) {
      copyTuple(this.tuples, at, key, 0);
      const n = this.find(key);
      if (n >= 0) return this.#clash(ct, this.entry(n), p, n);
    }
    if (i >= 0) this.#unconfirmed.splice(i, 1);
    this.insert(ct);
    this.stats.insert++;
    this.event(ct, ct.status & IPS_EXPECTED ? IPCT_RELATED : IPCT_NEW);
    return NF_ACCEPT;
  }

  /** Gives up an entry that was created and is not to be inserted. */
  discard(ct: Conn): void {
    if (!ct.confirmed) this.#forget(ct);
  }

  /** Puts an entry into the table: its time runs from now. The caller has looked for clashes. */
  insert(ct: Conn): void {
    const i = this.#unconfirmed.indexOf(ct);
    if (i >= 0) this.#unconfirmed.splice(i, 1);
    for (const dir of [0, 1]) {
      const at = this.at(ct, dir);
      this.tuples[at + HASH] = hashTuple(this.tuples, at, this.#seed);
      this.#table.insert(this.tuples[at + HASH], ct.index * 2 + dir);
    }
    ct.timeout += this.world.now;
    if (this.sysctls.timestamp) ct.startNs = this.world.epochMs * 1e6 + this.world.now;
    ct.status |= IPS_CONFIRMED;
    ct.packet = -1;
    this.#armGc();
  }

  /** Two packets of one flow met at confirmation, both with new entries: the later packet joins the first one's entry. */
  #clash(ct: Conn, other: Conn, p: number, n: number): number {
    const t = this.tuples;
    const same = (dir: number): boolean =>
      equal(t, this.at(ct, dir), t, this.at(other, dir)) &&
      t[this.at(ct, dir) + ZONE] === t[this.at(other, dir) + ZONE];
    if (this.tracker(ct).allowClash) {
      if (same(0) && same(1)) {
        this.stats.clashResolve++;
        this.slab.setNfct(p, other.index + 1, this.slab.nfctinfo(p));
        this.#forget(ct);
        return NF_ACCEPT;
      }
      if ((n & 1) === 0 && same(0)) {
        // Same flow, two translations: the second answers in its own name, for a short while.
        const at = this.at(ct, 1);
        copyTuple(t, at, this.#key, 0);
        if (this.find(this.#key) < 0) {
          ct.status |= IPS_NAT_CLASH | IPS_FIXED_TIMEOUT;
          ct.timeout = SECOND;
          this.insert(ct);
          this.stats.clashResolve++;
          return NF_ACCEPT;
        }
      }
    }
    this.stats.insertFailed++;
    this.stats.drop++;
    this.slab.setDropReason(p, DROP.NF_CONNTRACK_CLASH);
    return NF_DROP;
  }

  /** Removes an entry for good; listeners hear DESTROY. */
  kill(ct: Conn): boolean {
    if (ct.dying || !ct.live) return false;
    if (!ct.confirmed) {
      ct.status |= IPS_DYING;
      return true;
    }
    for (const dir of [0, 1]) this.#table.remove(this.tuples[this.at(ct, dir) + HASH], ct.index * 2 + dir);
    ct.status |= IPS_DYING;
    if (this.sysctls.timestamp) ct.stopNs = this.world.epochMs * 1e6 + this.world.now;
    for (const fn of this.listeners) fn(ct, 1 << IPCT_DESTROY);
    for (const fn of this.onFree) fn(ct);
    this.#release(ct);
    return true;
  }

  /** True when the entry's original or reply tuple equals `reply` in `ct`'s zone and the entry is another flow: NAT may not use it. */
  tupleTaken(reply: Words, ct: Conn): boolean {
    const key = this.#reply;
    copyTuple(reply, 0, key, 0);
    for (const dir of [1, 0]) {
      key[ZONE] = zoneId(ct.zone, ct.zoneDir, dir);
      const n = this.find(key);
      if (n >= 0 && (n & 1) === dir) {
        const other = this.entry(n);
        if (other === ct) continue;
        const t = this.tuples;
        const sameFlow =
          equal(t, this.at(ct, 0), t, this.at(other, 0)) && t[this.at(ct, 0) + ZONE] === t[this.at(other, 0) + ZONE];
        if (!sameFlow) return true;
      }
    }
    return false;
  }

  refresh(ct: Conn, ctinfo: number, p: number, seconds: number): void {
    if (!(ct.status & IPS_FIXED_TIMEOUT)) this.setTimeout(ct, seconds);
    if (this.sysctls.acct) this.account(ct, ctinfo, p);
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
    ct.packets[dir]++;
    ct.bytes[dir] += this.slab.end(p) - this.slab.network(p);
  }

  event(ct: Conn, event: number): void {
    if (this.listeners.size > 0) ct.pendingEvents |= 1 << event;
  }

  /** Tells listeners what has gathered on a confirmed entry. */
  deliverEvents(ct: Conn): void {
    const events = ct.pendingEvents & ct.eventMask;
    ct.pendingEvents = 0;
    if (events === 0 || ct.dying) return;
    for (const fn of this.listeners) fn(ct, events);
  }

  /** Every confirmed entry that has not expired. `fn` may kill entries. */
  forEach(fn: (ct: Conn) => void): void {
    const all: Conn[] = [];
    this.#table.forEach((n) => {
      if ((n & 1) === 0) all.push(this.#entries[n >> 1]);
    });
    all.sort((a, b) => a.index - b.index);
    for (const ct of all)
      if (ct.confirmed && !ct.dying) {
        if (ct.timeout > this.world.now) fn(ct);
        else this.kill(ct);
      }
  }

  /** Removes every entry that `which` names; all without it (`conntrack -F`). */
  flush(which?: (ct: Conn) => boolean): void {
    this.forEach((ct) => {
      if (which === undefined || which(ct)) this.kill(ct);
    });
  }

  /** Looks at the entries of eight buckets near the hash and removes those that are neither assured nor worth keeping. */
  #earlyDrop(hash: number): boolean {
    let dropped = 0;
    this.#table.near(hash, EVICTION_RANGE, (n) => {
      if (dropped === 0) dropped = this.#tryDrop(n);
    });
    this.stats.earlyDrop += dropped;
    return dropped > 0;
  }

  #tryDrop(n: number): number {
    const ct = this.#entries[n >> 1];
    if (ct.dying || !ct.confirmed) return 0;
    if (ct.timeout <= this.world.now) return this.kill(ct) ? 1 : 0;
    if (ct.status & IPS_ASSURED) return 0;
    return this.kill(ct) ? 1 : 0;
  }

  #armGc(): void {
    if (this.#gcTimer < 0) this.#gcTimer = this.world.timers.arm(this.world.now + GC_INTERVAL_MAX, this.#gc);
  }

  /** Removes expired entries in the background; the next round follows sooner when much is about to expire. */
  readonly #gc = (): void => {
    this.#gcTimer = -1;
    const now = this.world.now;
    let soonest = GC_INTERVAL_MAX;
    const nearlyFull = this.sysctls.max !== 0 && this.count > this.sysctls.max * 0.95;
    let buckets = 0;
    this.#gcCursor.done = false;
    while (!this.#gcCursor.done && buckets++ < GC_BUCKETS) {
      this.#table.scan(this.#gcCursor, (n) => {
        const ct = this.#entries[n >> 1];
        if (n & 1 || ct.dying) return;
        if (ct.timeout <= now) this.kill(ct);
        else if (nearlyFull && (!(ct.status & IPS_ASSURED) || this.tracker(ct).canEarlyDrop?.(ct))) this.kill(ct);
        else soonest = Math.min(soonest, ct.timeout - now);
      });
    }
    if (this.#table.count === 0) return;
    const wait = this.#gcCursor.done ? Math.max(GC_INTERVAL_MIN, soonest) : SECOND / 1000;
    this.#gcTimer = this.world.timers.arm(now + wait, this.#gc);
  };
}

const DEFAULT_ZONE_TEMPLATE: Pick<Conn, 'zone' | 'zoneDir'> = { zone: DEFAULT_ZONE.id, zoneDir: DEFAULT_ZONE.dir };

function families(pf: number): number[] {
  return pf === NFPROTO_IPV4 || pf === NFPROTO_IPV6 ? [pf] : [NFPROTO_IPV4, NFPROTO_IPV6];
}
