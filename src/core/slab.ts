/**
 * Packet memory: every packet lives in one slab inside a `WebAssembly.Memory` of fixed size.
 *
 * A packet is a handle (a slot number), never an object. Small slots hold a frame of up to 1,854 bytes behind 258 bytes of
 * headroom; large slots hold reassembled and GSO packets. Metadata (what Linux keeps in `struct sk_buff`) lies beside
 * the bytes, 48 words a slot, so that JavaScript, compiled eBPF and other threads read the same memory.
 *
 *     memory:  | metadata, 192 B a slot | small slots, 2112 B each | large slots, 66,560 B each | heap |
 *     slot:    | headroom 258 B ...  head -> | data (len bytes) | tailroom |
 *
 * 2112 is 33 cache lines: a stride of 2048 costs 31 % in cache-set conflicts. 258 puts the IP header behind an Ethernet
 * header on 16 bytes and keeps the 256 bytes of headroom that XDP programs are promised.
 *
 * Offsets (`head`, `mac`, `network`, `transport`) are absolute in the memory, so wire accessors take `(slab.dv, at)`.
 *
 * The heap behind the slots holds what programs see beside packets: maps, contexts, stacks. Its pages are touched only
 * when they are used, and the memory never grows, so every view of it stays good.
 */
import { Heap } from './heap.ts';

export const SLOT_SIZE = 2112;
export const LARGE_SLOT_SIZE = 66_560;
export const HEADROOM = 258;
/** No such offset: the header has not been found yet. */
export const NO_OFFSET = 0xffffffff;

const META_WORDS = 48;
const PAGE = 65_536;
const LOWEST = 32_768;
/** Address space of the heap where none is asked for: by the slot, between these bounds. */
const HEAP_PER_SLOT = 32_768;
const HEAP_MIN: number = 4 << 20;
const HEAP_MAX: number = 64 << 20;

// Word numbers inside a slot's metadata.
const REFS = 0;
const HEAD = 1;
const LEN = 2;
const MAC = 3;
const NETWORK = 4;
const TRANSPORT = 5;
const PROTOCOL = 6;
const IIF = 7;
const OIF = 8;
const MARK = 9;
const PRIORITY = 10;
const PKT_TYPE = 11;
const VLAN_TCI = 12;
const VLAN_PROTO = 13;
const FLAGS = 14;
const HASH = 15;
const TSTAMP = 16; // two words, a float64
const NFCT = 18;
const NFCTINFO = 19;
const SK = 20;
const UID = 21;
const GID = 22;
const SECMARK = 23;
const CLASSID = 24;
const PHYSIN = 25;
const PHYSOUT = 26;
const L4PROTO = 27;
const FRAG_OFFSET = 28;
const GSO_SIZE = 29;
const GATEWAY_FAMILY = 30;
const GATEWAY = 31; // four words, the address in network order
const RT_TYPE = 35;
const RT_MTU = 36;
const RT_FLAGS = 37;
const DROP_REASON = 38;
const DROP_RULE = 39;
const CB = 40; // eight words of scratch for whoever holds the packet

type MetaWord =
  | 'head'
  | 'len'
  | 'mac'
  | 'network'
  | 'protocol'
  | 'iif'
  | 'oif'
  | 'mark'
  | 'priority'
  | 'pktType'
  | 'vlanTci'
  | 'vlanProto'
  | 'hash'
  | 'tstamp'
  | 'nfct'
  | 'nfctinfo'
  | 'gsoSize'
  | 'cb';
/** Bytes of a slot's metadata, which begins at handle times this; and word numbers in it, for compiled code. */
export const META_BYTES: number = META_WORDS * 4;
export const META: Readonly<Record<MetaWord, number>> = {
  head: HEAD,
  len: LEN,
  mac: MAC,
  network: NETWORK,
  protocol: PROTOCOL,
  iif: IIF,
  oif: OIF,
  mark: MARK,
  priority: PRIORITY,
  pktType: PKT_TYPE,
  vlanTci: VLAN_TCI,
  vlanProto: VLAN_PROTO,
  hash: HASH,
  /** Two words, a float64. */
  tstamp: TSTAMP,
  nfct: NFCT,
  nfctinfo: NFCTINFO,
  gsoSize: GSO_SIZE,
  /** Eight words. */
  cb: CB,
};

/** `pkt_type` values (linux/if_packet.h). */
export const PACKET_HOST = 0;
export const PACKET_BROADCAST = 1;
export const PACKET_MULTICAST = 2;
export const PACKET_OTHERHOST = 3;
export const PACKET_OUTGOING = 4;
export const PACKET_LOOPBACK = 5;

/** Bits of `flags(p)`. */
export const PKT_NFTRACE: number = 1 << 0; // trace this packet through netfilter (meta nftrace)
export const PKT_TRACE: number = 1 << 1; // report every step to the world's tracer
export const PKT_CSUM_UNNECESSARY: number = 1 << 2; // the checksum is known to be good
export const PKT_CSUM_PARTIAL: number = 1 << 3; // the transport checksum is to be filled in before it leaves
export const PKT_IGNORE_DF: number = 1 << 4; // may be fragmented whatever its DF bit says
export const PKT_NF_FORCED_MTU: number = 1 << 5; // was defragmented: refragment on output
export const PKT_LOCAL: number = 1 << 6; // sent by this host's own sockets
export const PKT_UNTRACKED: number = 1 << 7; // notrack: conntrack leaves it alone
export const PKT_SK_ASSIGNED: number = 1 << 8; // `sk` is the socket that is to get it (bpf_sk_assign), not its sender

export type SlabOptions = {
  /** Small slots; default 2048 (4.3 MB of address space, touched only when used). */
  readonly slots?: number;
  /** Large slots for reassembled packets; default 32. */
  readonly largeSlots?: number;
  /** Address space of the heap; default 32 KiB a small slot, at least 4 MiB, at most 64 MiB (as with 2048 slots). */
  readonly heapBytes?: number;
};

/** The packet memory. Every method takes a handle from `alloc`; offsets are bytes in `memory`. */
export class Slab {
  readonly memory: WebAssembly.Memory;
  readonly dv: DataView;
  readonly u8: Uint8Array;
  /** All of the memory as words. */
  readonly words: Uint32Array;
  /** Metadata as words; prefer the accessors. */
  readonly u32: Uint32Array;
  /** Memory behind the slots. */
  readonly heap: Heap;
  readonly #f64: Float64Array;
  readonly #small: number;
  readonly #total: number;
  readonly #smallBase: number;
  readonly #largeBase: number;
  // Free lists: stacks of handles.
  readonly #free: Int32Array;
  readonly #freeLarge: Int32Array;
  #freeCount: number;
  #freeLargeCount: number;

  constructor(options: SlabOptions = {}) {
    this.#small = options.slots ?? 2048;
    const large = options.largeSlots ?? 32;
    this.#total = this.#small + large;
    const metaBytes = this.#total * META_WORDS * 4;
    // Nothing that a program sees lies below 32 KiB: compiled code leaves offsets up to that to the load, which does not wrap.
    this.#smallBase = Math.max(LOWEST, (metaBytes + 63) & ~63);
    this.#largeBase = this.#smallBase + this.#small * SLOT_SIZE;
    const heapBase = this.#largeBase + large * LARGE_SLOT_SIZE;
    const heapBytes = options.heapBytes ?? Math.min(HEAP_MAX, Math.max(HEAP_MIN, this.#small * HEAP_PER_SLOT));
    const pages = Math.ceil((heapBase + heapBytes) / PAGE);
    this.memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const buffer = this.memory.buffer;
    this.dv = new DataView(buffer);
    this.u8 = new Uint8Array(buffer);
    this.words = new Uint32Array(buffer);
    this.heap = new Heap(buffer, heapBase, pages * PAGE);
    this.u32 = new Uint32Array(buffer, 0, this.#total * META_WORDS);
    this.#f64 = new Float64Array(buffer, 0, (this.#total * META_WORDS) / 2);
    this.#free = Int32Array.from({ length: this.#small }, (_, i) => this.#small - 1 - i);
    this.#freeLarge = Int32Array.from({ length: large }, (_, i) => this.#total - 1 - i);
    this.#freeCount = this.#small;
    this.#freeLargeCount = large;
  }

  /** Small slots there are. */
  get capacity(): number {
    return this.#small;
  }

  /** Slots handed out and not yet freed. */
  get used(): number {
    return this.#total - this.#freeCount - this.#freeLargeCount;
  }

  /** Takes a slot for up to `size` bytes (default: a small one) with no data; -1 when none is left or `size` is too large. */
  alloc(size = 0, headroom: number = HEADROOM): number {
    let p: number;
    if (size + headroom <= SLOT_SIZE) {
      if (this.#freeCount === 0) return -1;
      p = this.#free[--this.#freeCount];
    } else {
      if (this.#freeLargeCount === 0 || size + headroom > LARGE_SLOT_SIZE) return -1;
      p = this.#freeLarge[--this.#freeLargeCount];
    }
    const w = p * META_WORDS;
    this.u32.fill(0, w, w + META_WORDS);
    this.u32[w + REFS] = 1;
    this.u32[w + HEAD] = this.base(p) + headroom;
    this.u32[w + MAC] = this.u32[w + NETWORK] = this.u32[w + TRANSPORT] = NO_OFFSET;
    this.u32[w + UID] = this.u32[w + GID] = NO_OFFSET;
    return p;
  }

  /** Gives one reference back; the slot is free after the last. A slot freed twice is ignored. */
  free(p: number): void {
    const w = p * META_WORDS;
    if (this.u32[w + REFS] === 0) return;
    if (--this.u32[w + REFS] > 0) return;
    if (p < this.#small) this.#free[this.#freeCount++] = p;
    else this.#freeLarge[this.#freeLargeCount++] = p;
  }

  /** Holders of the packet; 0: the slot is free. */
  refs(p: number): number {
    return this.u32[p * META_WORDS + REFS];
  }

  /** One more holder of the same bytes; each calls `free`. */
  ref(p: number): number {
    this.u32[p * META_WORDS + REFS]++;
    return p;
  }

  /** Start of the slot. */
  base(p: number): number {
    return p < this.#small ? this.#smallBase + p * SLOT_SIZE : this.#largeBase + (p - this.#small) * LARGE_SLOT_SIZE;
  }

  /** One past the last byte of the slot. */
  limit(p: number): number {
    return this.base(p) + (p < this.#small ? SLOT_SIZE : LARGE_SLOT_SIZE);
  }

  /** A new packet with these bytes; -1 when they do not fit. */
  from(bytes: Uint8Array): number {
    const p = this.alloc(bytes.length);
    if (p < 0) return p;
    this.u8.set(bytes, this.head(p));
    this.u32[p * META_WORDS + LEN] = bytes.length;
    return p;
  }

  /** A copy with its own bytes and the same metadata; -1 when no slot is left. */
  copy(p: number): number {
    const head = this.head(p);
    const headroom = head - this.base(p);
    const q = this.alloc(this.len(p), headroom);
    if (q < 0) return q;
    const shift = this.base(q) + headroom - head;
    const from = p * META_WORDS;
    const to = q * META_WORDS;
    this.u32.copyWithin(to, from, from + META_WORDS);
    this.u32[to + REFS] = 1;
    for (const word of [HEAD, MAC, NETWORK, TRANSPORT])
      if (this.u32[to + word] !== NO_OFFSET) this.u32[to + word] += shift;
    // Headers already pulled stay readable (the MAC header of a received packet).
    const start = Math.min(head, this.mac(p) === NO_OFFSET ? head : this.mac(p));
    this.u8.copyWithin(start + shift, start, head + this.len(p));
    return q;
  }

  /** A copy of the packet's bytes, from `head` on. For tests, tools and captures. */
  bytes(p: number): Uint8Array {
    const head = this.head(p);
    return this.u8.slice(head, head + this.len(p));
  }

  /** First byte of data. */
  head(p: number): number {
    return this.u32[p * META_WORDS + HEAD];
  }
  /** Bytes of data. */
  len(p: number): number {
    return this.u32[p * META_WORDS + LEN];
  }
  /** One past the last byte of data. */
  end(p: number): number {
    return this.head(p) + this.len(p);
  }
  /** Bytes free in front of the data. */
  headroom(p: number): number {
    return this.head(p) - this.base(p);
  }

  /** Grows the data by `n` bytes at the front (the caller writes them); false when there is no room. */
  push(p: number, n: number): boolean {
    if (this.headroom(p) < n) return false;
    this.u32[p * META_WORDS + HEAD] -= n;
    this.u32[p * META_WORDS + LEN] += n;
    return true;
  }
  /** Takes `n` bytes off the front; false when there are fewer. */
  pull(p: number, n: number): boolean {
    if (this.len(p) < n) return false;
    this.u32[p * META_WORDS + HEAD] += n;
    this.u32[p * META_WORDS + LEN] -= n;
    return true;
  }
  /** Sets the length: cuts the tail, or grows into the tailroom (bytes there are whatever they were). False: no room. */
  setLen(p: number, n: number): boolean {
    if (this.head(p) + n > this.limit(p)) return false;
    this.u32[p * META_WORDS + LEN] = n;
    return true;
  }

  mac(p: number): number {
    return this.u32[p * META_WORDS + MAC];
  }
  setMac(p: number, at: number): void {
    this.u32[p * META_WORDS + MAC] = at;
  }
  network(p: number): number {
    return this.u32[p * META_WORDS + NETWORK];
  }
  setNetwork(p: number, at: number): void {
    this.u32[p * META_WORDS + NETWORK] = at;
  }
  transport(p: number): number {
    return this.u32[p * META_WORDS + TRANSPORT];
  }
  setTransport(p: number, at: number): void {
    this.u32[p * META_WORDS + TRANSPORT] = at;
  }
  /** Ethertype of the network header. */
  protocol(p: number): number {
    return this.u32[p * META_WORDS + PROTOCOL];
  }
  setProtocol(p: number, value: number): void {
    this.u32[p * META_WORDS + PROTOCOL] = value;
  }
  /** Interface index the packet came in on; 0 for none. */
  iif(p: number): number {
    return this.u32[p * META_WORDS + IIF];
  }
  setIif(p: number, value: number): void {
    this.u32[p * META_WORDS + IIF] = value;
  }
  /** Interface index the packet goes out on; 0 for none yet. */
  oif(p: number): number {
    return this.u32[p * META_WORDS + OIF];
  }
  setOif(p: number, value: number): void {
    this.u32[p * META_WORDS + OIF] = value;
  }
  mark(p: number): number {
    return this.u32[p * META_WORDS + MARK];
  }
  setMark(p: number, value: number): void {
    this.u32[p * META_WORDS + MARK] = value;
  }
  priority(p: number): number {
    return this.u32[p * META_WORDS + PRIORITY];
  }
  setPriority(p: number, value: number): void {
    this.u32[p * META_WORDS + PRIORITY] = value;
  }
  pktType(p: number): number {
    return this.u32[p * META_WORDS + PKT_TYPE];
  }
  setPktType(p: number, value: number): void {
    this.u32[p * META_WORDS + PKT_TYPE] = value;
  }
  /** VLAN tag taken out of the frame: TCI, valid when `vlanProto` is not 0. */
  vlanTci(p: number): number {
    return this.u32[p * META_WORDS + VLAN_TCI];
  }
  /** Ethertype of the tag taken out (0x8100, 0x88a8), 0 for none. */
  vlanProto(p: number): number {
    return this.u32[p * META_WORDS + VLAN_PROTO];
  }
  setVlan(p: number, proto: number, tci: number): void {
    this.u32[p * META_WORDS + VLAN_PROTO] = proto;
    this.u32[p * META_WORDS + VLAN_TCI] = tci;
  }
  flags(p: number): number {
    return this.u32[p * META_WORDS + FLAGS];
  }
  setFlags(p: number, value: number): void {
    this.u32[p * META_WORDS + FLAGS] = value;
  }
  hash(p: number): number {
    return this.u32[p * META_WORDS + HASH];
  }
  setHash(p: number, value: number): void {
    this.u32[p * META_WORDS + HASH] = value;
  }
  /** Arrival time, nanoseconds of the world's clock. */
  tstamp(p: number): number {
    return this.#f64[(p * META_WORDS + TSTAMP) >> 1];
  }
  setTstamp(p: number, ns: number): void {
    this.#f64[(p * META_WORDS + TSTAMP) >> 1] = ns;
  }
  /** Connection tracking entry plus one, 0 for none. */
  nfct(p: number): number {
    return this.u32[p * META_WORDS + NFCT];
  }
  setNfct(p: number, ct: number, ctinfo: number): void {
    this.u32[p * META_WORDS + NFCT] = ct;
    this.u32[p * META_WORDS + NFCTINFO] = ctinfo;
  }
  /** `enum ip_conntrack_info` of this packet. */
  nfctinfo(p: number): number {
    return this.u32[p * META_WORDS + NFCTINFO];
  }
  /** Socket that sent the packet, 0 for none. */
  sk(p: number): number {
    return this.u32[p * META_WORDS + SK];
  }
  /** The sending socket and its owner. */
  setSk(p: number, sk: number, uid: number, gid: number): void {
    this.u32[p * META_WORDS + SK] = sk;
    this.u32[p * META_WORDS + UID] = uid;
    this.u32[p * META_WORDS + GID] = gid;
  }
  /** Owner of the sending socket, NO_OFFSET for none. */
  uid(p: number): number {
    return this.u32[p * META_WORDS + UID];
  }
  gid(p: number): number {
    return this.u32[p * META_WORDS + GID];
  }
  secmark(p: number): number {
    return this.u32[p * META_WORDS + SECMARK];
  }
  setSecmark(p: number, value: number): void {
    this.u32[p * META_WORDS + SECMARK] = value;
  }
  /** Routing realm (`rt classid`). */
  classid(p: number): number {
    return this.u32[p * META_WORDS + CLASSID];
  }
  setClassid(p: number, value: number): void {
    this.u32[p * META_WORDS + CLASSID] = value;
  }
  /** Bridge ports, for packets that cross or crossed a bridge; 0 for none. */
  physin(p: number): number {
    return this.u32[p * META_WORDS + PHYSIN];
  }
  setPhysin(p: number, value: number): void {
    this.u32[p * META_WORDS + PHYSIN] = value;
  }
  physout(p: number): number {
    return this.u32[p * META_WORDS + PHYSOUT];
  }
  setPhysout(p: number, value: number): void {
    this.u32[p * META_WORDS + PHYSOUT] = value;
  }
  /** Transport protocol behind the network header and its extension headers. */
  l4proto(p: number): number {
    return this.u32[p * META_WORDS + L4PROTO];
  }
  setL4proto(p: number, value: number): void {
    this.u32[p * META_WORDS + L4PROTO] = value;
  }
  /** Fragment offset in bytes: 0 for whole packets and first fragments. */
  fragOffset(p: number): number {
    return this.u32[p * META_WORDS + FRAG_OFFSET];
  }
  setFragOffset(p: number, value: number): void {
    this.u32[p * META_WORDS + FRAG_OFFSET] = value;
  }
  gsoSize(p: number): number {
    return this.u32[p * META_WORDS + GSO_SIZE];
  }
  setGsoSize(p: number, value: number): void {
    this.u32[p * META_WORDS + GSO_SIZE] = value;
  }
  /** Address family of the next hop that routing chose (AF_INET 2, AF_INET6 10), 0 when not routed. */
  gatewayFamily(p: number): number {
    return this.u32[p * META_WORDS + GATEWAY_FAMILY];
  }
  setGatewayFamily(p: number, family: number): void {
    this.u32[p * META_WORDS + GATEWAY_FAMILY] = family;
  }
  /** Where the next hop's 4 or 16 address bytes lie in the memory. */
  gatewayAt(p: number): number {
    return (p * META_WORDS + GATEWAY) * 4;
  }
  /** Route type (`RTN_UNICAST`, `RTN_LOCAL`...) of the route chosen, 0 when not routed. */
  rtType(p: number): number {
    return this.u32[p * META_WORDS + RT_TYPE];
  }
  setRtType(p: number, value: number): void {
    this.u32[p * META_WORDS + RT_TYPE] = value;
  }
  rtMtu(p: number): number {
    return this.u32[p * META_WORDS + RT_MTU];
  }
  setRtMtu(p: number, value: number): void {
    this.u32[p * META_WORDS + RT_MTU] = value;
  }
  rtFlags(p: number): number {
    return this.u32[p * META_WORDS + RT_FLAGS];
  }
  setRtFlags(p: number, value: number): void {
    this.u32[p * META_WORDS + RT_FLAGS] = value;
  }
  /** Why the packet is about to be dropped (core/drop.ts); 0 when nobody has said. */
  dropReason(p: number): number {
    return this.u32[p * META_WORDS + DROP_REASON];
  }
  setDropReason(p: number, reason: number, rule = 0): void {
    this.u32[p * META_WORDS + DROP_REASON] = reason;
    this.u32[p * META_WORDS + DROP_RULE] = rule;
  }
  /** Handle of the rule that decided the drop, 0 for none. */
  dropRule(p: number): number {
    return this.u32[p * META_WORDS + DROP_RULE];
  }
  /** One of eight scratch words for whoever holds the packet now. */
  cb(p: number, word: number): number {
    return this.u32[p * META_WORDS + CB + word];
  }
  setCb(p: number, word: number, value: number): void {
    this.u32[p * META_WORDS + CB + word] = value;
  }
}
