/**
 * Small changes of whole frames that several devices share.
 */
import type { Slab } from '../core/slab.ts';

/** Puts a VLAN tag that was taken out back into the frame at `head`; false when there is no room (the packet stays). */
export function insertVlanTag(slab: Slab, p: number): boolean {
  const proto = slab.vlanProto(p);
  if (proto === 0) return true;
  if (!slab.push(p, 4)) return false;
  const at = slab.head(p);
  slab.u8.copyWithin(at, at + 4, at + 16);
  slab.dv.setUint16(at + 12, proto);
  slab.dv.setUint16(at + 14, slab.vlanTci(p));
  slab.setVlan(p, 0, 0);
  slab.setMac(p, at);
  return true;
}

/** Forgets what one host knew of a packet, before another host gets it (the kernel's skb_scrub_packet). */
export function scrub(slab: Slab, p: number): void {
  slab.setIif(p, 0);
  slab.setOif(p, 0);
  slab.setMark(p, 0);
  slab.setPriority(p, 0);
  slab.setNfct(p, 0, 0);
  slab.setSk(p, 0, 0xffffffff, 0xffffffff);
  slab.setSecmark(p, 0);
  slab.setClassid(p, 0);
  slab.setPhysin(p, 0);
  slab.setPhysout(p, 0);
  slab.setGatewayFamily(p, 0);
  slab.setRtType(p, 0);
  slab.setRtMtu(p, 0);
  slab.setRtFlags(p, 0);
  slab.setFragOffset(p, 0);
  slab.setDropReason(p, 0);
  for (let word = 0; word < 8; word++) slab.setCb(p, word, 0);
}
