/**
 * Helpers about what stands beside a packet's bytes: hash, type, time stamp, ECN, cgroup and route class.
 */
import { EINVAL, ENOENT, EOPNOTSUPP } from '../../../core/errno.ts';
import { jhash } from '../../../core/jhash.ts';
import { NO_OFFSET, PACKET_OTHERHOST } from '../../../core/slab.ts';
import { networkAt, refresh, SKB } from '../ctx.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import { csumReplace2 } from './csum.ts';

const ETH_P_IP = 0x0800;
const ETH_P_IPV6 = 0x86dd;

function changeType(run: Run, _skb: number, type: number): number {
  const { slab, packet: p } = run;
  if (slab.pktType(p) > PACKET_OTHERHOST || type >>> 0 > PACKET_OTHERHOST) return -EINVAL;
  slab.setPktType(p, type);
  refresh(run);
  return 0;
}

/** Bytes that make a flow: addresses, protocol, ports, in one order for both directions. */
function flowBytes(run: Run): Uint8Array {
  const { slab, dv, u8, packet: p } = run;
  const at = networkAt(slab, p);
  const end = slab.end(p);
  const v6 = slab.protocol(p) === ETH_P_IPV6;
  if (slab.protocol(p) !== ETH_P_IP && !v6) return slab.u8.slice(at, Math.min(end, at + 16));
  const size = v6 ? 16 : 4;
  const from = at + (v6 ? 8 : 12);
  const header = v6 ? 40 : (dv.getUint8(at) & 15) * 4;
  if (at + header > end) return new Uint8Array(0);
  const proto = dv.getUint8(at + (v6 ? 6 : 9));
  const ports = (proto === 6 || proto === 17) && at + header + 4 <= end;
  const ends = [0, 1].map((i) => [
    ...u8.subarray(from + i * size, from + (i + 1) * size),
    ...(ports ? u8.subarray(at + header + i * 2, at + header + i * 2 + 2) : [0, 0]),
  ]);
  ends.sort((a, b) => {
    const i = a.findIndex((byte, k) => byte !== b[k]);
    return i < 0 ? 0 : a[i] - b[i];
  });
  return Uint8Array.from([...ends[0], ...ends[1], proto]);
}

/** The packet's flow hash: the one it has, else computed now (0 is not a hash). */
function hashRecalc(run: Run): number {
  const { slab, packet: p } = run;
  if (slab.hash(p) === 0) {
    const bytes = flowBytes(run);
    slab.setHash(p, jhash(bytes, 0, bytes.length, 0) || 1);
    refresh(run);
  }
  return slab.hash(p);
}

function setHash(run: Run, hash: number): number {
  run.slab.setHash(run.packet, hash >>> 0);
  refresh(run);
  return 0;
}

/** Ethertype behind VLAN tags; 0 when the packet ends before. */
function innerProtocol(run: Run): number {
  const { slab, dv, packet: p } = run;
  let protocol = slab.protocol(p);
  // Counted from the data, also where that begins behind the MAC header: as the kernel does.
  for (let at = slab.head(p) + 16; protocol === 0x8100 || protocol === 0x88a8; at += 4) {
    if (at + 2 > slab.end(p)) return 0;
    protocol = dv.getUint16(at);
  }
  return protocol;
}

/** Marks an IP packet whose transport understands ECN as having met congestion (RFC 3168): 1 when it is marked now. */
function ecnSetCe(run: Run): number {
  const { slab, dv, packet: p } = run;
  const at = networkAt(slab, p);
  const end = slab.end(p);
  const protocol = innerProtocol(run);
  if (protocol === ETH_P_IP && at + 20 <= end) {
    const tos = dv.getUint8(at + 1);
    if ((tos & 3) === 0) return 0;
    if ((tos & 3) === 3) return 1;
    const before = dv.getUint16(at, true);
    dv.setUint8(at + 1, tos | 3);
    dv.setUint16(at + 10, csumReplace2(dv.getUint16(at + 10, true), before, dv.getUint16(at, true)), true);
    return 1;
  }
  if (protocol === ETH_P_IPV6 && at + 40 <= end) {
    const ecn = (dv.getUint8(at + 1) >> 4) & 3;
    if (ecn === 0) return 0;
    dv.setUint8(at + 1, dv.getUint8(at + 1) | 0x30);
    return 1;
  }
  return 0;
}

/** Types: 0 wall clock (0: no stamp), 1 monotonic, 2 TAI. */
function setTstamp(run: Run, _skb: number, low: number, type: number): number {
  const { slab, packet: p } = run;
  if (slab.protocol(p) !== ETH_P_IP && slab.protocol(p) !== ETH_P_IPV6) return -EOPNOTSUPP;
  const ns = run.arg64(2, low);
  if (type !== 0 && ((type !== 1 && type !== 2) || ns === 0)) return -EINVAL;
  slab.setTstamp(p, ns);
  run.dv.setUint32(run.ctx + SKB.tstamp, low, true);
  run.dv.setInt32(run.ctx + SKB.tstamp + 4, run.hi(2), true);
  run.dv.setUint8(run.ctx + SKB.tstampType, type);
  return 0;
}

/** No packet has gone through IPsec here. */
function xfrmState(run: Run, _skb: number, _index: number, to: number, size: number): number {
  run.u8.fill(0, to >>> 0, (to >>> 0) + size);
  return -EINVAL;
}

const zero = (ret: 'u32' | 'u64'): HelperImpl => ({ call: (run) => run.ret64(0), ret });

export const skbMetaHelpers: HelperTable = new Map<number, HelperImpl>([
  [32, { call: changeType, ret: 'int' }],
  [34, { call: hashRecalc, ret: 'u32' }],
  [41, { call: (run) => setHash(run, 0), ret: 'int' }],
  [48, { call: (run, _skb, hash) => setHash(run, hash), ret: 'int' }],
  [97, { call: ecnSetCe, ret: 'int', movesPacket: true }],
  [192, { call: setTstamp, ret: 'int', wide: wide(2) }],
  [24, { call: (run) => (run.slab.rtType(run.packet) === 0 ? 0 : run.slab.classid(run.packet)), ret: 'u32' }],
  [66, { call: xfrmState, ret: 'int' }],
  [33, { call: () => -ENOENT, ret: 'int' }],
  // No cgroups: everything runs in the root.
  [17, zero('u32')],
  [151, zero('u64')],
  [79, zero('u64')],
  [83, zero('u64')],
  [80, { call: (run) => run.ret64(1), ret: 'u64' }],
  [123, { call: (run, level) => run.ret64(level === 0 ? 1 : 0), ret: 'u64' }],
  [128, zero('u64')],
  [129, zero('u64')],
]);

/** True when the network header of the packet is known. */
export function hasNetwork(run: Run): boolean {
  return run.slab.network(run.packet) !== NO_OFFSET;
}
