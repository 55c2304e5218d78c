/**
 * ELF section names and the program types they stand for (Documentation/bpf/libbpf/program_types.rst). A leading "?"
 * (do not load by default) is for the loader to take off.
 */
import * as u from '../../wire/uapi/bpf.ts';

export type SectionType = {
  readonly type: number;
  readonly expectedAttachType: number;
  /** BPF_F_*. */
  readonly flags: number;
  /** What follows the known part and its slash: the point to attach to. */
  readonly target: string;
};

/** `target`: something may follow after a slash; `exact`: nothing may. */
type Section = readonly [name: string, type: number, attach: number, form?: 'target' | 'exact', flags?: number];

const SLEEP = u.BPF_F_SLEEPABLE;
const FRAGS = u.BPF_F_XDP_HAS_FRAGS;

const SECTIONS: readonly Section[] = [
  ['socket', u.BPF_PROG_TYPE_SOCKET_FILTER, 0],
  ['sk_reuseport/migrate', u.BPF_PROG_TYPE_SK_REUSEPORT, u.BPF_SK_REUSEPORT_SELECT_OR_MIGRATE],
  ['sk_reuseport', u.BPF_PROG_TYPE_SK_REUSEPORT, u.BPF_SK_REUSEPORT_SELECT],
  ['kprobe', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['uprobe', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['uprobe.s', u.BPF_PROG_TYPE_KPROBE, 0, 'target', SLEEP],
  ['kretprobe', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['uretprobe', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['uretprobe.s', u.BPF_PROG_TYPE_KPROBE, 0, 'target', SLEEP],
  ['kprobe.multi', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_KPROBE_MULTI, 'target'],
  ['kretprobe.multi', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_KPROBE_MULTI, 'target'],
  ['kprobe.session', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_KPROBE_SESSION, 'target'],
  ['uprobe.multi', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_MULTI, 'target'],
  ['uretprobe.multi', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_MULTI, 'target'],
  ['uprobe.session', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_SESSION, 'target'],
  ['uprobe.multi.s', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_MULTI, 'target', SLEEP],
  ['uretprobe.multi.s', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_MULTI, 'target', SLEEP],
  ['uprobe.session.s', u.BPF_PROG_TYPE_KPROBE, u.BPF_TRACE_UPROBE_SESSION, 'target', SLEEP],
  ['ksyscall', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['kretsyscall', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['usdt', u.BPF_PROG_TYPE_KPROBE, 0, 'target'],
  ['usdt.s', u.BPF_PROG_TYPE_KPROBE, 0, 'target', SLEEP],
  ['tc/ingress', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_TCX_INGRESS],
  ['tc/egress', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_TCX_EGRESS],
  ['tcx/ingress', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_TCX_INGRESS],
  ['tcx/egress', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_TCX_EGRESS],
  ['tc', u.BPF_PROG_TYPE_SCHED_CLS, 0],
  ['classifier', u.BPF_PROG_TYPE_SCHED_CLS, 0],
  ['action', u.BPF_PROG_TYPE_SCHED_ACT, 0],
  ['netkit/primary', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_NETKIT_PRIMARY],
  ['netkit/peer', u.BPF_PROG_TYPE_SCHED_CLS, u.BPF_NETKIT_PEER],
  ['tracepoint', u.BPF_PROG_TYPE_TRACEPOINT, 0, 'target'],
  ['tp', u.BPF_PROG_TYPE_TRACEPOINT, 0, 'target'],
  ['raw_tracepoint', u.BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 'target'],
  ['raw_tp', u.BPF_PROG_TYPE_RAW_TRACEPOINT, 0, 'target'],
  ['raw_tracepoint.w', u.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, 0, 'target'],
  ['raw_tp.w', u.BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE, 0, 'target'],
  ['tp_btf', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_RAW_TP, 'target'],
  ['fentry', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_FENTRY, 'target'],
  ['fmod_ret', u.BPF_PROG_TYPE_TRACING, u.BPF_MODIFY_RETURN, 'target'],
  ['fexit', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_FEXIT, 'target'],
  ['fentry.s', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_FENTRY, 'target', SLEEP],
  ['fmod_ret.s', u.BPF_PROG_TYPE_TRACING, u.BPF_MODIFY_RETURN, 'target', SLEEP],
  ['fexit.s', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_FEXIT, 'target', SLEEP],
  ['freplace', u.BPF_PROG_TYPE_EXT, 0, 'target'],
  ['lsm', u.BPF_PROG_TYPE_LSM, u.BPF_LSM_MAC, 'target'],
  ['lsm.s', u.BPF_PROG_TYPE_LSM, u.BPF_LSM_MAC, 'target', SLEEP],
  ['lsm_cgroup', u.BPF_PROG_TYPE_LSM, u.BPF_LSM_CGROUP, 'target'],
  ['iter', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_ITER, 'target'],
  ['iter.s', u.BPF_PROG_TYPE_TRACING, u.BPF_TRACE_ITER, 'target', SLEEP],
  ['syscall', u.BPF_PROG_TYPE_SYSCALL, 0, 'exact', SLEEP],
  ['xdp.frags/devmap', u.BPF_PROG_TYPE_XDP, u.BPF_XDP_DEVMAP, 'exact', FRAGS],
  ['xdp/devmap', u.BPF_PROG_TYPE_XDP, u.BPF_XDP_DEVMAP],
  ['xdp.frags/cpumap', u.BPF_PROG_TYPE_XDP, u.BPF_XDP_CPUMAP, 'exact', FRAGS],
  ['xdp/cpumap', u.BPF_PROG_TYPE_XDP, u.BPF_XDP_CPUMAP],
  ['xdp.frags', u.BPF_PROG_TYPE_XDP, u.BPF_XDP, 'exact', FRAGS],
  ['xdp', u.BPF_PROG_TYPE_XDP, u.BPF_XDP],
  ['perf_event', u.BPF_PROG_TYPE_PERF_EVENT, 0],
  ['lwt_in', u.BPF_PROG_TYPE_LWT_IN, 0],
  ['lwt_out', u.BPF_PROG_TYPE_LWT_OUT, 0],
  ['lwt_xmit', u.BPF_PROG_TYPE_LWT_XMIT, 0],
  ['lwt_seg6local', u.BPF_PROG_TYPE_LWT_SEG6LOCAL, 0],
  ['sockops', u.BPF_PROG_TYPE_SOCK_OPS, u.BPF_CGROUP_SOCK_OPS],
  ['sk_skb/stream_parser', u.BPF_PROG_TYPE_SK_SKB, u.BPF_SK_SKB_STREAM_PARSER],
  ['sk_skb/stream_verdict', u.BPF_PROG_TYPE_SK_SKB, u.BPF_SK_SKB_STREAM_VERDICT],
  ['sk_skb/verdict', u.BPF_PROG_TYPE_SK_SKB, u.BPF_SK_SKB_VERDICT],
  ['sk_skb', u.BPF_PROG_TYPE_SK_SKB, 0],
  ['sk_msg', u.BPF_PROG_TYPE_SK_MSG, u.BPF_SK_MSG_VERDICT],
  ['lirc_mode2', u.BPF_PROG_TYPE_LIRC_MODE2, u.BPF_LIRC_MODE2],
  ['flow_dissector', u.BPF_PROG_TYPE_FLOW_DISSECTOR, u.BPF_FLOW_DISSECTOR],
  ['cgroup_skb/ingress', u.BPF_PROG_TYPE_CGROUP_SKB, u.BPF_CGROUP_INET_INGRESS],
  ['cgroup_skb/egress', u.BPF_PROG_TYPE_CGROUP_SKB, u.BPF_CGROUP_INET_EGRESS],
  ['cgroup/skb', u.BPF_PROG_TYPE_CGROUP_SKB, 0],
  ['cgroup/sock_create', u.BPF_PROG_TYPE_CGROUP_SOCK, u.BPF_CGROUP_INET_SOCK_CREATE],
  ['cgroup/sock_release', u.BPF_PROG_TYPE_CGROUP_SOCK, u.BPF_CGROUP_INET_SOCK_RELEASE],
  ['cgroup/sock', u.BPF_PROG_TYPE_CGROUP_SOCK, u.BPF_CGROUP_INET_SOCK_CREATE],
  ['cgroup/post_bind4', u.BPF_PROG_TYPE_CGROUP_SOCK, u.BPF_CGROUP_INET4_POST_BIND],
  ['cgroup/post_bind6', u.BPF_PROG_TYPE_CGROUP_SOCK, u.BPF_CGROUP_INET6_POST_BIND],
  ['cgroup/bind4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET4_BIND],
  ['cgroup/bind6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET6_BIND],
  ['cgroup/connect4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET4_CONNECT],
  ['cgroup/connect6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET6_CONNECT],
  ['cgroup/connect_unix', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UNIX_CONNECT],
  ['cgroup/sendmsg4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UDP4_SENDMSG],
  ['cgroup/sendmsg6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UDP6_SENDMSG],
  ['cgroup/sendmsg_unix', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UNIX_SENDMSG],
  ['cgroup/recvmsg4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UDP4_RECVMSG],
  ['cgroup/recvmsg6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UDP6_RECVMSG],
  ['cgroup/recvmsg_unix', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UNIX_RECVMSG],
  ['cgroup/getpeername4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET4_GETPEERNAME],
  ['cgroup/getpeername6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET6_GETPEERNAME],
  ['cgroup/getpeername_unix', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UNIX_GETPEERNAME],
  ['cgroup/getsockname4', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET4_GETSOCKNAME],
  ['cgroup/getsockname6', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_INET6_GETSOCKNAME],
  ['cgroup/getsockname_unix', u.BPF_PROG_TYPE_CGROUP_SOCK_ADDR, u.BPF_CGROUP_UNIX_GETSOCKNAME],
  ['cgroup/sysctl', u.BPF_PROG_TYPE_CGROUP_SYSCTL, u.BPF_CGROUP_SYSCTL],
  ['cgroup/getsockopt', u.BPF_PROG_TYPE_CGROUP_SOCKOPT, u.BPF_CGROUP_GETSOCKOPT],
  ['cgroup/setsockopt', u.BPF_PROG_TYPE_CGROUP_SOCKOPT, u.BPF_CGROUP_SETSOCKOPT],
  ['cgroup/dev', u.BPF_PROG_TYPE_CGROUP_DEVICE, u.BPF_CGROUP_DEVICE],
  ['struct_ops', u.BPF_PROG_TYPE_STRUCT_OPS, 0, 'target'],
  ['struct_ops.s', u.BPF_PROG_TYPE_STRUCT_OPS, 0, 'target', SLEEP],
  ['sk_lookup', u.BPF_PROG_TYPE_SK_LOOKUP, u.BPF_SK_LOOKUP],
  ['netfilter', u.BPF_PROG_TYPE_NETFILTER, u.BPF_NETFILTER],
];

const BY_NAME: ReadonlyMap<string, Section> = new Map(SECTIONS.map((s) => [s[0], s]));

/** The program type that a section name stands for; undefined when it is none of libbpf's. */
export function sectionToType(name: string): SectionType | undefined {
  const whole = BY_NAME.get(name);
  if (whole !== undefined) return made(whole, '');
  const slash = name.indexOf('/');
  if (slash < 0) return undefined;
  const section = BY_NAME.get(name.slice(0, slash));
  return section?.[3] === 'target' ? made(section, name.slice(slash + 1)) : undefined;
}

const made = ([, type, expectedAttachType, , flags = 0]: Section, target: string): SectionType => ({
  type,
  expectedAttachType,
  flags,
  target,
});

/** Every section name known, for messages and completion. */
export const sectionNames = (): readonly string[] => SECTIONS.map((s) => s[0]);
