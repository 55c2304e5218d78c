/**
 * The line that a `log` statement writes, in the form of the kernel's nf_log_syslog: IN= OUT= MAC= SRC= DST= ... .
 */
import { NO_OFFSET } from '../core/slab.ts';
import type { LogOptions, NetfilterHost } from '../netfilter/nft/host.ts';
import type { PktInfo } from '../netfilter/nft/pkt.ts';
import { formatIpv4, formatIpv6, formatMac } from '../wire/address.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';
import * as tcp from '../wire/tcp.ts';

const TCP_FLAGS: readonly (readonly [number, string])[] = [
  [tcp.CWR, 'CWR'],
  [tcp.ECE, 'ECE'],
  [tcp.URG, 'URG'],
  [tcp.ACK, 'ACK'],
  [tcp.PSH, 'PSH'],
  [tcp.RST, 'RST'],
  [tcp.SYN, 'SYN'],
  [tcp.FIN, 'FIN'],
];

export function logLine(host: NetfilterHost, p: number, pkt: PktInfo, options: LogOptions): string {
  const { slab } = host.world;
  const { dv, u8 } = slab;
  const words = [`${options.prefix}IN=${host.deviceName(pkt.iif)}`, `OUT=${host.deviceName(pkt.oif)}`];
  const mac = slab.mac(p);
  if (mac !== NO_OFFSET && pkt.iif !== 0) words.push(`MAC=${formatMac(u8, mac, 14)}`);
  const at = pkt.nhoff;
  const hex = (n: number): string => n.toString(16).toUpperCase().padStart(2, '0');
  if (dv.getUint8(at) >> 4 === 4) {
    const tos = ipv4.tos(dv, at);
    words.push(
      `SRC=${formatIpv4(u8, at + ipv4.SRC)}`,
      `DST=${formatIpv4(u8, at + ipv4.DST)}`,
      `LEN=${ipv4.totalLength(dv, at)}`,
    );
    words.push(
      `TOS=0x${hex(tos & 0x1e)}`,
      `PREC=0x${hex(tos & 0xe0)}`,
      `TTL=${ipv4.ttl(dv, at)}`,
      `ID=${ipv4.id(dv, at)}`,
    );
    const fragment = ipv4.fragOff(dv, at);
    if (fragment & ipv4.IP_DF) words.push('DF');
    if (fragment & ipv4.IP_MF) words.push('MF');
    if (fragment & ipv4.IP_OFFSET) words.push(`FRAG:${fragment & ipv4.IP_OFFSET}`);
  } else if (dv.getUint8(at) >> 4 === 6) {
    words.push(
      `SRC=${formatIpv6(u8, at + ipv6.SRC)}`,
      `DST=${formatIpv6(u8, at + ipv6.DST)}`,
      `LEN=${ipv6.payloadLength(dv, at) + 40}`,
    );
    words.push(
      `TC=${ipv6.trafficClass(dv, at)}`,
      `HOPLIMIT=${ipv6.hopLimit(dv, at)}`,
      `FLOWLBL=${ipv6.flowLabel(dv, at)}`,
    );
  }
  if (pkt.hasTransport && pkt.fragoff === 0) words.push(...transport(dv, pkt));
  if (slab.mark(p) !== 0) words.push(`MARK=0x${slab.mark(p).toString(16)}`);
  return words.join(' ');
}

function transport(dv: DataView, pkt: PktInfo): string[] {
  const at = pkt.thoff;
  const left = pkt.end - at;
  if (pkt.tprot === ipv4.IPPROTO_TCP && left >= 20) {
    const flags = TCP_FLAGS.filter(([bit]) => tcp.flags(dv, at) & bit).map(([, name]) => name);
    return [
      'PROTO=TCP',
      `SPT=${tcp.srcPort(dv, at)}`,
      `DPT=${tcp.dstPort(dv, at)}`,
      `WINDOW=${tcp.window(dv, at)}`,
      'RES=0x00',
      ...flags,
      `URGP=${tcp.urgent(dv, at)}`,
    ];
  }
  if (pkt.tprot === ipv4.IPPROTO_UDP && left >= 8) {
    return ['PROTO=UDP', `SPT=${dv.getUint16(at)}`, `DPT=${dv.getUint16(at + 2)}`, `LEN=${dv.getUint16(at + 4)}`];
  }
  if ((pkt.tprot === ipv4.IPPROTO_ICMP || pkt.tprot === ipv4.IPPROTO_ICMPV6) && left >= 8) {
    const name = pkt.tprot === ipv4.IPPROTO_ICMP ? 'ICMP' : 'ICMPv6';
    return [`PROTO=${name}`, `TYPE=${dv.getUint8(at)}`, `CODE=${dv.getUint8(at + 1)}`];
  }
  return [`PROTO=${pkt.tprot}`];
}
