/**
 * RTM_{NEW,DEL,GET}ADDR: addresses of devices. See rtnetlink(7).
 */
import { EACCES, EINVAL, ENODEV, KernelError } from '../../core/errno.ts';
import type { IfAddress } from '../../inet/address.ts';
import { addressSize } from '../../inet/route.ts';
import { bytesOf, isZero, sameWords, wordsOf } from '../../inet/words.ts';
import { AF_INET, AF_INET6, AF_UNSPEC } from '../../wire/address.ts';
import { type Attr, AttrWriter, attrMap, getString, getU8, getU32 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { emitIfAddr, IFADDRMSG_LENGTH, parseIfAddr } from '../../wire/netlink/rtnetlink.ts';
import * as u from '../../wire/uapi/rtnetlink.ts';
import type { RtnetlinkHost } from './host.ts';

const FOREVER = 0xffffffff;
const IFA_F_KEPT =
  u.IFA_F_NODAD | u.IFA_F_HOMEADDRESS | u.IFA_F_MANAGETEMPADDR | u.IFA_F_NOPREFIXROUTE | u.IFA_F_MCAUTOJOIN;

type Attrs = ReadonlyMap<number, Attr>;

/** The payload of RTM_NEWADDR for an address. */
export function addressPayload(host: RtnetlinkHost, a: IfAddress): Uint8Array {
  const size = addressSize(a.family);
  const w = new AttrWriter();
  w.raw(
    emitIfAddr({
      family: a.family,
      prefixLength: a.prefixLength,
      flags: a.flags & 255,
      scope: a.scope,
      index: a.ifindex,
    }),
  );
  const far = !sameWords(a.local, a.peer);
  if (a.family === AF_INET) {
    w.bytes(u.IFA_ADDRESS, bytesOf(a.peer, size)).bytes(u.IFA_LOCAL, bytesOf(a.local, size));
    if (a.broadcast !== undefined) w.bytes(u.IFA_BROADCAST, bytesOf(a.broadcast, size));
    if (a.label !== '') w.string(u.IFA_LABEL, a.label);
    if (a.protocol !== 0) w.u8(u.IFA_PROTO, a.protocol);
    w.u32(u.IFA_FLAGS, a.flags);
    if (a.metric !== 0) w.u32(u.IFA_RT_PRIORITY, a.metric);
    return w.bytes(u.IFA_CACHEINFO, cacheInfo(host, a)).finish();
  }
  if (far) w.bytes(u.IFA_LOCAL, bytesOf(a.local, size)).bytes(u.IFA_ADDRESS, bytesOf(a.peer, size));
  else w.bytes(u.IFA_ADDRESS, bytesOf(a.local, size));
  if (a.metric !== 0) w.u32(u.IFA_RT_PRIORITY, a.metric);
  w.bytes(u.IFA_CACHEINFO, cacheInfo(host, a)).u32(u.IFA_FLAGS, a.flags);
  if (a.protocol !== 0) w.u8(u.IFA_PROTO, a.protocol);
  return w.finish();
}

// What is left of the lifetimes, and when the address was made and changed (hundredths of a second since boot).
function cacheInfo(host: RtnetlinkHost, a: IfAddress): Uint8Array {
  const passed = Math.floor((host.world.now - a.updated) / 1e9);
  const left = (seconds: number): number => (seconds === FOREVER ? FOREVER : Math.max(0, seconds - passed));
  const out = new Uint8Array(16);
  const dv = new DataView(out.buffer);
  dv.setUint32(0, left(a.preferred), true);
  dv.setUint32(4, left(a.valid), true);
  dv.setUint32(8, Math.floor(a.created / 1e7), true);
  dv.setUint32(12, Math.floor(a.updated / 1e7), true);
  return out;
}

/** RTM_GETADDR: a dump; `index` in the header narrows it to one device (strict checking). */
export function getAddresses(host: RtnetlinkHost, m: Message): Uint8Array[] {
  const header = parseIfAddr(m.payload);
  const out: Uint8Array[] = [];
  for (const family of header.family === AF_UNSPEC ? [AF_INET, AF_INET6] : [header.family])
    for (const a of host.addresses.all(family))
      if (header.index === 0 || a.ifindex === header.index) out.push(addressPayload(host, a));
  return out;
}

type Parsed = {
  readonly family: number;
  readonly ifindex: number;
  readonly attrs: Attrs;
  readonly prefixLength: number;
};

function parse(host: RtnetlinkHost, m: Message): Parsed & { flags: number; scope: number } {
  const header = parseIfAddr(m.payload);
  const attrs = attrMap(m.payload, IFADDRMSG_LENGTH);
  if (header.family !== AF_INET && header.family !== AF_INET6) throw new KernelError(EINVAL);
  const device = host.links().find((link) => link.ifindex === header.index);
  const mod = header.family === AF_INET6 ? 'ipv6' : 'ipv4';
  if (device === undefined)
    throw new KernelError(ENODEV, `${mod}: ${mod === 'ipv4' ? 'Device not found' : 'Unable to find the interface'}`);
  const flags = attrs.get(u.IFA_FLAGS);
  return {
    family: header.family,
    ifindex: header.index,
    attrs,
    prefixLength: header.prefixLength,
    flags: flags === undefined ? header.flags : getU32(flags.payload),
    scope: header.scope,
  };
}

/** RTM_NEWADDR. */
export function newAddress(host: RtnetlinkHost, m: Message): void {
  const p = parse(host, m);
  const { attrs, family } = p;
  const local = attrs.get(u.IFA_LOCAL) ?? attrs.get(u.IFA_ADDRESS);
  const mod = family === AF_INET6 ? 'ipv6' : 'ipv4';
  if (family === AF_INET && attrs.get(u.IFA_LOCAL) === undefined)
    throw new KernelError(EINVAL, 'ipv4: Local address is not supplied');
  if (local === undefined) throw new KernelError(EINVAL);
  const size = addressSize(family);
  if (p.prefixLength > size * 8) throw new KernelError(EINVAL, `${mod}: Invalid prefix length`);
  if (family === AF_INET6 && host.conf(AF_INET6, p.ifindex, 'disable_ipv6'))
    throw new KernelError(EACCES, 'ipv6: IPv6 is disabled on this device');
  let valid = FOREVER;
  let preferred = FOREVER;
  const info = attrs.get(u.IFA_CACHEINFO);
  if (info !== undefined) {
    preferred = getU32(info.payload);
    valid = getU32(info.payload.subarray(4));
    if (valid === 0 || preferred > valid) throw new KernelError(EINVAL, `${mod}: address lifetime invalid`);
  }
  const words = wordsOf(local.payload);
  if (family === AF_INET6 && (isZero(words) || words[0] >>> 24 === 0xff))
    throw new KernelError(EINVAL, 'ipv6: Invalid address');
  const far = attrs.get(u.IFA_ADDRESS);
  const broadcast = attrs.get(u.IFA_BROADCAST);
  const label = attrs.get(u.IFA_LABEL);
  const metric = attrs.get(u.IFA_RT_PRIORITY);
  const proto = attrs.get(u.IFA_PROTO);
  const peer = far === undefined ? words : wordsOf(far.payload);
  host.addresses.add(
    host.addresses.make({
      family,
      ifindex: p.ifindex,
      local: words,
      peer: sameWords(peer, words) ? words : peer,
      prefixLength: p.prefixLength,
      broadcast: broadcast === undefined ? undefined : wordsOf(broadcast.payload),
      ...(family === AF_INET ? { scope: p.scope } : {}),
      ...(label === undefined ? {} : { label: getString(label.payload) }),
      flags: p.flags & IFA_F_KEPT,
      metric: metric === undefined ? 0 : getU32(metric.payload),
      protocol: proto === undefined ? 0 : getU8(proto.payload),
      valid,
      preferred,
    }),
    m.flags,
  );
}

/** RTM_DELADDR. */
export function deleteAddress(host: RtnetlinkHost, m: Message): void {
  const p = parse(host, m);
  const local = p.attrs.get(u.IFA_LOCAL) ?? (p.family === AF_INET6 ? p.attrs.get(u.IFA_ADDRESS) : undefined);
  const far = p.attrs.get(u.IFA_ADDRESS);
  const label = p.attrs.get(u.IFA_LABEL);
  const words = local === undefined ? undefined : wordsOf(local.payload);
  const peer = far === undefined ? undefined : wordsOf(far.payload);
  host.addresses.delete(p.family, p.ifindex, (a) => {
    if (words !== undefined && !sameWords(a.local, words)) return false;
    if (label !== undefined && a.label !== getString(label.payload)) return false;
    if (p.family === AF_INET6) return a.prefixLength === p.prefixLength;
    return peer === undefined || (a.prefixLength === p.prefixLength && sameWords(peer, a.peer));
  });
}
