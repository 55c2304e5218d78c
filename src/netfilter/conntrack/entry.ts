/**
 * One tracked connection (`struct nf_conn`): a view of its record in the store's flat memory (store.ts). Views are cheap and
 * hold nothing themselves: two views of one number are the same connection, and are compared by `index`.
 *
 *     word:   0..23  the two tuples (tuple.ts)
 *            24..31  status, mark, secmark, zone, id, kind, events, masquerading device
 *            32..47  as doubles: timeout, start, stop, stream, packets and bytes of both directions
 *            48..63  the protocol's state (TCP: tcp-state.ts; SCTP: sctp-state.ts)
 *
 * What few connections have (labels, helper, master, timeouts, sequence adjustment) lies apart, in `Extras`.
 */
import { IPS_CONFIRMED, IPS_DYING, IPS_TEMPLATE } from '../../wire/uapi/ctnetlink.ts';
import type { HelperState } from './helper/types.ts';
import { SctpState } from './sctp-state.ts';
import type { SeqAdjust } from './seqadj.ts';
import { TcpState } from './tcp-state.ts';
import { TUPLE_WORDS, type Words } from './tuple.ts';

/** `ctinfo` of packets that a rule took out of tracking (nf_conntrack_common.h). */
export const IP_CT_UNTRACKED = 7;
/** Internal status bit: inserted despite a clash, so it never becomes assured (IPS_NAT_CLASH). */
export const IPS_NAT_CLASH: number = IPS_TEMPLATE << 1;

/** Zone directions: which of the two tuples carry the zone's id. */
export const ZONE_DIR_ORIG = 1;
export const ZONE_DIR_REPL = 2;
export const ZONE_DIR_BOTH = 3;

/** Words of a record. */
export const RECORD_WORDS = 64;
const STATUS = 24;
const MARK = 25;
const SECMARK = 26;
const ZONE = 27;
const ID = 28;
const KIND = 29;
const EVENTS = 30;
const MASQ = 31;
const TIMEOUT = 16; // doubles from here
const START = 17;
const STOP = 18;
const STREAM = 19;
const PACKETS = 20;
const BYTES = 22;

// Bits of KIND.
const LIVE = 1;
const TCP = 2;
const SCTP = 4;
const NAT_SOURCE = 8;
const EXTRAS = 16;

/** SYN cookies of a proxied connection (`struct nf_conn_synproxy`). */
export type SynproxyState = { isn: number; its: number; tsoff: number };

/** What only some connections have. */
export type Extras = {
  /** 128 label bits. */
  labels?: Uint32Array;
  /** Number and id of the connection that announced this one. */
  master?: { readonly index: number; readonly id: number };
  helper?: HelperState;
  /** Seconds by state that a rule chose instead of the sysctls. */
  timeouts?: readonly number[];
  /** Corrections of TCP sequence numbers, by direction, after a helper changed a payload's length. */
  seqadj?: readonly [SeqAdjust, SeqAdjust];
  synproxy?: SynproxyState;
};

/** Where records lie: what a view needs of the store. */
export type Records = {
  readonly extras: Map<number, Extras>;
  view(index: number): Conn;
};

export class Conn {
  /** Number of the entry: packets carry it plus one in `slab.nfct`. */
  readonly index: number;
  /** The page of records that this one lies in, as words, and where it begins there. */
  readonly words: Words;
  readonly base: number;
  readonly #doubles: Float64Array;
  readonly #half: number;
  readonly #records: Records;
  #tcp: TcpState | undefined;
  #sctp: SctpState | undefined;

  constructor(records: Records, index: number, words: Words, doubles: Float64Array, base: number) {
    this.#records = records;
    this.index = index;
    this.words = words;
    this.base = base;
    this.#doubles = doubles;
    this.#half = base >> 1;
  }

  /** Where a tuple begins in `words`; `dir` 0 original, 1 reply. */
  at(dir: number): number {
    return this.base + dir * TUPLE_WORDS;
  }

  /** IPS_* */
  get status(): number {
    return this.words[this.base + STATUS];
  }
  set status(value: number) {
    this.words[this.base + STATUS] = value;
  }
  get mark(): number {
    return this.words[this.base + MARK];
  }
  set mark(value: number) {
    this.words[this.base + MARK] = value;
  }
  get secmark(): number {
    return this.words[this.base + SECMARK];
  }
  set secmark(value: number) {
    this.words[this.base + SECMARK] = value;
  }
  get zone(): number {
    return this.words[this.base + ZONE] & 0xffff;
  }
  set zone(value: number) {
    this.words[this.base + ZONE] = (this.words[this.base + ZONE] & 0xffff0000) | value;
  }
  get zoneDir(): number {
    return this.words[this.base + ZONE] >>> 16;
  }
  set zoneDir(value: number) {
    this.words[this.base + ZONE] = (value << 16) | (this.words[this.base + ZONE] & 0xffff);
  }
  /** CTA_ID. */
  get id(): number {
    return this.words[this.base + ID];
  }
  set id(value: number) {
    this.words[this.base + ID] = value;
  }
  /** Events that listeners want of this entry (`ct eventmask`). */
  get eventMask(): number {
    return this.words[this.base + EVENTS] >>> 16;
  }
  set eventMask(value: number) {
    this.words[this.base + EVENTS] = (value << 16) | (this.words[this.base + EVENTS] & 0xffff);
  }
  /** Events that happened and are not yet told. */
  get pendingEvents(): number {
    return this.words[this.base + EVENTS] & 0xffff;
  }
  set pendingEvents(value: number) {
    this.words[this.base + EVENTS] = (this.words[this.base + EVENTS] & 0xffff0000) | (value & 0xffff);
  }
  /** Device whose address masquerading wrote: the entry dies with it. */
  get masqIfindex(): number {
    return this.words[this.base + MASQ];
  }
  set masqIfindex(value: number) {
    this.words[this.base + MASQ] = value;
  }

  /** False once the entry is gone: a packet that still names it is no longer tracked. */
  get live(): boolean {
    return this.#kind(LIVE);
  }
  set live(value: boolean) {
    this.#setKind(LIVE, value);
  }
  /** It is in NAT's table of sources. */
  get natSource(): boolean {
    return this.#kind(NAT_SOURCE);
  }
  set natSource(value: boolean) {
    this.#setKind(NAT_SOURCE, value);
  }
  #kind(bit: number): boolean {
    return (this.words[this.base + KIND] & bit) !== 0;
  }
  #setKind(bit: number, on: boolean): void {
    const at = this.base + KIND;
    this.words[at] = on ? this.words[at] | bit : this.words[at] & ~bit;
  }

  /** Nanoseconds until an unconfirmed entry expires after its confirmation; world time in ns when it is confirmed. */
  get timeout(): number {
    return this.#doubles[this.#half + TIMEOUT];
  }
  set timeout(value: number) {
    this.#doubles[this.#half + TIMEOUT] = value;
  }
  /** Creation and end, ns since 1970, when timestamps are on. */
  get startNs(): number {
    return this.#doubles[this.#half + START];
  }
  set startNs(value: number) {
    this.#doubles[this.#half + START] = value;
  }
  get stopNs(): number {
    return this.#doubles[this.#half + STOP];
  }
  set stopNs(value: number) {
    this.#doubles[this.#half + STOP] = value;
  }
  /** World time from which a UDP flow counts as a stream. */
  get streamNs(): number {
    return this.#doubles[this.#half + STREAM];
  }
  set streamNs(value: number) {
    this.#doubles[this.#half + STREAM] = value;
  }
  /** Packets and bytes of a direction, counted when accounting is on. */
  packets(dir: number): number {
    return this.#doubles[this.#half + PACKETS + dir];
  }
  bytes(dir: number): number {
    return this.#doubles[this.#half + BYTES + dir];
  }
  setCounters(dir: number, packets: number, bytes: number): void {
    this.#doubles[this.#half + PACKETS + dir] = packets;
    this.#doubles[this.#half + BYTES + dir] = bytes;
  }
  /** Adds to the counters of a direction. */
  count(dir: number, packets: number, bytes: number): void {
    this.#doubles[this.#half + PACKETS + dir] += packets;
    this.#doubles[this.#half + BYTES + dir] += bytes;
  }

  get tcp(): TcpState | undefined {
    if (!this.#kind(TCP)) return undefined;
    this.#tcp ??= new TcpState(this.words, this.base + 48);
    return this.#tcp;
  }
  /** Makes the entry one of TCP, its state as new. */
  openTcp(): TcpState {
    this.#protocol(TCP);
    const t = this.tcp!;
    t.reset();
    return t;
  }
  get sctp(): SctpState | undefined {
    if (!this.#kind(SCTP)) return undefined;
    this.#sctp ??= new SctpState(this.words, this.base + 48);
    return this.#sctp;
  }
  /** Makes the entry one of SCTP, its state as new. */
  openSctp(): SctpState {
    this.#protocol(SCTP);
    return this.sctp!;
  }
  #protocol(bit: number): void {
    this.words.fill(0, this.base + 48, this.base + RECORD_WORDS);
    this.#setKind(TCP | SCTP, false);
    this.#setKind(bit, true);
  }

  /** What only some connections have; undefined: none of it. */
  get extras(): Extras | undefined {
    return this.#kind(EXTRAS) ? this.#records.extras.get(this.index) : undefined;
  }
  /** The same, made when there is none. */
  extend(): Extras {
    const known = this.extras;
    if (known !== undefined) return known;
    const made: Extras = {};
    this.#records.extras.set(this.index, made);
    this.#setKind(EXTRAS, true);
    return made;
  }
  get labels(): Uint32Array | undefined {
    return this.extras?.labels;
  }
  set labels(value: Uint32Array | undefined) {
    if (value !== undefined || this.#kind(EXTRAS)) this.extend().labels = value;
  }
  get helper(): HelperState | undefined {
    return this.extras?.helper;
  }
  set helper(value: HelperState | undefined) {
    if (value !== undefined || this.#kind(EXTRAS)) this.extend().helper = value;
  }
  get timeouts(): readonly number[] | undefined {
    return this.extras?.timeouts;
  }
  set timeouts(value: readonly number[] | undefined) {
    if (value !== undefined || this.#kind(EXTRAS)) this.extend().timeouts = value;
  }
  /** The connection that announced this one (expectations), while it lives. */
  get master(): Conn | undefined {
    const m = this.extras?.master;
    if (m === undefined) return undefined;
    const ct = this.#records.view(m.index);
    return ct.id === m.id && ct.live ? ct : undefined;
  }
  set master(value: Conn | undefined) {
    this.extend().master = value && { index: value.index, id: value.id };
  }

  get confirmed(): boolean {
    return (this.status & IPS_CONFIRMED) !== 0;
  }
  get dying(): boolean {
    return (this.status & IPS_DYING) !== 0;
  }
  get template(): boolean {
    return (this.status & IPS_TEMPLATE) !== 0;
  }

  /** True when both are views of one connection. */
  same(other: Conn | undefined): boolean {
    return other !== undefined && other.index === this.index;
  }

  /** Makes the entry as new. */
  reset(): void {
    if (this.#kind(EXTRAS)) this.#records.extras.delete(this.index);
    this.words.fill(0, this.base, this.base + RECORD_WORDS);
    this.words[this.base + ZONE] = ZONE_DIR_BOTH << 16;
    this.words[this.base + EVENTS] = 0xffff0000;
    this.words[this.base + KIND] = LIVE;
  }

  /** Gives back what lies apart; the record itself stays readable until its number is used again. */
  release(): void {
    this.live = false;
  }
}

/** A zone as `ct zone set` and the CT target give it. */
export type Zone = { readonly id: number; readonly dir: number };

export const DEFAULT_ZONE: Zone = { id: 0, dir: ZONE_DIR_BOTH };

/** The id that a zone has for one direction (0 original, 1 reply). */
export function zoneId(id: number, zoneDir: number, dir: number): number {
  return zoneDir & (1 << dir) ? id : 0;
}
