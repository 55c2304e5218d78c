/**
 * Helpers of lightweight tunnels: lwt_push_encap with an IP header. (Segment routing headers are refused, as by a kernel
 * without them.)
 */
import { EINVAL, ENOMEM } from '../../../core/errno.ts';
import type { HelperImpl, HelperTable } from '../helper.ts';
import type { Run } from '../run.ts';
import { csumFold, csumPartial } from './csum.ts';
import { headroom, moved } from './packet.ts';

const BPF_LWT_ENCAP_IP = 2;
const MAX_HEADROOM = 256;
const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;
const IP_SIZE = 20;
const IPV6_SIZE = 40;

/** Puts an outer IP header, and what may follow it, in front of the packet. */
function pushEncap(run: Run, _skb: number, type: number, header: number, length: number): number {
  const { slab, dv, u8, packet: p } = run;
  const from = header >>> 0;
  if (type !== BPF_LWT_ENCAP_IP || length < IP_SIZE || length > MAX_HEADROOM) return -EINVAL;
  const version = dv.getUint8(from) >> 4;
  const least = version === 4 ? (dv.getUint8(from) & 15) * 4 : version === 6 ? IPV6_SIZE : length + 1;
  if (length < least) return -EINVAL;
  if (headroom(run) < length || !slab.push(p, length)) return -ENOMEM;
  const at = slab.head(p);
  u8.copyWithin(at, from, from + length);
  slab.setNetwork(p, at);
  slab.setHash(p, 0);
  slab.setProtocol(p, version === 4 ? ETH_P_IP : ETH_P_IPV6);
  if (version === 4 && dv.getUint16(at + 10) === 0)
    dv.setUint16(at + 10, csumFold(csumPartial(dv, at, least, 0)), true);
  run.encapsulated = true;
  moved(run);
  return 0;
}

export const lwtHelpers: HelperTable = new Map<number, HelperImpl>([
  [73, { call: pushEncap, ret: 'int', movesPacket: true }],
]);
