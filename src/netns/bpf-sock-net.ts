/** What helpers ask of the host's sockets (bpf/runtime/net.ts). */
import { isSkbContext, SKB } from '../bpf/runtime/ctx.ts';
import type { NetHooks, SocketQuery } from '../bpf/runtime/net.ts';
import type { Run } from '../bpf/runtime/run.ts';
import { EINVAL, ENETUNREACH, ENOENT, EOPNOTSUPP } from '../core/errno.ts';
import { PKT_SK_ASSIGNED } from '../core/slab.ts';
import * as a from '../transport/endpoint/address.ts';
import { newQuery } from '../transport/endpoint/demux.ts';
import type { Sock } from '../transport/endpoint/sock.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { BPF_PROG_TYPE_SK_LOOKUP } from '../wire/uapi/bpf.ts';
import * as s from '../wire/uapi/socket.ts';
import type { BpfSocks } from './bpf-sock.ts';
import type { SocketRun } from './bpf-sock-run.ts';
import type { Host } from './host.ts';

/** Options that programs may set and read (bpf_setsockopt). */
const PROGRAM_OPTIONS: ReadonlySet<number> = new Set(
  [
    [s.SOL_SOCKET, s.SO_REUSEADDR],
    [s.SOL_SOCKET, s.SO_SNDBUF],
    [s.SOL_SOCKET, s.SO_RCVBUF],
    [s.SOL_SOCKET, s.SO_PRIORITY],
    [s.SOL_SOCKET, s.SO_MARK],
    [s.SOL_SOCKET, s.SO_BINDTODEVICE],
    [s.SOL_SOCKET, s.SO_BINDTOIFINDEX],
    [s.SOL_IP, s.IP_TOS],
    [s.SOL_IPV6, s.IPV6_TCLASS],
  ].map(([level, name]) => level * 0x10000 + name),
);
const NO_OWNER = 65_534;

type SocketHooks = Pick<
  NetHooks,
  | 'lookupSocket'
  | 'fullSocket'
  | 'assignSocket'
  | 'selectReuseport'
  | 'bindSocket'
  | 'socketOf'
  | 'socketCookie'
  | 'socketUid'
  | 'getsockopt'
  | 'setsockopt'
>;

const socketRun = (run: Run): SocketRun | undefined => {
  const { attached } = run;
  const isRun = typeof attached === 'object' && attached !== null && 'kind' in attached && attached.kind === 'socket';
  return isRun ? (attached as SocketRun) : undefined;
};

export function hostSocketHooks(host: Host, socks: () => BpfSocks): SocketHooks {
  const { sockets, world } = host;
  const { slab } = world;
  const query = newQuery();

  const lookupSocket = (run: Run, q: SocketQuery): number => {
    // Only UDP's are there to be found.
    if (q.protocol !== 'udp' || q.netns > 0) return 0;
    const size = q.family === AF_INET ? 4 : 16;
    query.family = q.family;
    a.load(query.remote, run.dv, q.tuple, q.family);
    a.load(query.local, run.dv, q.tuple + size, q.family);
    query.rport = run.dv.getUint16(q.tuple + size * 2);
    query.lport = run.dv.getUint16(q.tuple + size * 2 + 2);
    query.ifindex = run.packet < 0 ? 0 : slab.iif(run.packet);
    query.p = -1;
    const found = sockets.demux.lookup(host.udp.proto, query);
    return found === undefined || found === 'drop' ? 0 : socks().address(found);
  };

  /** The socket a helper means: that of a context, or the one at an address. */
  const socketAt = (run: Run, address: number): Sock | undefined => {
    if (address !== run.ctx) return socks().at(address);
    const at = socketRun(run);
    if (at?.sk !== undefined) return at.sk;
    if (run.packet < 0) return undefined;
    const shown = isSkbContext(run.progType) ? socks().at(run.dv.getUint32(run.ctx + SKB.sk, true)) : undefined;
    return shown ?? sockets.byId(slab.sk(run.packet));
  };

  const assignToPacket = (run: Run, sk: Sock | undefined, flags: number): number => {
    if (sk === undefined || flags !== 0) return -EINVAL;
    if (run.egress) return -EOPNOTSUPP;
    if (sockets.byId(sk.id) !== sk) return -ENETUNREACH;
    slab.setSk(run.packet, sk.id, sk.owner.uid, sk.owner.gid);
    slab.setFlags(run.packet, slab.flags(run.packet) | PKT_SK_ASSIGNED);
    return 0;
  };

  const option = (run: Run, address: number, level: number, name: number): Sock | undefined =>
    PROGRAM_OPTIONS.has(level * 0x10000 + name) ? socketAt(run, address) : undefined;

  return {
    lookupSocket,
    fullSocket: (sk) => (socks().at(sk) === undefined ? 0 : sk),
    assignSocket(run, address, flags) {
      const sk = address === 0 ? undefined : socks().at(address);
      if (run.progType !== BPF_PROG_TYPE_SK_LOOKUP) return assignToPacket(run, sk, flags);
      return socketRun(run)?.choose?.(sk, flags) ?? -EOPNOTSUPP;
    },
    selectReuseport: (run, address) => socketRun(run)?.choose?.(socks().at(address), 0) ?? -ENOENT,
    bindSocket(run, at, size) {
      const sk = socketRun(run)?.sk;
      const family = run.dv.getUint16(at, true);
      if (sk === undefined || size < 2) return -EINVAL;
      const v4 = family === AF_INET;
      if ((!v4 && family !== AF_INET6) || size < (v4 ? 16 : 28)) return -EINVAL;
      // Only the address: a port would be taken before connect looks for one.
      if (run.dv.getUint16(at + 2) !== 0 && sk.sport !== 0) return -EINVAL;
      const from = at + (v4 ? 4 : 8);
      const address = run.u8.slice(from, from + (v4 ? 4 : 16));
      const before = sockets.programs.address;
      sockets.programs.address = undefined;
      try {
        return sockets.bind(sk, { family, address, port: run.dv.getUint16(at + 2) });
      } finally {
        sockets.programs.address = before;
      }
    },
    socketOf(packet) {
      const sk = sockets.byId(slab.sk(packet));
      return sk === undefined ? 0 : socks().address(sk);
    },
    socketCookie: (run, address) => [socketAt(run, address)?.id ?? 0, 0],
    socketUid: (packet) => (packet < 0 ? NO_OWNER : (sockets.byId(slab.sk(packet))?.owner.uid ?? NO_OWNER)),
    getsockopt(run, address, level, name, at, length) {
      const sk = option(run, address, level, name);
      const value = sk === undefined ? -EINVAL : sockets.getsockopt(sk, level, name, length);
      run.u8.fill(0, at, at + length);
      if (typeof value === 'number') return value;
      run.u8.set(value.subarray(0, length), at);
      return 0;
    },
    setsockopt(run, address, level, name, at, length) {
      const sk = option(run, address, level, name);
      return sk === undefined ? -EINVAL : sockets.setsockopt(sk, level, name, run.u8.slice(at, at + length));
    },
  };
}
