/**
 * Helpers that open or close room at a header: skb_adjust_room, skb_change_proto, skb_vlan_push, skb_vlan_pop.
 */
import { EALREADY, EFAULT, EINVAL, ENOMEM } from '../../../core/errno.ts';
import { swap16 } from '../ctx.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import { ENOTSUPP } from './checksum.ts';
import { closeGap, headroom, macLength, moved, openGap, writable } from './packet.ts';
import { SKB_MAX_ALLOC } from './skb-bytes.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const ETH_P_8021Q = 0x8100;
const ETH_P_8021AD = 0x88a8;
const IP_SIZE = 20;
const IPV6_SIZE = 40;
const VLAN_HLEN = 4;
const ETH_HLEN = 14;

// Flags of bpf_skb_adjust_room.
const FIXED_GSO = 1 << 0;
const ENCAP_L3_IPV4 = 1 << 1;
const ENCAP_L3_IPV6 = 1 << 2;
const ENCAP_L4_GRE = 1 << 3;
const ENCAP_L4_UDP = 1 << 4;
const NO_CSUM_RESET = 1 << 5;
const ENCAP_L2_ETH = 1 << 6;
const DECAP_L3_IPV4 = 1 << 7;
const DECAP_L3_IPV6 = 1 << 8;
const ENCAP_L3 = ENCAP_L3_IPV4 | ENCAP_L3_IPV6;
const DECAP_L3 = DECAP_L3_IPV4 | DECAP_L3_IPV6;
const KNOWN = 0x1ff;
const BPF_ADJ_ROOM_NET = 0;
const BPF_ADJ_ROOM_MAC = 1;

const isIp = (proto: number): boolean => proto === ETH_P_IP || proto === ETH_P_IPV6;
const ipSize = (proto: number): number => (proto === ETH_P_IP ? IP_SIZE : IPV6_SIZE);

function adjustRoom(run: Run, _skb: number, diff: number, mode: number, flags: number): number {
  const { slab, packet: p } = run;
  const size = Math.abs(diff);
  const shrink = diff < 0;
  const proto = slab.protocol(p);
  // The upper byte is the length of the inner MAC header.
  if ((flags & ~KNOWN) !== 0 || (run.hi(4) & 0x00ff_ffff) !== 0) return -EINVAL;
  if (size > 0xfff) return -EFAULT;
  if (!isIp(proto)) return -ENOTSUPP;
  let offset = macLength(run);
  if (mode === BPF_ADJ_ROOM_NET) offset += ipSize(proto);
  else if (mode !== BPF_ADJ_ROOM_MAC) return -ENOTSUPP;
  let least = ipSize(proto);
  if ((flags & DECAP_L3) !== 0) {
    if (!shrink || (flags & DECAP_L3) === DECAP_L3) return -EINVAL;
    least = (flags & DECAP_L3) === DECAP_L3_IPV4 ? IP_SIZE : IPV6_SIZE;
  }
  const length = slab.len(p) - (slab.network(p) - slab.head(p));
  if (shrink ? size >= length || length - size < least : slab.len(p) + size > SKB_MAX_ALLOC && slab.gsoSize(p) === 0)
    return -ENOTSUPP;
  const error = shrink ? shrinkAt(run, offset, size, flags) : growAt(run, offset, size, flags);
  moved(run);
  return error;
}

function growAt(run: Run, offset: number, size: number, flags: number): number {
  const { slab, packet: p } = run;
  const encap = (flags & ENCAP_L3) !== 0;
  const innerMac = run.hi(4) >>> 24;
  if (encap) {
    if ((flags & ENCAP_L3) === ENCAP_L3) return -EINVAL;
    if ((flags & ENCAP_L4_GRE) !== 0 && (flags & ENCAP_L4_UDP) !== 0) return -EINVAL;
    if ((flags & ENCAP_L2_ETH) !== 0 && innerMac < ETH_HLEN) return -EINVAL;
    if (run.encapsulated) return -EALREADY;
    if (innerMac > size) return -EINVAL;
  }
  const mac = macLength(run);
  if (!openGap(run, offset, size)) return -ENOMEM;
  if (!encap) return 0;
  run.encapsulated = true;
  const network = slab.head(p) + mac;
  slab.setNetwork(p, network);
  slab.setProtocol(p, (flags & ENCAP_L3_IPV6) !== 0 ? ETH_P_IPV6 : ETH_P_IP);
  slab.setTransport(p, network + ipSize(slab.protocol(p)));
  return 0;
}

function shrinkAt(run: Run, offset: number, size: number, flags: number): number {
  const { slab, packet: p } = run;
  if ((flags & ~(FIXED_GSO | DECAP_L3 | NO_CSUM_RESET)) !== 0 || run.hi(4) !== 0) return -EINVAL;
  if (!closeGap(run, offset, size)) return -ENOMEM;
  if ((flags & DECAP_L3) !== 0) {
    slab.setProtocol(p, (flags & DECAP_L3_IPV6) !== 0 ? ETH_P_IPV6 : ETH_P_IP);
    run.encapsulated = false;
  }
  return 0;
}

/** IPv4 to IPv6 or back: only the room changes, the program writes the header. */
function changeProto(run: Run, _skb: number, protoBe: number, flags: number): number {
  const { slab, packet: p } = run;
  const to = swap16(protoBe);
  const from = slab.protocol(p);
  if (flags !== 0 || run.hi(3) !== 0) return -EINVAL;
  if (!isIp(from) || !isIp(to) || from === to) return -ENOTSUPP;
  const offset = macLength(run);
  if (to === ETH_P_IPV6 ? !openGap(run, offset, 20) : !closeGap(run, offset, 20)) return -ENOMEM;
  slab.setProtocol(p, to);
  slab.setHash(p, 0);
  moved(run);
  return 0;
}

/** Bytes of link-layer header in front of data (programs that start behind it). */
function pulled(run: Run): number {
  const { slab, packet: p } = run;
  return slab.head(p) - slab.mac(p);
}

function vlanPush(run: Run, _skb: number, protoBe: number, tci: number): number {
  const { slab, packet: p } = run;
  let proto = swap16(protoBe);
  if (proto !== ETH_P_8021Q && proto !== ETH_P_8021AD) proto = ETH_P_8021Q;
  const outer = slab.vlanProto(p);
  if (outer !== 0) {
    // The tag beside the packet goes into it, the new one takes its place.
    if (pulled(run) !== 0 || headroom(run) < VLAN_HLEN) return pulled(run) !== 0 ? -EINVAL : -ENOMEM;
    slab.push(p, VLAN_HLEN);
    const head = slab.head(p);
    run.u8.copyWithin(head, head + VLAN_HLEN, head + VLAN_HLEN + 12);
    run.dv.setUint16(head + 12, outer);
    run.dv.setUint16(head + 14, slab.vlanTci(p));
    slab.setMac(p, head);
    slab.setProtocol(p, outer);
  }
  slab.setVlan(p, proto, tci & 0xffff);
  moved(run);
  return 0;
}

/** Takes the tag out of the frame: its TCI, or -errno. */
function untag(run: Run): number {
  const { slab, packet: p } = run;
  if (pulled(run) !== 0) return -EINVAL;
  if (!writable(run, ETH_HLEN + VLAN_HLEN)) return -ENOMEM;
  const head = slab.head(p);
  const tci = run.dv.getUint16(head + 14);
  const inner = run.dv.getUint16(head + 16);
  run.u8.copyWithin(head + VLAN_HLEN, head, head + 12);
  slab.pull(p, VLAN_HLEN);
  slab.setMac(p, slab.head(p));
  slab.setProtocol(p, inner);
  if (slab.network(p) - slab.head(p) < ETH_HLEN) slab.setNetwork(p, slab.head(p) + ETH_HLEN);
  return tci;
}

const isVlan = (proto: number): boolean => proto === ETH_P_8021Q || proto === ETH_P_8021AD;

function vlanPop(run: Run): number {
  const { slab, packet: p } = run;
  if (slab.vlanProto(p) !== 0) slab.setVlan(p, 0, 0);
  else {
    if (!isVlan(slab.protocol(p))) return 0;
    const tci = untag(run);
    if (tci < 0) return tci;
  }
  // A second tag moves beside the packet.
  const proto = slab.protocol(p);
  if (isVlan(proto)) {
    const tci = untag(run);
    if (tci < 0) {
      moved(run);
      return tci;
    }
    slab.setVlan(p, proto, tci);
  }
  moved(run);
  return 0;
}

export const skbShapeHelpers: HelperTable = new Map<number, HelperImpl>([
  [50, { call: adjustRoom, ret: 'int', wide: wide(4), movesPacket: true }],
  [31, { call: changeProto, ret: 'int', wide: wide(3), movesPacket: true }],
  [18, { call: vlanPush, ret: 'int', movesPacket: true }],
  [19, { call: vlanPop, ret: 'int', movesPacket: true }],
]);
