/** What bpf(BPF_PROG_LOAD) checks of a program's type, attach type, flags and its loader before looking at instructions. */
import { EINVAL, EPERM } from '../../core/errno.ts';
import {
  BPF_CGROUP_GETSOCKOPT,
  BPF_CGROUP_INET_EGRESS,
  BPF_CGROUP_INET_INGRESS,
  BPF_CGROUP_INET_SOCK_CREATE,
  BPF_CGROUP_INET_SOCK_RELEASE,
  BPF_CGROUP_INET4_BIND,
  BPF_CGROUP_INET4_CONNECT,
  BPF_CGROUP_INET4_GETPEERNAME,
  BPF_CGROUP_INET4_GETSOCKNAME,
  BPF_CGROUP_INET4_POST_BIND,
  BPF_CGROUP_INET6_BIND,
  BPF_CGROUP_INET6_CONNECT,
  BPF_CGROUP_INET6_GETPEERNAME,
  BPF_CGROUP_INET6_GETSOCKNAME,
  BPF_CGROUP_INET6_POST_BIND,
  BPF_CGROUP_SETSOCKOPT,
  BPF_CGROUP_UDP4_RECVMSG,
  BPF_CGROUP_UDP4_SENDMSG,
  BPF_CGROUP_UDP6_RECVMSG,
  BPF_CGROUP_UDP6_SENDMSG,
  BPF_CGROUP_UNIX_CONNECT,
  BPF_CGROUP_UNIX_GETPEERNAME,
  BPF_CGROUP_UNIX_GETSOCKNAME,
  BPF_CGROUP_UNIX_RECVMSG,
  BPF_CGROUP_UNIX_SENDMSG,
  BPF_F_SLEEPABLE,
  BPF_LSM_CGROUP,
  BPF_LSM_MAC,
  BPF_MODIFY_RETURN,
  BPF_NETFILTER,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_CGROUP_SOCK,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_EXT,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_LIRC_MODE2,
  BPF_PROG_TYPE_LSM,
  BPF_PROG_TYPE_NETFILTER,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE_SK_LOOKUP,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_STRUCT_OPS,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_UNSPEC,
  BPF_SK_LOOKUP,
  BPF_SK_REUSEPORT_SELECT,
  BPF_SK_REUSEPORT_SELECT_OR_MIGRATE,
  BPF_TRACE_FENTRY,
  BPF_TRACE_FEXIT,
  BPF_TRACE_ITER,
  BPF_TRACE_RAW_TP,
  PROG_TYPE_NAMES,
} from '../../wire/uapi/bpf.ts';
import { BPF_PROG_TYPE_NFT_CHAIN } from './nft-chain.ts';
import type { Mode } from './rules.ts';

/** Program types with a closed set of attach types; the others ignore what they are given. */
const ATTACH_TYPES: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [BPF_PROG_TYPE_CGROUP_SKB, new Set([BPF_CGROUP_INET_INGRESS, BPF_CGROUP_INET_EGRESS])],
  [
    BPF_PROG_TYPE_CGROUP_SOCK,
    new Set([
      BPF_CGROUP_INET_SOCK_CREATE,
      BPF_CGROUP_INET_SOCK_RELEASE,
      BPF_CGROUP_INET4_POST_BIND,
      BPF_CGROUP_INET6_POST_BIND,
    ]),
  ],
  [
    BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    new Set([
      BPF_CGROUP_INET4_BIND,
      BPF_CGROUP_INET6_BIND,
      BPF_CGROUP_INET4_CONNECT,
      BPF_CGROUP_INET6_CONNECT,
      BPF_CGROUP_UNIX_CONNECT,
      BPF_CGROUP_INET4_GETPEERNAME,
      BPF_CGROUP_INET6_GETPEERNAME,
      BPF_CGROUP_UNIX_GETPEERNAME,
      BPF_CGROUP_INET4_GETSOCKNAME,
      BPF_CGROUP_INET6_GETSOCKNAME,
      BPF_CGROUP_UNIX_GETSOCKNAME,
      BPF_CGROUP_UDP4_SENDMSG,
      BPF_CGROUP_UDP6_SENDMSG,
      BPF_CGROUP_UNIX_SENDMSG,
      BPF_CGROUP_UDP4_RECVMSG,
      BPF_CGROUP_UDP6_RECVMSG,
      BPF_CGROUP_UNIX_RECVMSG,
    ]),
  ],
  [BPF_PROG_TYPE_CGROUP_SOCKOPT, new Set([BPF_CGROUP_GETSOCKOPT, BPF_CGROUP_SETSOCKOPT])],
  [BPF_PROG_TYPE_SK_REUSEPORT, new Set([BPF_SK_REUSEPORT_SELECT, BPF_SK_REUSEPORT_SELECT_OR_MIGRATE])],
  [BPF_PROG_TYPE_SK_LOOKUP, new Set([BPF_SK_LOOKUP])],
  [BPF_PROG_TYPE_NETFILTER, new Set([BPF_NETFILTER])],
  [BPF_PROG_TYPE_SYSCALL, new Set([0])],
  [BPF_PROG_TYPE_EXT, new Set([0])],
  [
    BPF_PROG_TYPE_TRACING,
    new Set([BPF_TRACE_RAW_TP, BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN, BPF_TRACE_ITER]),
  ],
  [BPF_PROG_TYPE_LSM, new Set([BPF_LSM_MAC, BPF_LSM_CGROUP])],
]);

/** Types that look at the kernel itself and need CAP_PERFMON (or, replacing parts of it, more). */
const NEEDS_PERFMON: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_STRUCT_OPS,
  BPF_PROG_TYPE_EXT,
  BPF_PROG_TYPE_LSM,
]);

/** Types whose context is described by BTF of the point they attach to. */
const NEEDS_BTF: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_STRUCT_OPS,
  BPF_PROG_TYPE_EXT,
  BPF_PROG_TYPE_LSM,
]);

/** Whether a program of the type may be loaded by somebody with these rights. */
export function mayLoad(type: number, mode: Mode): boolean {
  if (mode === 'unpriv') return type === BPF_PROG_TYPE_SOCKET_FILTER || type === BPF_PROG_TYPE_CGROUP_SKB;
  return mode === 'root' || !NEEDS_PERFMON.has(type);
}

/** Whether the type is attached to a function or tracepoint named by a BTF type. */
export const needsBtf = (type: number): boolean => NEEDS_BTF.has(type);

/** Whether the type refuses programs whose licence is not GPL-compatible. */
export const programGplOnly = (type: number): boolean =>
  type === BPF_PROG_TYPE_STRUCT_OPS || type === BPF_PROG_TYPE_LSM;

/** The attach type that counts: two types have a default for 0. */
export function effectiveAttachType(type: number, attach: number): number {
  if (attach !== 0) return attach;
  if (type === BPF_PROG_TYPE_CGROUP_SOCK) return BPF_CGROUP_INET_SOCK_CREATE;
  return type === BPF_PROG_TYPE_SK_REUSEPORT ? BPF_SK_REUSEPORT_SELECT : attach;
}

/** Whether programs of `type` may expect to be attached at `attach`. */
export const attachTypeFits = (type: number, attach: number): boolean =>
  ATTACH_TYPES.get(type)?.has(effectiveAttachType(type, attach)) ?? true;

/** Why the kernel refuses a program by type, attach type and flags; `message` is the last line of its log ('' for none). */
export function checkLoad(
  type: number,
  attach: number,
  flags: number,
  mode: Mode,
): { readonly errno: number; readonly message: string } | undefined {
  if (!mayLoad(type, mode)) return { errno: EPERM, message: '' };
  if (type === BPF_PROG_TYPE_NFT_CHAIN) return undefined;
  if (!attachTypeFits(type, attach)) return { errno: EINVAL, message: '' };
  if (type <= BPF_PROG_TYPE_UNSPEC || type >= PROG_TYPE_NAMES.length || type === BPF_PROG_TYPE_LIRC_MODE2) {
    return { errno: EINVAL, message: '' };
  }
  const sleepable = (flags & BPF_F_SLEEPABLE) !== 0;
  if (type === BPF_PROG_TYPE_SYSCALL && !sleepable) {
    return { errno: EINVAL, message: 'Syscall programs can only be sleepable' };
  }
  if (sleepable && !canSleep(type, attach)) {
    return {
      errno: EINVAL,
      message: 'Only fentry/fexit/fmod_ret, lsm, iter, uprobe, and struct_ops programs can be sleepable',
    };
  }
  return undefined;
}

function canSleep(type: number, attach: number): boolean {
  switch (type) {
    case BPF_PROG_TYPE_SYSCALL:
    case BPF_PROG_TYPE_KPROBE:
    case BPF_PROG_TYPE_STRUCT_OPS:
      return true;
    case BPF_PROG_TYPE_TRACING:
      return attach !== BPF_TRACE_RAW_TP;
    case BPF_PROG_TYPE_LSM:
      return attach === BPF_LSM_MAC;
    default:
      return false;
  }
}
