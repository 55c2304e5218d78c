/**
 * What a tracing program is shown of one event: the arguments of its point, and the structs behind them, laid out as
 * `bpf/btf-types` says, in one block of the machine's memory that is used again for every event.
 */
import { type Argument, offsetOf, type StructLayout, sizeOf, type TracePoint } from '../bpf/btf-types/index.ts';
import type { ProbeDevice, ProbeEvent, ProbeValue } from '../core/probe.ts';
import { NO_OFFSET, type Slab } from '../core/slab.ts';

const ARGS_BYTES = 96;
const RECORD_BYTES = 512;
const TEXT_BYTES = 512;
const NO_HEADER = 0xffff;

const SKB = {
  dev: offsetOf('sk_buff', 'dev'),
  tstamp: offsetOf('sk_buff', 'tstamp'),
  cb: offsetOf('sk_buff', 'cb'),
  len: offsetOf('sk_buff', 'len'),
  mac_len: offsetOf('sk_buff', 'mac_len'),
  pkt_type: offsetOf('sk_buff', 'pkt_type'),
  priority: offsetOf('sk_buff', 'priority'),
  skb_iif: offsetOf('sk_buff', 'skb_iif'),
  hash: offsetOf('sk_buff', 'hash'),
  vlan_proto: offsetOf('sk_buff', 'vlan_proto'),
  vlan_tci: offsetOf('sk_buff', 'vlan_tci'),
  mark: offsetOf('sk_buff', 'mark'),
  secmark: offsetOf('sk_buff', 'secmark'),
  protocol: offsetOf('sk_buff', 'protocol'),
  transport_header: offsetOf('sk_buff', 'transport_header'),
  network_header: offsetOf('sk_buff', 'network_header'),
  mac_header: offsetOf('sk_buff', 'mac_header'),
  tail: offsetOf('sk_buff', 'tail'),
  end: offsetOf('sk_buff', 'end'),
  head: offsetOf('sk_buff', 'head'),
  data: offsetOf('sk_buff', 'data'),
  truesize: offsetOf('sk_buff', 'truesize'),
} as const;

const DEV = {
  name: offsetOf('net_device', 'name'),
  ifindex: offsetOf('net_device', 'ifindex'),
  mtu: offsetOf('net_device', 'mtu'),
  flags: offsetOf('net_device', 'flags'),
  type: offsetOf('net_device', 'type'),
  hard_header_len: offsetOf('net_device', 'hard_header_len'),
  addr_len: offsetOf('net_device', 'addr_len'),
  dev_addr: offsetOf('net_device', 'dev_addr'),
  nd_net: offsetOf('net_device', 'nd_net'),
} as const;

const HOOK = {
  hook: offsetOf('nf_hook_state', 'hook'),
  pf: offsetOf('nf_hook_state', 'pf'),
  in: offsetOf('nf_hook_state', 'in'),
  out: offsetOf('nf_hook_state', 'out'),
  net: offsetOf('nf_hook_state', 'net'),
} as const;

/** A part of the block that programs may read. */
export type Shown = { readonly at: number; readonly size: number };

export class TraceScene {
  /** Context of programs that get arguments. */
  readonly args: number;
  /** Context of programs that get a record. */
  readonly record: number;
  readonly #slab: Slab;
  readonly #skb: number;
  readonly #dev: number;
  readonly #in: number;
  readonly #out: number;
  readonly #net: number;
  readonly #state: number;
  readonly #text: number;
  readonly #address: number;
  readonly #parts: number[] = [];
  #textUsed = 0;

  constructor(slab: Slab) {
    this.#slab = slab;
    const part = (size: number): number => {
      const at = slab.heap.alloc(size);
      if (at === 0) throw new RangeError('no memory left for tracing');
      this.#parts.push(at);
      return at;
    };
    this.args = part(ARGS_BYTES);
    this.record = part(RECORD_BYTES);
    this.#skb = part(sizeOf('sk_buff'));
    this.#dev = part(sizeOf('net_device'));
    this.#in = part(sizeOf('net_device'));
    this.#out = part(sizeOf('net_device'));
    this.#net = part(sizeOf('net'));
    this.#state = part(sizeOf('nf_hook_state'));
    this.#text = part(TEXT_BYTES);
    this.#address = part(8);
  }

  /** Gives the memory back. */
  close(): void {
    for (const at of this.#parts.splice(0)) this.#slab.heap.free(at);
  }

  /** What programs may read of it, for runs that check every access. */
  *shown(): Iterable<Shown> {
    yield { at: this.#skb, size: sizeOf('sk_buff') };
    for (const at of [this.#dev, this.#in, this.#out]) yield { at, size: sizeOf('net_device') };
    yield { at: this.#net, size: sizeOf('net') };
    yield { at: this.#state, size: sizeOf('nf_hook_state') };
    yield { at: this.#text, size: TEXT_BYTES };
    yield { at: this.#address, size: 8 };
  }

  /** Sets the scene for an event at `point`; `device` is the event's, `find` knows the others of its host. */
  set(
    point: TracePoint,
    event: ProbeEvent,
    device: ProbeDevice | undefined,
    find: (ifindex: number) => ProbeDevice | undefined,
    net: number,
  ): void {
    this.#textUsed = 0;
    this.#slab.dv.setUint32(this.#net, net, true);
    if (device !== undefined) this.#device(this.#dev, device);
    if (event.p >= 0) this.#packet(event.p, device === undefined ? 0 : this.#dev);
    point.args.forEach((arg, i) => {
      this.#word(this.args + i * 8, this.#argument(arg, event, device, find));
    });
  }

  /** Fills the record of `point` for programs on `tp`, from the arguments that are set. */
  setRecord(layout: StructLayout, event: ProbeEvent, device: ProbeDevice | undefined): void {
    const { dv, u8 } = this.#slab;
    u8.fill(0, this.record, this.record + RECORD_BYTES);
    const skb = event.p < 0 ? 0 : this.#skb;
    for (const m of layout.members) {
      const at = this.record + m.offset;
      const value = event.args?.[m.name];
      if (m.name === 'skbaddr') this.#word(at, skb);
      else if (m.name === '__data_loc_name') {
        const to = Math.ceil(layout.size / 8) * 8;
        this.#string(this.record + to, device?.name ?? '', 16);
        dv.setUint32(at, (16 << 16) | to, true);
      } else if (m.name === 'len' && event.p >= 0) dv.setUint32(at, this.#slab.len(event.p), true);
      else if (m.name === 'protocol' && event.p >= 0) dv.setUint16(at, this.#slab.protocol(event.p), true);
      else if (m.name === 'ifindex') dv.setUint32(at, device?.ifindex ?? 0, true);
      else if (typeof value === 'string') this.#string(at, value, m.size);
      else if (typeof value === 'number') this.#integer(at, value, m.size);
      else if (value !== undefined) u8.set(value.subarray(0, m.size), at);
    }
  }

  #argument(
    arg: Argument,
    event: ProbeEvent,
    device: ProbeDevice | undefined,
    find: (ifindex: number) => ProbeDevice | undefined,
  ): number {
    const { type } = arg;
    if (type.kind === 'pointer' && type.to?.kind === 'struct') {
      switch (type.to.name) {
        case 'sk_buff':
          return event.p < 0 ? 0 : this.#skb;
        case 'net_device':
          return device === undefined ? 0 : this.#dev;
        case 'net':
          return this.#net;
        case 'nf_hook_state':
          return this.#hookState(event, find);
        default:
          return 0;
      }
    }
    return this.#value(event.args?.[arg.name]);
  }

  #value(value: ProbeValue | undefined): number {
    if (value === undefined) return 0;
    if (typeof value === 'number') return value;
    const at = this.#text + this.#textUsed;
    const size = Math.min(typeof value === 'string' ? value.length + 1 : value.length, TEXT_BYTES - this.#textUsed);
    this.#textUsed += size;
    if (typeof value === 'string') this.#string(at, value, size);
    else this.#slab.u8.set(value.subarray(0, size), at);
    return at;
  }

  #hookState(event: ProbeEvent, find: (ifindex: number) => ProbeDevice | undefined): number {
    const { dv } = this.#slab;
    const at = this.#state;
    const number = (name: string): number => {
      const value = event.args?.[name];
      return typeof value === 'number' ? value : 0;
    };
    const side = (place: number, ifindex: number): number => {
      const device = ifindex === 0 ? undefined : find(ifindex);
      if (device === undefined) return 0;
      this.#device(place, device);
      return place;
    };
    dv.setUint8(at + HOOK.hook, number('hook'));
    dv.setUint8(at + HOOK.pf, number('pf'));
    this.#word(at + HOOK.in, side(this.#in, number('iif')));
    this.#word(at + HOOK.out, side(this.#out, number('oif')));
    this.#word(at + HOOK.net, this.#net);
    return at;
  }

  #packet(p: number, dev: number): void {
    const slab = this.#slab;
    const { dv } = slab;
    const at = this.#skb;
    const base = slab.base(p);
    const header = (offset: number): number => (offset === NO_OFFSET ? NO_HEADER : (offset - base) & 0xffff);
    this.#word(at + SKB.dev, dev);
    dv.setBigInt64(at + SKB.tstamp, BigInt(Math.trunc(slab.tstamp(p))), true);
    for (let i = 0; i < 8; i++) dv.setUint32(at + SKB.cb + i * 4, slab.cb(p, i), true);
    dv.setUint32(at + SKB.len, slab.len(p), true);
    const [mac, network] = [slab.mac(p), slab.network(p)];
    dv.setUint16(at + SKB.mac_len, mac === NO_OFFSET || network === NO_OFFSET ? 0 : (network - mac) & 0xffff, true);
    dv.setUint8(at + SKB.pkt_type, slab.pktType(p));
    dv.setUint32(at + SKB.priority, slab.priority(p), true);
    dv.setUint32(at + SKB.skb_iif, slab.iif(p), true);
    dv.setUint32(at + SKB.hash, slab.hash(p), true);
    dv.setUint16(at + SKB.vlan_proto, slab.vlanProto(p));
    dv.setUint16(at + SKB.vlan_tci, slab.vlanTci(p), true);
    dv.setUint32(at + SKB.mark, slab.mark(p), true);
    dv.setUint32(at + SKB.secmark, slab.secmark(p), true);
    dv.setUint16(at + SKB.protocol, slab.protocol(p));
    dv.setUint16(at + SKB.transport_header, header(slab.transport(p)), true);
    dv.setUint16(at + SKB.network_header, header(network), true);
    dv.setUint16(at + SKB.mac_header, header(mac), true);
    dv.setUint32(at + SKB.tail, slab.end(p) - base, true);
    dv.setUint32(at + SKB.end, slab.limit(p) - base, true);
    this.#word(at + SKB.head, base);
    this.#word(at + SKB.data, slab.head(p));
    dv.setUint32(at + SKB.truesize, slab.limit(p) - base, true);
  }

  #device(at: number, device: ProbeDevice): void {
    const { dv, u8 } = this.#slab;
    this.#string(at + DEV.name, device.name, 16);
    dv.setInt32(at + DEV.ifindex, device.ifindex, true);
    dv.setUint32(at + DEV.mtu, device.mtu, true);
    dv.setUint32(at + DEV.flags, device.flags, true);
    dv.setUint16(at + DEV.type, device.type, true);
    dv.setUint16(at + DEV.hard_header_len, 14, true);
    dv.setUint8(at + DEV.addr_len, device.address.length);
    u8.set(device.address.subarray(0, 8), this.#address);
    this.#word(at + DEV.dev_addr, this.#address);
    this.#word(at + DEV.nd_net, this.#net);
  }

  /** A string, cut to fit and ended by a zero. */
  #string(at: number, text: string, size: number): void {
    const { u8 } = this.#slab;
    u8.fill(0, at, at + size);
    for (let i = 0; i < Math.min(text.length, size - 1); i++) u8[at + i] = text.charCodeAt(i);
  }

  #integer(at: number, value: number, size: number): void {
    const { dv } = this.#slab;
    if (size === 8) this.#word(at, value);
    else if (size === 4) dv.setInt32(at, value | 0, true);
    else if (size === 2) dv.setInt16(at, value, true);
    else dv.setInt8(at, value);
  }

  /** An integer of up to 53 bits as a 64-bit word. */
  #word(at: number, value: number): void {
    const { dv } = this.#slab;
    dv.setInt32(at, value | 0, true);
    dv.setInt32(at + 4, Math.floor(value / 0x1_0000_0000), true);
  }
}
