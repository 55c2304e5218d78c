/**
 * RTM_GETROUTE for a destination: what the host would do with a packet, as `ip route get` asks.
 */
import { EHOSTUNREACH, EINVAL, ENETUNREACH, ENODEV, KernelError } from '../../core/errno.ts';
import { addressSize, type FibResult, type Flow, makeNexthop, newFibResult, newFlow } from '../../inet/route.ts';
import { resultSource4, selectSource4, selectSource6 } from '../../inet/source.ts';
import { bytesOf, isZero, wordsOf } from '../../inet/words.ts';
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getBeU16, getU8, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitRt, parseRt, RTMSG_LENGTH, type Rt } from '../../wire/netlink/rtnetlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { RtnetlinkHost } from './host.ts';
import { cacheInfo, fibOf, putGateway, putMetrics, routePayload } from './route.ts';

type Attrs = ReadonlyMap<number, Attr>;
const LOOPBACK = 1;
// What a looked-up route says of itself (RTCF_*, linux/in_route.h).
const RTCF_LOCAL = 0x80000000;
const RTCF_BROADCAST = 0x10000000;
const RTCF_MULTICAST = 0x20000000;

type Question = {
  readonly header: Rt;
  readonly flow: Flow;
  readonly iif: number;
  readonly src: Uint32Array | undefined;
};

function read(m: Message): Question {
  const header = parseRt(m.payload);
  const attrs: Attrs = attrMap(m.payload, RTMSG_LENGTH);
  const num = (type: number): number => {
    const attr = attrs.get(type);
    return attr === undefined ? 0 : getU32(attr.payload);
  };
  const flow = newFlow();
  const dst = attrs.get(u.RTA_DST);
  const src = attrs.get(u.RTA_SRC);
  if (dst !== undefined) flow.dst.set(wordsOf(dst.payload));
  if (src !== undefined) flow.src.set(wordsOf(src.payload));
  flow.oif = num(u.RTA_OIF);
  flow.mark = num(u.RTA_MARK);
  flow.uid = num(u.RTA_UID);
  flow.tos = header.tos;
  const proto = attrs.get(u.RTA_IP_PROTO);
  if (proto !== undefined) flow.protocol = getU8(proto.payload);
  const sport = attrs.get(u.RTA_SPORT);
  if (sport !== undefined) flow.sport = getBeU16(sport.payload);
  const dport = attrs.get(u.RTA_DPORT);
  if (dport !== undefined) flow.dport = getBeU16(dport.payload);
  const iif = num(u.RTA_IIF);
  flow.iif = iif === 0 ? LOOPBACK : iif;
  return { header, flow, iif, src: src === undefined || isZero(flow.src) ? undefined : flow.src };
}

/** Answers RTM_GETROUTE without NLM_F_DUMP. */
export function getRoute(host: RtnetlinkHost, m: Message): Uint8Array {
  const question = read(m);
  const { header, flow } = question;
  const fib = fibOf(host, header.family);
  const exists = (index: number): boolean => host.links().some((link) => link.ifindex === index);
  if ((question.iif !== 0 && !exists(question.iif)) || (flow.oif !== 0 && !exists(flow.oif)))
    throw new KernelError(ENODEV);
  const result = newFibResult();
  if (header.family === AF_INET && question.iif === LOOPBACK) throw new KernelError(EINVAL);
  const limited = header.family === AF_INET && flow.dst[0] === 0xffffffff;
  if (question.iif === 0 && question.src !== undefined && !host.addresses.isLocal(header.family, question.src))
    throw new KernelError(header.family === AF_INET ? ENETUNREACH : EINVAL);
  // Only the routing decides; the limited broadcast needs an interface.
  const errno = limited && flow.oif === 0 ? ENETUNREACH : fib.lookup(flow, result);
  if (errno !== 0 && header.family === AF_INET && flow.oif !== 0 && question.iif === 0) {
    // A device was named: whatever the tables say, the destination is taken to be on its link.
    result.nexthop = makeNexthop({ oif: flow.oif });
    result.type = u.RTN_UNICAST;
    result.table = u.RT_TABLE_MAIN;
    return answer4(host, question, result);
  }
  if (errno !== 0 || result.route === undefined) throw new KernelError(errno || ENETUNREACH);
  if (question.iif !== 0 && result.type === u.RTN_UNICAST && !host.conf(header.family, question.iif, 'forwarding'))
    throw new KernelError(header.family === AF_INET ? EHOSTUNREACH : ENETUNREACH);
  if (header.flags & u.RTM_F_FIB_MATCH) return routePayload(host, result.route);
  return header.family === AF_INET6 ? answer6(host, question, result) : answer4(host, question, result);
}

function answer4(host: RtnetlinkHost, { header, flow, iif, src }: Question, result: FibResult): Uint8Array {
  const { type } = result;
  const hop = result.nexthop;
  const multicast = flow.dst[0] >>> 28 === 14;
  let flags = 0;
  if (type === u.RTN_LOCAL) flags = RTCF_LOCAL;
  if (type === u.RTN_BROADCAST) flags = RTCF_LOCAL | RTCF_BROADCAST;
  if (multicast) flags = RTCF_LOCAL | RTCF_MULTICAST;
  const w = new AttrWriter();
  const merged = result.table === u.RT_TABLE_LOCAL && !host.fib4.unmerged;
  const table = header.flags & u.RTM_F_LOOKUP_TABLE && !merged ? result.table : u.RT_TABLE_MAIN;
  w.raw(
    emitRt({
      family: AF_INET,
      dstLength: 32,
      srcLength: src === undefined ? 0 : 32,
      tos: header.tos,
      table: table < 256 ? table : u.RT_TABLE_COMPAT,
      type: multicast ? u.RTN_MULTICAST : type,
      flags: u.RTM_F_CLONED | flags,
    }),
  );
  w.u32(u.RTA_TABLE, table).bytes(u.RTA_DST, bytesOf(flow.dst, 4));
  if (src !== undefined) w.bytes(u.RTA_SRC, bytesOf(src, 4));
  const local = type === u.RTN_LOCAL;
  if (hop !== undefined && !(local && iif !== 0)) w.u32(u.RTA_OIF, local ? LOOPBACK : hop.oif);
  else if (local) w.u32(u.RTA_OIF, LOOPBACK);
  if (src === undefined && iif === 0) {
    const source = local
      ? flow.dst
      : result.route === undefined
        ? selectSource4(host.addresses, flow.oif, new Uint32Array(4), u.RT_SCOPE_LINK)
        : resultSource4(host.addresses, result);
    if (!isZero(source)) w.bytes(u.RTA_PREFSRC, bytesOf(source, 4));
  }
  if (hop !== undefined && !local) putGateway(w, AF_INET, hop);
  if (result.route !== undefined) putMetrics(w, result.route.metrics);
  if (flow.mark !== 0) w.u32(u.RTA_MARK, flow.mark);
  if (iif === 0) w.u32(u.RTA_UID, flow.uid);
  else w.u32(u.RTA_IIF, iif);
  return w.bytes(u.RTA_CACHEINFO, cacheInfo(1, 0)).finish();
}

function answer6(host: RtnetlinkHost, { flow, iif, src }: Question, result: FibResult): Uint8Array {
  const { route, nexthop: hop, type } = result;
  if (route === undefined) throw new KernelError(ENETUNREACH);
  const w = new AttrWriter();
  w.raw(
    emitRt({
      family: AF_INET6,
      dstLength: 128,
      srcLength: 128,
      table: result.table < 256 ? result.table : u.RT_TABLE_COMPAT,
      protocol: route.protocol,
      scope: u.RT_SCOPE_UNIVERSE,
      type,
    }),
  );
  const size = addressSize(AF_INET6);
  w.u32(u.RTA_TABLE, result.table).bytes(u.RTA_DST, bytesOf(flow.dst, size));
  w.bytes(u.RTA_SRC, bytesOf(src ?? new Uint32Array(4), size));
  const local = type === u.RTN_LOCAL;
  if (iif !== 0) w.u32(u.RTA_IIF, iif);
  else {
    const source = route.prefsrc ?? selectSource6(host.addresses, hop?.oif ?? 0, flow.dst);
    if (source !== undefined) w.bytes(u.RTA_PREFSRC, bytesOf(source, size));
  }
  putMetrics(w, route.metrics);
  w.u32(u.RTA_PRIORITY, route.priority);
  if (hop !== undefined) {
    putGateway(w, AF_INET6, hop);
    w.u32(u.RTA_OIF, local ? LOOPBACK : hop.oif);
  }
  return w.bytes(u.RTA_CACHEINFO, cacheInfo(1, 0)).u8(u.RTA_PREF, route.pref).finish();
}
