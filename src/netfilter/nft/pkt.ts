/**
 * What an expression sees of a packet, found once per chain run (`struct nft_pktinfo`). One object per nesting depth is
 * reused for all packets.
 */
import type { HookState } from '../../core/hook.ts';
import { NO_OFFSET, type Slab } from '../../core/slab.ts';
import type { World } from '../../core/world.ts';
import { ETH_P_IP, ETH_P_IPV6 } from '../../wire/ethernet.ts';
import * as ipv4 from '../../wire/ipv4.ts';
import * as ipv6 from '../../wire/ipv6.ts';
import { NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV } from '../../wire/uapi/netfilter.ts';

export class PktInfo {
  readonly world: World;
  readonly slab: Slab;
  p = -1;
  /** NFPROTO_* of the hook. */
  pf = 0;
  hook = 0;
  iif = 0;
  oif = 0;
  /** Offset of the network header. */
  nhoff = 0;
  /** Offset of the transport header; meaningful when `hasTransport`. */
  thoff = 0;
  /** One past the last byte of the packet. */
  end = 0;
  /** Transport protocol, valid when `hasTransport` (NFT_PKTINFO_L4PROTO). */
  tprot = 0;
  hasTransport = false;
  /** Fragment offset in bytes; not 0 means there is no transport header in this packet. */
  fragoff = 0;
  /** Offset of the inner header for `inner` base payloads, NO_OFFSET when not found yet. */
  inneroff: number = NO_OFFSET;
  readonly #walk: ipv6.Walk = { protocol: 0, at: 0, fragOffset: 0, fragmentAt: 0 };

  constructor(world: World) {
    this.world = world;
    this.slab = world.slab;
  }

  /** Looks at the packet for one hook run. */
  set(p: number, state: HookState): void {
    this.p = p;
    this.pf = state.pf;
    this.hook = state.hook;
    this.iif = state.iif;
    this.oif = state.oif;
    this.hasTransport = false;
    this.tprot = 0;
    this.fragoff = 0;
    this.inneroff = NO_OFFSET;
    this.end = this.slab.end(p);
    const network = this.slab.network(p);
    this.nhoff = network === NO_OFFSET ? this.slab.head(p) : network;
    this.thoff = this.nhoff;
    if (this.pf === NFPROTO_IPV4) this.#setIpv4();
    else if (this.pf === NFPROTO_IPV6) this.#setIpv6();
    else if (this.pf === NFPROTO_BRIDGE || this.pf === NFPROTO_NETDEV) {
      // These families see packets that nobody has validated: a wrong header leaves them without transport.
      const protocol = this.slab.protocol(p);
      if (protocol === ETH_P_IP && ipv4.check(this.slab.dv, this.nhoff, this.end - this.nhoff)) this.#setIpv4();
      else if (protocol === ETH_P_IPV6 && ipv6.check(this.slab.dv, this.nhoff, this.end - this.nhoff)) this.#setIpv6();
    }
  }

  #setIpv4(): void {
    const dv = this.slab.dv;
    this.tprot = ipv4.protocol(dv, this.nhoff);
    this.hasTransport = true;
    this.thoff = this.nhoff + ipv4.headerLength(dv, this.nhoff);
    this.fragoff = (ipv4.fragOff(dv, this.nhoff) & ipv4.IP_OFFSET) << 3;
  }

  /** One past the last byte that the IP header claims (link layer padding lies behind it in bridge and netdev chains). */
  ipEnd(): number {
    const { dv } = this.slab;
    const length =
      ipv4.version(dv, this.nhoff) === 4
        ? ipv4.totalLength(dv, this.nhoff)
        : ipv6.HEADER_LENGTH + ipv6.payloadLength(dv, this.nhoff);
    return Math.min(this.end, this.nhoff + length);
  }

  #setIpv6(): void {
    const dv = this.slab.dv;
    const walk = ipv6.walk(dv, this.nhoff, this.end, this.#walk, true);
    if (walk.protocol < 0) return;
    this.tprot = walk.protocol;
    this.hasTransport = true;
    this.thoff = walk.at;
    this.fragoff = walk.fragOffset;
  }
}
