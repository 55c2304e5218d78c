/** What R0 may be when a program ends (linux/bpf.h; Documentation/bpf/). */
import {
  BPF_CGROUP_INET_EGRESS,
  BPF_CGROUP_INET4_BIND,
  BPF_CGROUP_INET4_GETPEERNAME,
  BPF_CGROUP_INET6_BIND,
  BPF_CGROUP_INET6_GETSOCKNAME,
  BPF_CGROUP_UDP4_RECVMSG,
  BPF_CGROUP_UDP6_RECVMSG,
  BPF_CGROUP_UNIX_GETSOCKNAME,
  BPF_CGROUP_UNIX_RECVMSG,
  BPF_MODIFY_RETURN,
  BPF_PROG_TYPE_CGROUP_DEVICE,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_CGROUP_SOCK,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_CGROUP_SYSCTL,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_NETFILTER,
  BPF_PROG_TYPE_SK_LOOKUP,
  BPF_PROG_TYPE_SOCK_OPS,
  BPF_PROG_TYPE_TRACING,
  BPF_TRACE_FENTRY,
  BPF_TRACE_FEXIT,
  BPF_TRACE_KPROBE_SESSION,
  BPF_TRACE_RAW_TP,
  BPF_TRACE_UPROBE_SESSION,
} from '../../wire/uapi/bpf.ts';

/** Smallest and largest value of R0, signed 64 bits. */
export type ReturnRange = { readonly min: number; readonly max: number };

const BIT: ReturnRange = { min: 0, max: 1 };
/** Bit 1 of the result carries a second decision: "bind without CAP_NET_BIND_SERVICE", "congestion notification". */
const TWO_BITS: ReturnRange = { min: 0, max: 3 };
const ONE: ReturnRange = { min: 1, max: 1 };
const ZERO: ReturnRange = { min: 0, max: 0 };

/** Attach types of cgroup_sock_addr whose programs can change addresses but not refuse the call. */
const isAfterTheCall = (attach: number): boolean =>
  attach === BPF_CGROUP_UDP4_RECVMSG ||
  attach === BPF_CGROUP_UDP6_RECVMSG ||
  (attach >= BPF_CGROUP_INET4_GETPEERNAME && attach <= BPF_CGROUP_INET6_GETSOCKNAME) ||
  (attach >= BPF_CGROUP_UNIX_RECVMSG && attach <= BPF_CGROUP_UNIX_GETSOCKNAME);

/**
 * The range R0 must lie in at the end of a program of `type` and `attach`; undefined when any value will do (then R0 must
 * only be initialised, and must not leak a pointer of an unprivileged program).
 */
export function returnRange(type: number, attach: number): ReturnRange | undefined {
  switch (type) {
    case BPF_PROG_TYPE_CGROUP_SKB:
      return attach === BPF_CGROUP_INET_EGRESS ? TWO_BITS : BIT;
    case BPF_PROG_TYPE_CGROUP_SOCK_ADDR:
      if (attach === BPF_CGROUP_INET4_BIND || attach === BPF_CGROUP_INET6_BIND) return TWO_BITS;
      return isAfterTheCall(attach) ? ONE : BIT;
    case BPF_PROG_TYPE_CGROUP_SOCK:
    case BPF_PROG_TYPE_CGROUP_DEVICE:
    case BPF_PROG_TYPE_CGROUP_SYSCTL:
    case BPF_PROG_TYPE_CGROUP_SOCKOPT:
    case BPF_PROG_TYPE_SOCK_OPS:
    case BPF_PROG_TYPE_SK_LOOKUP:
    case BPF_PROG_TYPE_NETFILTER:
      return BIT;
    case BPF_PROG_TYPE_KPROBE:
      return attach === BPF_TRACE_KPROBE_SESSION || attach === BPF_TRACE_UPROBE_SESSION ? BIT : undefined;
    case BPF_PROG_TYPE_TRACING:
      if (attach === BPF_TRACE_FENTRY || attach === BPF_TRACE_FEXIT) return ZERO;
      return attach === BPF_TRACE_RAW_TP || attach === BPF_MODIFY_RETURN ? undefined : BIT;
    default:
      return undefined;
  }
}
