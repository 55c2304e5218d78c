/**
 * Options of IPPROTO_IP and IPPROTO_IPV6 (ip(7), ipv6(7)).
 */
import { EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENODEV, ENOTCONN, EPERM } from '../../core/errno.ts';
import { AF_INET, AF_INET6 } from '../../wire/address.ts';
import * as u from '../../wire/uapi/socket.ts';
import * as a from './address.ts';
import { flag, number, type OptionContext, type Row } from './option.ts';
import type { Sock } from './sock.ts';

const IP = u.SOL_IP;
const IP6 = u.SOL_IPV6;
const IPV6_MIN_MTU = 1280;
/** Default TTL and hop limit when neither a socket nor a sysctl says otherwise. */
const HOPS = 64;

const word = (bytes: Uint8Array, at: number): number =>
  bytes.length >= at + 4 ? new DataView(bytes.buffer, bytes.byteOffset).getInt32(at, true) : 0;
const address4 = (bytes: Uint8Array, at: number): Uint32Array => a.fromBytes(bytes.subarray(at, at + 4));

const same = (x: Uint32Array, y: Uint32Array): boolean => x.every((w, i) => w === y[i]);

/** Numbers of which -1 stands for the host's default. */
function orDefault(
  level: number,
  name: number,
  label: string,
  field: 'ttl' | 'hops' | 'tclass',
  bounds: readonly [number, number],
  fallback: (c: OptionContext) => number,
  codec: 'int' | 'loose',
): Row {
  return {
    level,
    name,
    label,
    codec,
    get: (c) => (c.sk[field] < 0 ? fallback(c) : c.sk[field]),
    set: ({ sk }, value) => {
      if (value !== -1 && (value < bounds[0] || value > bounds[1])) return EINVAL;
      sk[field] = value;
      return 0;
    },
  };
}

/** A switch that wants CAP_NET_ADMIN (or NET_RAW). */
function guarded(level: number, name: number, label: string, field: 'transparent'): Row {
  return {
    level,
    name,
    label,
    codec: level === IP ? 'loose' : 'int',
    get: ({ sk }) => (sk[field] ? 1 : 0),
    set: ({ sk }, value) => {
      if (value !== 0 && !sk.owner.privileged) return EPERM;
      sk[field] = value !== 0;
      return 0;
    },
  };
}

/** The device of `struct ip_mreqn` or `ip_mreq`: by number, else the one with the address, else where a route leads. */
function deviceOf({ sockets }: OptionContext, bytes: Uint8Array): number {
  const { host } = sockets;
  if (bytes.length >= 12 && word(bytes, 8) !== 0) return host.devices.get(word(bytes, 8))?.ifindex ?? 0;
  const local = address4(bytes, 4);
  const all = host.addresses.all(AF_INET);
  if (!a.isAny(local)) return all.find((x) => x.local[0] === local[3])?.ifindex ?? 0;
  return all.find((x) => x.local[0] >>> 24 !== 127)?.ifindex ?? host.lo.ifindex;
}

function join(sk: Sock, group: Uint32Array, ifindex: number): number {
  if (!a.isMulticast(group)) return EINVAL;
  if (ifindex === 0) return ENODEV;
  if (sk.memberships.some((m) => m.ifindex === ifindex && same(m.group, group))) return EADDRINUSE;
  sk.memberships.push({ group, ifindex });
  return 0;
}

function leave(sk: Sock, group: Uint32Array, ifindex: number): number {
  const at = sk.memberships.findIndex((m) => (ifindex === 0 || m.ifindex === ifindex) && same(m.group, group));
  if (at < 0) return EADDRNOTAVAIL;
  sk.memberships.splice(at, 1);
  return 0;
}

const membership4 = (name: number, label: string, joining: boolean): Row => ({
  level: IP,
  name,
  label,
  codec: 'bytes',
  min: 8,
  set: (c, _value, bytes) => {
    const group = address4(bytes, 0);
    return joining
      ? join(c.sk, group, deviceOf(c, bytes))
      : leave(c.sk, group, bytes.length >= 12 ? word(bytes, 8) : 0);
  },
});

const membership6 = (name: number, label: string, joining: boolean): Row => ({
  level: IP6,
  name,
  label,
  codec: 'bytes',
  min: 20,
  families: [AF_INET6],
  set: ({ sockets, sk }, _value, bytes) => {
    const group = a.fromBytes(bytes.subarray(0, 16));
    const wanted = word(bytes, 16);
    if (!joining) return leave(sk, group, wanted);
    const { host } = sockets;
    const first = [...host.devices].find((d) => d.up && d !== host.lo);
    const ifindex = wanted === 0 ? (first?.ifindex ?? 0) : (host.devices.get(wanted)?.ifindex ?? 0);
    return join(sk, group, ifindex);
  },
});

const discover = (level: number, name: number, label: string, field: 'pmtudisc' | 'pmtudisc6'): Row =>
  number(level, name, label, field, [u.IP_PMTUDISC_DONT, u.IP_PMTUDISC_OMIT], level === IP ? 'loose' : 'int');

/** Path MTU of a connected socket. */
const mtu = ({ sockets, sk }: OptionContext): number => sockets.pathMtu?.(sk) ?? 0;

/** Only connected sockets have one. */
const connected = ({ sk }: OptionContext): number => (sk.state === u.TCP_ESTABLISHED ? 0 : ENOTCONN);
const MTU4: Row = { level: IP, name: u.IP_MTU, label: 'IP_MTU', codec: 'int', get: mtu, readable: connected };

const IP4_ROWS: readonly Row[] = [
  {
    level: IP,
    name: u.IP_TOS,
    label: 'IP_TOS',
    codec: 'loose',
    get: ({ sk }) => sk.tos,
    set: ({ sk }, value) => {
      sk.tos = value & 0xff;
      return 0;
    },
  },
  orDefault(IP, u.IP_TTL, 'IP_TTL', 'ttl', [1, 255], (c) => c.sockets.host.sysctls.ip4.ip_default_ttl, 'loose'),
  flag(IP, u.IP_PKTINFO, 'IP_PKTINFO', 'pktinfo', 'loose'),
  flag(IP, u.IP_RECVTTL, 'IP_RECVTTL', 'recvTtl', 'loose'),
  flag(IP, u.IP_RECVTOS, 'IP_RECVTOS', 'recvTos', 'loose'),
  flag(IP, u.IP_RECVERR, 'IP_RECVERR', 'recverr', 'loose'),
  flag(IP, u.IP_RECVORIGDSTADDR, 'IP_RECVORIGDSTADDR', 'recvOrigDst', 'loose'),
  flag(IP, u.IP_FREEBIND, 'IP_FREEBIND', 'freebind', 'loose'),
  guarded(IP, u.IP_TRANSPARENT, 'IP_TRANSPARENT', 'transparent'),
  flag(IP, u.IP_BIND_ADDRESS_NO_PORT, 'IP_BIND_ADDRESS_NO_PORT', 'bindAddressNoPort', 'loose'),
  flag(IP, u.IP_MULTICAST_ALL, 'IP_MULTICAST_ALL', 'multicastAll', 'loose'),
  flag(IP, u.IP_MULTICAST_LOOP, 'IP_MULTICAST_LOOP', 'multicastLoop', 'loose'),
  discover(IP, u.IP_MTU_DISCOVER, 'IP_MTU_DISCOVER', 'pmtudisc'),
  {
    level: IP,
    name: u.IP_MULTICAST_TTL,
    label: 'IP_MULTICAST_TTL',
    codec: 'loose',
    get: ({ sk }) => sk.multicastTtl,
    set: ({ sk }, value) => {
      if (value < -1 || value > 255) return EINVAL;
      sk.multicastTtl = value === -1 ? 1 : value;
      return 0;
    },
  },
  {
    level: IP,
    name: u.IP_MULTICAST_IF,
    label: 'IP_MULTICAST_IF',
    codec: 'bytes',
    min: 4,
    get: ({ sk }) => a.toBytes(sk.multicastAddr, AF_INET),
    set: (c, _value, bytes) => {
      const full = new Uint8Array(12);
      if (bytes.length >= 8) full.set(bytes.subarray(0, 12));
      else full.set(bytes.subarray(0, 4), 4);
      const none = a.isAny(address4(full, 4)) && word(full, 8) === 0;
      const ifindex = none ? 0 : deviceOf(c, full);
      if (!none && ifindex === 0) return bytes.length >= 12 && word(full, 8) !== 0 ? ENODEV : EADDRNOTAVAIL;
      c.sk.multicastIf = ifindex;
      c.sk.multicastAddr.set(address4(full, 4));
      return 0;
    },
  },
  membership4(u.IP_ADD_MEMBERSHIP, 'IP_ADD_MEMBERSHIP', true),
  membership4(u.IP_DROP_MEMBERSHIP, 'IP_DROP_MEMBERSHIP', false),
  {
    level: IP,
    name: u.IP_UNICAST_IF,
    label: 'IP_UNICAST_IF',
    codec: 'bytes',
    min: 4,
    get: ({ sk }) => new Uint8Array(Uint32Array.of(sk.unicastIf).buffer).reverse(),
    set: ({ sockets, sk }, _value, bytes) => {
      const ifindex = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
      if (ifindex !== 0 && sockets.host.devices.get(ifindex) === undefined) return EADDRNOTAVAIL;
      sk.unicastIf = ifindex;
      return 0;
    },
  },
  {
    level: IP,
    name: u.IP_LOCAL_PORT_RANGE,
    label: 'IP_LOCAL_PORT_RANGE',
    codec: 'bytes',
    min: 4,
    get: ({ sk }) => ((sk.portRange[1] << 16) | sk.portRange[0]) >>> 0,
    set: ({ sk }, _value, bytes) => {
      const value = word(bytes, 0) >>> 0;
      const [low, high] = [value & 0xffff, value >>> 16];
      if (low !== 0 && high !== 0 && low > high) return EINVAL;
      sk.portRange = [low, high];
      return 0;
    },
  },
];

const IP6_ROWS: readonly Row[] = [
  {
    level: IP6,
    name: u.IPV6_V6ONLY,
    label: 'IPV6_V6ONLY',
    codec: 'int',
    get: ({ sk }) => (sk.ipv6only ? 1 : 0),
    set: ({ sk }, value) => {
      // Only before it is bound.
      if (sk.sport !== 0) return EINVAL;
      sk.ipv6only = value !== 0;
      return 0;
    },
  },
  orDefault(IP6, u.IPV6_UNICAST_HOPS, 'IPV6_UNICAST_HOPS', 'hops', [0, 255], () => HOPS, 'int'),
  orDefault(IP6, u.IPV6_TCLASS, 'IPV6_TCLASS', 'tclass', [0, 255], () => 0, 'int'),
  {
    level: IP6,
    name: u.IPV6_MULTICAST_HOPS,
    label: 'IPV6_MULTICAST_HOPS',
    codec: 'int',
    get: ({ sk }) => sk.multicastHops,
    set: ({ sk }, value) => {
      if (value < -1 || value > 255) return EINVAL;
      sk.multicastHops = value === -1 ? 1 : value;
      return 0;
    },
  },
  {
    level: IP6,
    name: u.IPV6_MULTICAST_LOOP,
    label: 'IPV6_MULTICAST_LOOP',
    codec: 'int',
    get: ({ sk }) => (sk.multicastLoop6 ? 1 : 0),
    set: ({ sk }, value) => {
      if (value !== 0 && value !== 1) return EINVAL;
      sk.multicastLoop6 = value === 1;
      return 0;
    },
  },
  {
    level: IP6,
    name: u.IPV6_MULTICAST_IF,
    label: 'IPV6_MULTICAST_IF',
    codec: 'int',
    get: ({ sk }) => sk.multicastIf6,
    set: ({ sockets, sk }, value) => {
      if (value !== 0 && sockets.host.devices.get(value) === undefined) return ENODEV;
      sk.multicastIf6 = value;
      return 0;
    },
  },
  membership6(u.IPV6_JOIN_GROUP, 'IPV6_JOIN_GROUP', true),
  membership6(u.IPV6_LEAVE_GROUP, 'IPV6_LEAVE_GROUP', false),
  discover(IP6, u.IPV6_MTU_DISCOVER, 'IPV6_MTU_DISCOVER', 'pmtudisc6'),
  {
    level: IP6,
    name: u.IPV6_MTU,
    label: 'IPV6_MTU',
    codec: 'int',
    get: mtu,
    readable: connected,
    set: ({ sk }, value) => {
      if (value !== 0 && value < IPV6_MIN_MTU) return EINVAL;
      sk.fragSize6 = value;
      return 0;
    },
  },
  flag(IP6, u.IPV6_RECVERR, 'IPV6_RECVERR', 'recverr6'),
  flag(IP6, u.IPV6_RECVPKTINFO, 'IPV6_RECVPKTINFO', 'recvPktinfo6'),
  flag(IP6, u.IPV6_RECVHOPLIMIT, 'IPV6_RECVHOPLIMIT', 'recvHops'),
  flag(IP6, u.IPV6_RECVTCLASS, 'IPV6_RECVTCLASS', 'recvTclass'),
  flag(IP6, u.IPV6_FREEBIND, 'IPV6_FREEBIND', 'freebind'),
  guarded(IP6, u.IPV6_TRANSPARENT, 'IPV6_TRANSPARENT', 'transparent'),
];

export const IP_OPTIONS: readonly Row[] = [
  ...IP4_ROWS.map((row): Row => ({ ...row, families: [AF_INET, AF_INET6] })),
  { ...MTU4, families: [AF_INET, AF_INET6] },
  ...IP6_ROWS.map((row): Row => ({ ...row, families: [AF_INET6] })),
];
