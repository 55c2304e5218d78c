/**
 * Options every socket has: SOL_SOCKET (socket(7)). Those of IP and IPv6 are in `options-ip.ts`.
 */
import { EINVAL, ENODEV, ENOENT, ENOTSUPP, EPERM } from '../../core/errno.ts';
import * as u from '../../wire/uapi/socket.ts';
import { flag, number, type OptionContext, type Row } from './option.ts';
import { IP_OPTIONS } from './options-ip.ts';
import type { Sock } from './sock.ts';

const SOL = u.SOL_SOCKET;
const IFNAMSIZ = 16;
const INT_MAX = 0x7fff_ffff;
const MIN_RCVBUF = 2304;
const MIN_SNDBUF = 4608;
/** net.core.rmem_max, wmem_max. */
const BUF_MAX: number = 4 << 20;

const read = (name: number, label: string, get: (sk: Sock) => number): Row => ({
  level: SOL,
  name,
  label,
  codec: 'int',
  get: ({ sk }) => get(sk),
});

/** A value twice as large as asked for: the kernel counts its own structures too. */
function buffer(name: number, label: string, field: 'rcvbuf' | 'sndbuf', force: boolean): Row {
  return {
    level: SOL,
    name,
    label,
    codec: 'int',
    get: force ? undefined : ({ sk }) => sk[field],
    set: ({ sk }, value) => {
      if (force && !sk.owner.privileged) return EPERM;
      const wanted = Math.min(force ? Math.max(0, value) : Math.min(value >>> 0, BUF_MAX), INT_MAX / 2);
      sk[field] = Math.max(Math.floor(wanted) * 2, field === 'rcvbuf' ? MIN_RCVBUF : MIN_SNDBUF);
      return 0;
    },
  };
}

/** One of the two ways to say that received messages carry their time. */
function timestamp(name: number, label: string, kind: 'us' | 'ns'): Row {
  return {
    level: SOL,
    name,
    label,
    codec: 'int',
    get: ({ sk }) => (sk.timestamp === kind ? 1 : 0),
    set: ({ sk }, value) => {
      if (value !== 0) sk.timestamp = kind;
      else if (sk.timestamp === kind) sk.timestamp = 'none';
      return 0;
    },
  };
}

function bindDevice({ sk }: OptionContext, ifindex: number): number {
  if (sk.boundDevIf !== 0 && !sk.owner.privileged) return EPERM;
  if (ifindex < 0) return EINVAL;
  sk.boundDevIf = ifindex;
  return 0;
}

const deviceByName: Row = {
  level: SOL,
  name: u.SO_BINDTODEVICE,
  label: 'SO_BINDTODEVICE',
  codec: 'bytes',
  get: ({ sockets, sk }) => {
    const name = sk.boundDevIf === 0 ? '' : (sockets.host.devices.get(sk.boundDevIf)?.name ?? '');
    return name === '' ? new Uint8Array(0) : new TextEncoder().encode(`${name}\0`);
  },
  set: (c, _value, bytes) => {
    const end = bytes.indexOf(0);
    const name = new TextDecoder().decode(bytes.subarray(0, Math.min(IFNAMSIZ - 1, end < 0 ? bytes.length : end)));
    if (name === '') return bindDevice(c, 0);
    const dev = c.sockets.host.devices.byName(name);
    return dev === undefined ? ENODEV : bindDevice(c, dev.ifindex);
  },
};

/** One that hands a program to the engine. */
function attach(
  name: number,
  label: string,
  codec: 'int' | 'bytes',
  how: (c: OptionContext, value: number, bytes: Uint8Array) => number | undefined,
): Row {
  const isFilter = name === u.SO_ATTACH_FILTER || name === u.SO_ATTACH_BPF;
  return {
    level: SOL,
    name,
    label,
    codec,
    set: (c, value, bytes) => {
      if (isFilter && c.sk.filterLocked) return EPERM;
      return how(c, value, bytes) ?? ENOTSUPP;
    },
  };
}

const SOCKET_OPTIONS: readonly Row[] = [
  flag(SOL, u.SO_REUSEADDR, 'SO_REUSEADDR', 'reuse'),
  flag(SOL, u.SO_REUSEPORT, 'SO_REUSEPORT', 'reuseport'),
  read(u.SO_TYPE, 'SO_TYPE', (sk) => sk.type),
  read(u.SO_PROTOCOL, 'SO_PROTOCOL', (sk) => sk.protocol),
  read(u.SO_DOMAIN, 'SO_DOMAIN', (sk) => sk.family),
  read(u.SO_ACCEPTCONN, 'SO_ACCEPTCONN', (sk) => (sk.state === u.TCP_LISTEN ? 1 : 0)),
  read(u.SO_ERROR, 'SO_ERROR', (sk) => -sk.takeError()),
  flag(SOL, u.SO_DONTROUTE, 'SO_DONTROUTE', 'dontroute'),
  flag(SOL, u.SO_BROADCAST, 'SO_BROADCAST', 'broadcast'),
  buffer(u.SO_SNDBUF, 'SO_SNDBUF', 'sndbuf', false),
  buffer(u.SO_RCVBUF, 'SO_RCVBUF', 'rcvbuf', false),
  buffer(u.SO_SNDBUFFORCE, 'SO_SNDBUFFORCE', 'sndbuf', true),
  buffer(u.SO_RCVBUFFORCE, 'SO_RCVBUFFORCE', 'rcvbuf', true),
  flag(SOL, u.SO_NO_CHECK, 'SO_NO_CHECK', 'noCheckTx'),
  {
    level: SOL,
    name: u.SO_PRIORITY,
    label: 'SO_PRIORITY',
    codec: 'int',
    get: ({ sk }) => sk.priority,
    set: ({ sk }, value) => {
      // Above 6 only with CAP_NET_ADMIN.
      if ((value < 0 || value > 6) && !sk.owner.privileged) return EPERM;
      sk.priority = value;
      return 0;
    },
  },
  {
    level: SOL,
    name: u.SO_MARK,
    label: 'SO_MARK',
    codec: 'int',
    get: ({ sk }) => sk.mark,
    set: ({ sk }, value) => {
      if (!sk.owner.privileged) return EPERM;
      sk.mark = value >>> 0;
      return 0;
    },
  },
  timestamp(u.SO_TIMESTAMP, 'SO_TIMESTAMP', 'us'),
  timestamp(u.SO_TIMESTAMPNS, 'SO_TIMESTAMPNS', 'ns'),
  flag(SOL, u.SO_RXQ_OVFL, 'SO_RXQ_OVFL', 'rxqOverflow'),
  flag(SOL, u.SO_RCVMARK, 'SO_RCVMARK', 'recvMark'),
  number(SOL, u.SO_INCOMING_CPU, 'SO_INCOMING_CPU', 'incomingCpu', [-INT_MAX, INT_MAX]),
  deviceByName,
  {
    level: SOL,
    name: u.SO_BINDTOIFINDEX,
    label: 'SO_BINDTOIFINDEX',
    codec: 'int',
    get: ({ sk }) => sk.boundDevIf,
    set: (c, value) => bindDevice(c, value),
  },
  {
    level: SOL,
    name: u.SO_COOKIE,
    label: 'SO_COOKIE',
    codec: 'bytes',
    get: ({ sk }) => new Uint8Array(BigUint64Array.of(BigInt(sk.id)).buffer),
  },
  {
    level: SOL,
    name: u.SO_MEMINFO,
    label: 'SO_MEMINFO',
    codec: 'bytes',
    get: ({ sk }) =>
      new Uint8Array(Uint32Array.of(sk.receiveQueue.rmem, sk.rcvbuf, 0, sk.sndbuf, 0, 0, 0, 0, sk.drops).buffer),
  },
  attach(u.SO_ATTACH_FILTER, 'SO_ATTACH_FILTER', 'bytes', ({ sockets, sk }, _v, bytes) =>
    sockets.filters?.classic(sk, bytes),
  ),
  attach(u.SO_ATTACH_BPF, 'SO_ATTACH_BPF', 'int', ({ sockets, sk }, id) => sockets.filters?.program(sk, id)),
  attach(u.SO_ATTACH_REUSEPORT_CBPF, 'SO_ATTACH_REUSEPORT_CBPF', 'bytes', ({ sockets, sk }, _v, bytes) =>
    sockets.filters?.reuseportClassic(sk, bytes),
  ),
  attach(u.SO_ATTACH_REUSEPORT_EBPF, 'SO_ATTACH_REUSEPORT_EBPF', 'int', ({ sockets, sk }, id) =>
    sockets.filters?.reuseportProgram(sk, id),
  ),
  {
    level: SOL,
    name: u.SO_DETACH_FILTER,
    label: 'SO_DETACH_FILTER',
    codec: 'int',
    set: ({ sk }) => {
      if (sk.filterLocked) return EPERM;
      if (sk.filter === undefined) return ENOENT;
      sk.filter.release();
      sk.filter = undefined;
      return 0;
    },
  },
  {
    level: SOL,
    name: u.SO_DETACH_REUSEPORT_BPF,
    label: 'SO_DETACH_REUSEPORT_BPF',
    codec: 'int',
    set: ({ sk }) => {
      if (sk.group === undefined) return sk.reuseport ? ENOENT : EINVAL;
      if (sk.group.selector === undefined) return ENOENT;
      sk.group.setSelector(undefined);
      return 0;
    },
  },
  {
    level: SOL,
    name: u.SO_LOCK_FILTER,
    label: 'SO_LOCK_FILTER',
    codec: 'int',
    get: ({ sk }) => (sk.filterLocked ? 1 : 0),
    set: ({ sk }, value) => {
      if (sk.filterLocked && value === 0) return EPERM;
      sk.filterLocked = value !== 0;
      return 0;
    },
  },
];

/** Rows of SOL_SOCKET, IPPROTO_IP and IPPROTO_IPV6. */
export const COMMON_OPTIONS: readonly Row[] = [...SOCKET_OPTIONS, ...IP_OPTIONS];
