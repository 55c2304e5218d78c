/**
 * ARP over Ethernet (RFC 826, RFC 5227 for announcements): asks for and answers with link addresses.
 */
import { DROP } from '../core/drop.ts';
import type { Hooks } from '../core/hook.ts';
import { PACKET_HOST } from '../core/slab.ts';
import type { World } from '../core/world.ts';
import type { NetDevice } from '../device/device.ts';
import { sameBytes } from '../wire/address.ts';
import * as arp from '../wire/arp.ts';
import { ETH_P_ARP } from '../wire/ethernet.ts';
import { NF_ACCEPT, NFPROTO_ARP } from '../wire/uapi/netfilter.ts';
import { IFF_NOARP, NUD_PERMANENT, NUD_REACHABLE, NUD_STALE } from '../wire/uapi/rtnetlink.ts';
import { type Neighbour, type NeighbourTable, NUD_VALID } from './neighbour.ts';

const NF_ARP_IN = 0;
const NF_ARP_OUT = 1;
/** Nanoseconds in which an entry is not changed again by another answer (neigh/DEV/locktime). */
const LOCKTIME = 1e9;

/** What ARP asks of the host above it. */
export type ArpHost = {
  readonly name: string;
  readonly world: World;
  readonly hooks: Hooks;
  readonly neighbours: NeighbourTable;
  /** True when this host answers for the address on this device: its own, or by proxy. */
  answersFor(dev: NetDevice, target: number, sender: number): boolean;
  /** True when the address is one of the host's own. */
  isLocal(address: number): boolean;
  /** The source address for asking about `target` on a device, 0 for none. */
  sourceFor(dev: NetDevice, target: number): number;
  /** Whether unknown senders of gratuitous ARP are learnt (arp_accept). */
  acceptGratuitous(dev: NetDevice): boolean;
};

export class Arp {
  readonly #host: ArpHost;
  readonly #key = new Uint32Array(4);

  constructor(host: ArpHost) {
    this.#host = host;
  }

  /** Sends an ARP packet: from (own MAC, `spa`) about `tpa`, to `to` or to everybody. */
  send(
    dev: NetDevice,
    op: number,
    spa: number,
    tpa: number,
    tha: Uint8Array | undefined,
    to: Uint8Array | undefined,
  ): void {
    const { slab } = this.#host.world;
    if (dev.flags & IFF_NOARP) return;
    const p = slab.alloc();
    if (p < 0) return;
    slab.setLen(p, arp.LENGTH);
    const at = slab.head(p);
    arp.init(slab.dv, at, op);
    slab.u8.set(dev.address, at + arp.SHA);
    slab.dv.setUint32(at + arp.SPA, spa);
    if (tha) slab.u8.set(tha, at + arp.THA);
    else slab.u8.fill(0, at + arp.THA, at + arp.THA + 6);
    slab.dv.setUint32(at + arp.TPA, tpa);
    slab.setNetwork(p, at);
    slab.setProtocol(p, ETH_P_ARP);
    slab.setOif(p, dev.ifindex);
    if (this.#host.hooks.run(NFPROTO_ARP, NF_ARP_OUT, p, 0, dev.ifindex) !== NF_ACCEPT) return;
    sendEthernet(dev, p, to ?? dev.broadcast, ETH_P_ARP);
  }

  /** Asks who has the entry's address. */
  solicit(entry: Neighbour, to: Uint8Array | undefined): void {
    const target = entry.address[0];
    const source = this.#host.sourceFor(entry.dev, target);
    this.send(entry.dev, arp.ARPOP_REQUEST, source, target, undefined, to);
  }

  /** Tells everybody that this host has the address (gratuitous ARP). */
  announce(dev: NetDevice, address: number): void {
    this.send(dev, arp.ARPOP_REQUEST, address, address, undefined, undefined);
  }

  /** An ARP packet has come in; its data begins with the ARP header. Owns the packet. */
  receive(dev: NetDevice, p: number): void {
    const host = this.#host;
    const { slab } = host.world;
    host.world.probe?.hit({ point: 'arp_rcv', host: host.name, p, device: dev });
    const at = slab.head(p);
    if (dev.flags & IFF_NOARP || !arp.checkLengths(slab.dv, at, slab.len(p))) {
      host.world.drop(p, DROP.ARP_INVALID, host.name);
      return;
    }
    if (host.hooks.run(NFPROTO_ARP, NF_ARP_IN, p, dev.ifindex, 0) !== NF_ACCEPT) return;
    // The hook sees packets of any hardware and protocol type, as in Linux.
    const known = arp.check(slab.dv, slab.head(p), slab.len(p));
    const reason = known ? this.#process(dev, slab.head(p), slab.pktType(p) === PACKET_HOST) : DROP.ARP_INVALID;
    host.world.drop(p, reason, host.name);
  }

  #process(dev: NetDevice, at: number, unicast: boolean): number {
    const host = this.#host;
    const { dv, u8 } = host.world.slab;
    const op = arp.operation(dv, at);
    if (op !== arp.ARPOP_REQUEST && op !== arp.ARPOP_REPLY) return DROP.ARP_INVALID;
    const sender = arp.senderAddr(dv, at);
    const target = arp.targetAddr(dv, at);
    // Multicast and loopback addresses have no business in ARP.
    if (target >>> 28 === 14 || target >>> 24 === 127) return DROP.ARP_INVALID;
    const sha = u8.slice(at + arp.SHA, at + arp.SHA + 6);
    if (sender === 0) {
      // A probe (RFC 5227): answered when the address is ours.
      if (op === arp.ARPOP_REQUEST && host.isLocal(target)) this.send(dev, arp.ARPOP_REPLY, target, sender, sha, sha);
      return DROP.ARP_CONSUMED;
    }
    this.#key[0] = sender;
    if (op === arp.ARPOP_REQUEST && host.answersFor(dev, target, sender)) {
      const entry = host.neighbours.obtain(dev, this.#key);
      if (entry && !(entry.state & NUD_PERMANENT)) host.neighbours.update(entry, sha, NUD_STALE, true);
      this.send(dev, arp.ARPOP_REPLY, target, sender, sha, sha);
      return DROP.ARP_CONSUMED;
    }
    const gratuitous = sender === target;
    let entry = host.neighbours.find(dev.ifindex, this.#key);
    if (entry === undefined && gratuitous && host.acceptGratuitous(dev)) entry = host.neighbours.obtain(dev, this.#key);
    if (entry === undefined || entry.state & NUD_PERMANENT) return DROP.ARP_NOT_FOR_US;
    // Of several answers the first one counts (locktime): a proxy may speak beside the owner.
    const fresh = host.world.now < entry.updated + LOCKTIME;
    if (fresh && !gratuitous && entry.state & NUD_VALID && !sameBytes(sha, entry.lladdr)) return DROP.ARP_CONSUMED;
    // Only an answer sent to this host proves that the neighbour is there.
    const answer = op === arp.ARPOP_REPLY && unicast;
    host.neighbours.update(entry, sha, answer ? NUD_REACHABLE : NUD_STALE, true);
    return DROP.ARP_CONSUMED;
  }
}

/** Puts an Ethernet header in front of a packet and sends it. Owns the packet. */
export function sendEthernet(dev: NetDevice, p: number, to: Uint8Array, type: number): void {
  const { slab } = dev.world;
  if (!slab.push(p, 14)) {
    dev.world.drop(p, DROP.NEIGH_HH_FILLFAIL);
    return;
  }
  const at = slab.head(p);
  slab.u8.set(to, at);
  slab.u8.set(dev.address, at + 6);
  slab.dv.setUint16(at + 12, type);
  slab.setMac(p, at);
  dev.transmit(p);
}
