/**
 * Packet sockets (packet(7)): frames as devices carry them, past the protocols. Those for all protocols (ETH_P_ALL) see
 * what comes in before anything else does, and what goes out; those for one ethertype see what comes in and is left over
 * for protocols.
 */
import {
  EAFNOSUPPORT,
  EINVAL,
  EMSGSIZE,
  ENETDOWN,
  ENOBUFS,
  ENODEV,
  ENOTCONN,
  ENXIO,
  EOPNOTSUPP,
} from '../core/errno.ts';
import { NO_OFFSET, PACKET_HOST, PACKET_OUTGOING } from '../core/slab.ts';
import type { NetDevice } from '../device/device.ts';
import * as ethernet from '../wire/ethernet.ts';
import { IFF_LOOPBACK, IFF_PROMISC } from '../wire/uapi/rtnetlink.ts';
import * as u from '../wire/uapi/socket.ts';
import type { SockAddr } from './endpoint/address.ts';
import type { Row } from './endpoint/option.ts';
import type { Protocol, SendControl } from './endpoint/protocol.ts';
import { truesizeOf } from './endpoint/queue.ts';
import type { Sock } from './endpoint/sock.ts';
import type { Sockets } from './endpoint/sockets.ts';

export const ETH_P_ALL = 3;
const PACKET_KEY = 0x10001;
const MAC = 6;

/** `struct sockaddr_ll` as far as programs fill it: device, ethertype, link address. */
export type LinkAddr = SockAddr & { readonly ifindex: number; readonly protocol: number };

/** A packet socket's address; `address` is the link address for SOCK_DGRAM. */
export function linkaddr(ifindex: number, protocol: number, address: Uint8Array = new Uint8Array(0)): LinkAddr {
  return { family: u.AF_PACKET, address, port: 0, ifindex, protocol };
}

type PacketState = {
  /** Device bound to, 0 for all. */
  ifindex: number;
  ignoreOutgoing: boolean;
  packets: number;
  readonly members: { readonly ifindex: number; readonly type: number }[];
};

const stateOf = (sk: Sock): PacketState => {
  sk.own ??= { ifindex: 0, ignoreOutgoing: false, packets: 0, members: [] };
  return sk.own as PacketState;
};

const word = (bytes: Uint8Array, at: number): number =>
  new DataView(bytes.buffer, bytes.byteOffset).getUint32(at, true);

export class PacketSockets {
  readonly proto: Protocol;
  readonly #sockets: Sockets;
  readonly #open: Sock[] = [];
  /** Devices whose frames are looked at, with how to stop. */
  readonly #taps = new Map<NetDevice, (p: number, outgoing: boolean) => void>();

  constructor(sockets: Sockets) {
    this.#sockets = sockets;
    this.proto = {
      name: 'packet',
      key: PACKET_KEY,
      ports: false,
      header: 0,
      scores4: { family4: 0, daddr: 0, dport: 0, device: 0 },
      scores6: { family4: 0, daddr: 0, dport: 0, device: 0 },
      mayShare: () => true,
      options: this.#options(),
      opened: (sk) => {
        // The protocol of socket(2) is in network order.
        sk.protocol = ((sk.protocol & 0xff) << 8) | (sk.protocol >> 8);
        this.#open.push(sk);
        this.#watch();
      },
      bind: (sk, to) => this.#bind(sk, to),
      connect: () => -EOPNOTSUPP,
      send: (sk, data, to, control) => this.#send(sk, data, to, control),
      close: (sk) => {
        for (const m of stateOf(sk).members.splice(0)) this.#promiscuous(m.ifindex, m.type, -1);
        this.#open.splice(this.#open.indexOf(sk), 1);
        this.#watch();
      },
    };
    sockets.host.devices.listen((event) => {
      if (event === 'register' || event === 'unregister') this.#watch();
    });
  }

  #device(ifindex: number): NetDevice | undefined {
    return this.#sockets.host.devices.get(ifindex);
  }

  #options(): readonly Row[] {
    const membership = (name: number, label: string, joining: boolean): Row => ({
      level: u.SOL_PACKET,
      name,
      label,
      codec: 'bytes',
      min: 16,
      // struct packet_mreq: ifindex, type, address length, address.
      set: ({ sk }, _value, bytes) => {
        const ifindex = word(bytes, 0);
        const type = word(bytes, 4) & 0xffff;
        if (this.#device(ifindex) === undefined) return ENODEV;
        const { members } = stateOf(sk);
        if (joining) members.push({ ifindex, type });
        else {
          const at = members.findIndex((m) => m.ifindex === ifindex && m.type === type);
          if (at < 0) return 0;
          members.splice(at, 1);
        }
        this.#promiscuous(ifindex, type, joining ? 1 : -1);
        return 0;
      },
    });
    return [
      membership(u.PACKET_ADD_MEMBERSHIP, 'PACKET_ADD_MEMBERSHIP', true),
      membership(u.PACKET_DROP_MEMBERSHIP, 'PACKET_DROP_MEMBERSHIP', false),
      {
        level: u.SOL_PACKET,
        name: u.PACKET_STATISTICS,
        label: 'PACKET_STATISTICS',
        codec: 'bytes',
        // Reading starts them anew.
        get: ({ sk }) => {
          const state = stateOf(sk);
          const out = Uint32Array.of(state.packets + sk.drops, sk.drops);
          state.packets = sk.drops = 0;
          return new Uint8Array(out.buffer);
        },
      },
      {
        level: u.SOL_PACKET,
        name: u.PACKET_IGNORE_OUTGOING,
        label: 'PACKET_IGNORE_OUTGOING',
        codec: 'int',
        get: ({ sk }) => (stateOf(sk).ignoreOutgoing ? 1 : 0),
        set: ({ sk }, value) => {
          if (value !== 0 && value !== 1) return EINVAL;
          stateOf(sk).ignoreOutgoing = value === 1;
          return 0;
        },
      },
    ];
  }

  #promiscuous(ifindex: number, type: number, by: number): void {
    const dev = this.#device(ifindex);
    if (dev === undefined || type !== u.PACKET_MR_PROMISC) return;
    dev.promiscuity += by;
    if (dev.promiscuity > 0) dev.adminFlags |= IFF_PROMISC;
    else dev.adminFlags &= ~IFF_PROMISC;
  }

  /** Puts taps where sockets for all protocols listen, and asks the host for the rest. */
  #watch(): void {
    const { host } = this.#sockets;
    const all = this.#open.filter((sk) => sk.protocol === ETH_P_ALL);
    for (const dev of host.devices) {
      const wanted = all.some((sk) => stateOf(sk).ifindex === 0 || stateOf(sk).ifindex === dev.ifindex);
      const tap = this.#taps.get(dev);
      if (wanted && tap === undefined) {
        const made = (p: number, outgoing: boolean): void => this.#frame(dev, p, outgoing);
        this.#taps.set(dev, made);
        dev.taps.add(made);
      } else if (!wanted && tap !== undefined) {
        dev.taps.delete(tap);
        this.#taps.delete(dev);
      }
    }
    const some = this.#open.some((sk) => sk.protocol !== ETH_P_ALL && sk.protocol !== 0);
    host.packetInput = some ? (dev, p): boolean => this.#input(dev, p) : undefined;
  }

  #bind(sk: Sock, to: SockAddr): number {
    if (to.family !== u.AF_PACKET) return -EINVAL;
    const { ifindex = 0, protocol = 0 } = to as Partial<LinkAddr>;
    if (ifindex !== 0 && this.#device(ifindex) === undefined) return -ENODEV;
    stateOf(sk).ifindex = ifindex;
    if (protocol !== 0) sk.protocol = protocol;
    this.#watch();
    return 0;
  }

  #send(sk: Sock, data: Uint8Array, to: SockAddr | undefined, control: SendControl): number {
    const target = to as Partial<LinkAddr> | undefined;
    const ifindex = target?.ifindex ?? stateOf(sk).ifindex;
    if (target === undefined && ifindex === 0) return -ENOTCONN;
    if (target !== undefined && target.family !== u.AF_PACKET) return -EAFNOSUPPORT;
    const dev = this.#device(ifindex);
    if (dev === undefined) return -ENXIO;
    if (!dev.up) return -ENETDOWN;
    const raw = sk.type === u.SOCK_RAW;
    const head = raw ? 0 : ethernet.HEADER_LENGTH;
    if (raw && data.length < ethernet.HEADER_LENGTH) return -EINVAL;
    // A VLAN tag may come on top.
    if (data.length + head > dev.mtu + ethernet.HEADER_LENGTH + 4) return -EMSGSIZE;
    const { slab } = this.#sockets.host.world;
    const p = slab.alloc(head + data.length);
    if (p < 0) return -ENOBUFS;
    const at = slab.head(p);
    slab.setLen(p, head + data.length);
    const protocol = target?.protocol ?? (sk.protocol === ETH_P_ALL ? 0 : sk.protocol);
    if (!raw) {
      const address = target?.address ?? new Uint8Array(MAC);
      slab.u8.fill(0, at, at + MAC);
      slab.u8.set(address.subarray(0, MAC), at);
      slab.u8.set(dev.address, at + MAC);
      slab.dv.setUint16(at + 12, protocol);
    }
    slab.u8.set(data, at + head);
    slab.setMac(p, at);
    slab.setNetwork(p, at + ethernet.HEADER_LENGTH);
    slab.setProtocol(p, raw ? ethernet.type(slab.dv, at) : protocol);
    slab.setOif(p, ifindex);
    slab.setSk(p, sk.id, sk.owner.uid, sk.owner.gid);
    slab.setMark(p, control.mark ?? sk.mark);
    slab.setPriority(p, control.priority ?? sk.priority);
    dev.transmit(p);
    return data.length;
  }

  /** A frame at a device, on its way in or out; only lent. */
  #frame(dev: NetDevice, p: number, outgoing: boolean): void {
    const { slab } = this.#sockets.host.world;
    for (const sk of this.#open) {
      const state = stateOf(sk);
      if (sk.protocol !== ETH_P_ALL || (state.ifindex !== 0 && state.ifindex !== dev.ifindex)) continue;
      // Not what it sent itself, nor what it does not want.
      if (outgoing && (state.ignoreOutgoing || slab.sk(p) === sk.id)) continue;
      this.#take(sk, dev, p, slab.head(p), outgoing ? PACKET_OUTGOING : kindOf(dev, slab.u8, slab.head(p)));
    }
  }

  /** A packet left for protocols, its data behind the link header; only lent. True when some socket took it. */
  #input(dev: NetDevice, p: number): boolean {
    const { slab } = this.#sockets.host.world;
    let taken = false;
    for (const sk of this.#open) {
      const state = stateOf(sk);
      if (sk.protocol !== slab.protocol(p) || (state.ifindex !== 0 && state.ifindex !== dev.ifindex)) continue;
      const mac = slab.mac(p);
      if (mac === NO_OFFSET) continue;
      taken = true;
      this.#take(sk, dev, p, mac, slab.pktType(p));
    }
    return taken;
  }

  /** Copies a frame that begins at `mac` for a socket. */
  #take(sk: Sock, dev: NetDevice, p: number, mac: number, pkttype: number): void {
    const { world, name } = this.#sockets.host;
    const { slab } = world;
    const copy = slab.copy(p);
    if (copy < 0) return;
    const start = slab.base(copy) + (mac - slab.base(p));
    if (slab.head(copy) > start) slab.push(copy, slab.head(copy) - start);
    slab.setMac(copy, start);
    slab.setProtocol(copy, ethernet.type(slab.dv, start));
    slab.setNetwork(copy, start + ethernet.HEADER_LENGTH);
    slab.setPktType(copy, pkttype);
    slab.setIif(copy, dev.ifindex);
    const address = slab.u8.slice(start + MAC, start + 2 * MAC);
    const protocol = ethernet.type(slab.dv, start);
    if (sk.type === u.SOCK_DGRAM) slab.pull(copy, ethernet.HEADER_LENGTH);
    const keep = sk.filter === undefined ? 0xffff_ffff : sk.filter.run(copy);
    const length = slab.len(copy);
    const data = slab.u8.slice(slab.head(copy), slab.head(copy) + Math.min(keep, length));
    if (keep !== 0) {
      const from = { family: u.AF_PACKET, address, port: 0 };
      const message = {
        data,
        from,
        to: from,
        ifindex: dev.ifindex,
        ttl: 0,
        tos: 0,
        tstamp: world.now,
        mark: slab.mark(copy),
        gsoSize: 0,
        link: { protocol, hatype: dev.type, pkttype, address },
        truesize: truesizeOf(length),
      };
      const refused = this.#sockets.deliver(sk, message, copy);
      if (refused !== 0) return world.drop(copy, refused, name);
      stateOf(sk).packets++;
    }
    slab.free(copy);
  }
}

/** Packet type of a frame that has just come in (eth_type_trans). */
function kindOf(dev: NetDevice, u8: Uint8Array, at: number): number {
  if ((dev.adminFlags & IFF_LOOPBACK) !== 0) return PACKET_HOST;
  if ((u8[at] & 1) !== 0) return dev.broadcast.every((b, i) => b === u8[at + i]) ? 1 : 2;
  return dev.address.every((b, i) => b === u8[at + i]) ? PACKET_HOST : 3;
}
