/**
 * Helpers that ask the host: fib_lookup, check_mtu, socket lookup and what hangs on sockets, SYN cookies. The host answers
 * through `machine.net` (../net.ts).
 */
import { EAFNOSUPPORT, EINVAL, ENODEV, ENOENT } from '../../../core/errno.ts';
import * as uapi from '../../../wire/uapi/bpf.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { SocketQuery } from '../net.ts';
import type { Run } from '../run.ts';

const BPF_MTU_CHK_SEGS = 1;
const FRAG_NEEDED = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const FIB_SIZE = 64;
const FIB_KNOWN = 0x3f;
/** Bytes of a tuple: IPv4 12, IPv6 36. */
const TUPLE4 = 12;
const TUPLE6 = 36;
/** sizeof(struct bpf_sock), sizeof(struct bpf_tcp_sock). */
const SOCK_SIZE = 80;
const TCP_SOCK_SIZE = 112;

const isXdp = (run: Run): boolean => run.progType === uapi.BPF_PROG_TYPE_XDP;

function checkMtu(run: Run, _ctx: number, ifindex: number, mtuAt: number, diff: number, flags: number): number {
  const at = mtuAt >>> 0;
  const length = run.dv.getUint32(at, true);
  if (run.hi(5) !== 0 || (flags & (isXdp(run) ? ~0 : ~BPF_MTU_CHK_SEGS)) !== 0) return -EINVAL;
  if ((flags & BPF_MTU_CHK_SEGS) !== 0 && (diff !== 0 || length !== 0)) return -EINVAL;
  const device = run.machine.net.device(ifindex === 0 ? run.ifindex || run.slab.iif(run.packet) : ifindex);
  if (device === undefined) return -ENODEV;
  const size = ((length === 0 ? run.slab.len(run.packet) : length + device.hardHeaderLen) + diff) | 0;
  run.dv.setUint32(at, device.mtu, true);
  return size <= device.mtu + device.hardHeaderLen || (!isXdp(run) && run.slab.gsoSize(run.packet) !== 0)
    ? 0
    : FRAG_NEEDED;
}

function fibLookup(run: Run, _ctx: number, params: number, size: number, flags: number): number {
  if (size < FIB_SIZE || (flags & ~FIB_KNOWN) !== 0) return -EINVAL;
  const family = run.dv.getUint8(params >>> 0);
  if (family !== AF_INET && family !== AF_INET6) return -EAFNOSUPPORT;
  return run.machine.net.fibLookup(run, params >>> 0, flags);
}

/** Tells the checking mode about a socket handed out. */
function socket(run: Run, at: number): number {
  if (at !== 0) run.grant(at, SOCK_SIZE);
  return at;
}

function lookup(protocol: SocketQuery['protocol'], anyState: boolean): HelperImpl['call'] {
  return (run, _ctx, tuple, size, netns, flags) => {
    const family = size === TUPLE4 ? 2 : size === TUPLE6 ? 10 : 0;
    if (family === 0 || flags !== 0 || run.hi(5) !== 0) return 0;
    if (netns !== -1 && (run.hi(4) !== 0 || netns < 0)) return 0;
    return socket(run, run.machine.net.lookupSocket(run, { protocol, family, tuple: tuple >>> 0, netns, anyState }));
  };
}

function tcpSock(run: Run, sk: number): number {
  const at = run.machine.net.tcpSocket(sk >>> 0);
  if (at !== 0) run.grant(at, TCP_SOCK_SIZE, false);
  return at;
}

const pair = (run: Run, [low, high]: readonly [number, number]): number => {
  run.setRetHi(high);
  return low;
};

/** sk_assign of a packet program takes the packet; of sk_lookup the lookup's context. */
function skAssign(run: Run, _ctx: number, sk: number, flags: number): number {
  if (run.hi(3) !== 0) return -EINVAL;
  return run.machine.net.assignSocket(run, sk >>> 0, flags);
}

function getsockopt(run: Run, target: number, level: number, name: number, at: number, length: number): number {
  return run.machine.net.getsockopt(run, target >>> 0, level, name, at >>> 0, length);
}

function setsockopt(run: Run, target: number, level: number, name: number, at: number, length: number): number {
  return run.machine.net.setsockopt(run, target >>> 0, level, name, at >>> 0, length);
}

/** Casts of a socket to one protocol's: only full TCP sockets have more to show. */
const cast: HelperImpl = { call: (run, sk) => socket(run, run.machine.net.fullSocket(sk >>> 0)), ret: 'u32' };

const none: HelperImpl = { call: () => 0, ret: 'u32' };

export const netHelpers: HelperTable = new Map<number, HelperImpl>([
  [69, { call: fibLookup, ret: 'int' }],
  [163, { call: checkMtu, ret: 'int', wide: wide(5) }],
  [84, { call: lookup('tcp', false), ret: 'u32', wide: wide(4, 5) }],
  [85, { call: lookup('udp', false), ret: 'u32', wide: wide(4, 5) }],
  [99, { call: lookup('tcp', true), ret: 'u32', wide: wide(4, 5) }],
  [
    86,
    {
      call: (run, sk) => {
        run.machine.net.releaseSocket(sk >>> 0);
        return 0;
      },
      ret: 'int',
    },
  ],
  [95, cast],
  [96, { call: tcpSock, ret: 'u32' }],
  [98, { call: (run, sk) => socket(run, run.machine.net.listenerOf(sk >>> 0)), ret: 'u32' }],
  // Time-wait, request, unix and mptcp sockets: there are none.
  [138, none],
  [139, none],
  [178, none],
  [196, none],
  [136, cast],
  [137, cast],
  [140, cast],
  [124, { call: skAssign, ret: 'int', wide: wide(3) }],
  [46, { call: (run, at) => pair(run, run.machine.net.socketCookie(run, at >>> 0)), ret: 'u64' }],
  [122, { call: (run) => pair(run, run.machine.net.netnsCookie(run)), ret: 'u64' }],
  [47, { call: (run) => run.machine.net.socketUid(run.packet), ret: 'u32' }],
  [57, { call: getsockopt, ret: 'int' }],
  [49, { call: setsockopt, ret: 'int' }],
  [
    100,
    {
      call: (run, sk, ip, ipLen, tcp, tcpLen) =>
        run.machine.net.checkSyncookie(run, sk >>> 0, ip >>> 0, ipLen, tcp >>> 0, tcpLen),
      ret: 'int',
    },
  ],
  [
    110,
    {
      call: (run, sk, ip, ipLen, tcp, tcpLen) =>
        pair(run, run.machine.net.genSyncookie(run, sk >>> 0, ip >>> 0, ipLen, tcp >>> 0, tcpLen)),
      ret: 'u64',
    },
  ],
  [107, { call: storageGet, ret: 'u32', wide: wide(4) }],
  [108, { call: storageDelete, ret: 'int' }],
]);

/** sk_storage_get: the socket's value in this map; flag 1 makes one. The owner's number is the socket's address. */
function storageGet(run: Run, mapAt: number, sk: number, initial: number, flags: number): number {
  const map = run.machine.mapAt(mapAt >>> 0);
  if (sk === 0 || (flags & ~1) !== 0 || run.hi(4) !== 0) return 0;
  const at = map.storage?.get(sk >>> 0, flags === 1, initial >>> 0) ?? 0;
  if (at !== 0) run.grant(at, map.valueSize);
  return at;
}

function storageDelete(run: Run, mapAt: number, sk: number): number {
  if (sk === 0) return -EINVAL;
  return run.machine.mapAt(mapAt >>> 0).storage?.delete(sk >>> 0) ?? -ENOENT;
}
