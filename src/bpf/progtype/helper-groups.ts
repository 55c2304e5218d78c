/**
 * Which helper functions a program type offers, as groups of helpers that come and go together (bpf-helpers(7)), and the
 * helpers only a program with a GPL-compatible licence may call. Names without the `bpf_` prefix.
 */
import {
  BPF_CGROUP_INET4_CONNECT,
  BPF_CGROUP_INET6_CONNECT,
  BPF_CGROUP_SETSOCKOPT,
  BPF_CGROUP_UDP4_RECVMSG,
  BPF_CGROUP_UDP6_RECVMSG,
  BPF_CGROUP_UNIX_RECVMSG,
  BPF_MODIFY_RETURN,
  BPF_PROG_TYPE_CGROUP_DEVICE,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_CGROUP_SOCK,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_CGROUP_SYSCTL,
  BPF_PROG_TYPE_FLOW_DISSECTOR,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_LSM,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_LOOKUP,
  BPF_PROG_TYPE_SK_MSG,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_SOCK_OPS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_SYSCALL,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_XDP,
  BPF_TRACE_FENTRY,
  BPF_TRACE_FEXIT,
  BPF_TRACE_ITER,
  BPF_TRACE_RAW_TP,
} from '../../wire/uapi/bpf.ts';
import type { Env } from './rules.ts';

/** Helpers that the same programs may call. */
export type HelperGroup = {
  readonly helpers: string;
  /** Program types; 'all' for every one. */
  readonly types: 'all' | readonly number[];
  /** 'bpf': not unprivileged; 'perfmon': only with CAP_PERFMON. */
  readonly needs?: 'bpf' | 'perfmon';
  /** Depends on the attach type. */
  readonly when?: (env: Env) => boolean;
};

const SOCKET = BPF_PROG_TYPE_SOCKET_FILTER;
const TC = [BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SCHED_ACT] as const;
const XDP = BPF_PROG_TYPE_XDP;
const CG_SKB = BPF_PROG_TYPE_CGROUP_SKB;
const CG_SOCK = BPF_PROG_TYPE_CGROUP_SOCK;
const CG_ADDR = BPF_PROG_TYPE_CGROUP_SOCK_ADDR;
const CG_SOCKOPT = BPF_PROG_TYPE_CGROUP_SOCKOPT;
const CG_DEVICE = BPF_PROG_TYPE_CGROUP_DEVICE;
const CG_SYSCTL = BPF_PROG_TYPE_CGROUP_SYSCTL;
const LWT_XMIT = BPF_PROG_TYPE_LWT_XMIT;
const LWT = [BPF_PROG_TYPE_LWT_IN, BPF_PROG_TYPE_LWT_OUT, LWT_XMIT, BPF_PROG_TYPE_LWT_SEG6LOCAL] as const;
const SOCK_OPS = BPF_PROG_TYPE_SOCK_OPS;
const SK_SKB = BPF_PROG_TYPE_SK_SKB;
const SK_MSG = BPF_PROG_TYPE_SK_MSG;
const REUSEPORT = BPF_PROG_TYPE_SK_REUSEPORT;
const SK_LOOKUP = BPF_PROG_TYPE_SK_LOOKUP;
const DISSECTOR = BPF_PROG_TYPE_FLOW_DISSECTOR;
const SYSCALL = BPF_PROG_TYPE_SYSCALL;
const TRACING = BPF_PROG_TYPE_TRACING;
const LSM = BPF_PROG_TYPE_LSM;
/** Kernel probes of every kind that get plain values, no typed pointers. */
const PROBES = [
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
] as const;

const RECEIVING: ReadonlySet<number> = new Set([
  BPF_CGROUP_UDP4_RECVMSG,
  BPF_CGROUP_UDP6_RECVMSG,
  BPF_CGROUP_UNIX_RECVMSG,
]);
/** getpeername and getsockname of every family. */
const isNaming = (attach: number): boolean => (attach >= 29 && attach <= 32) || attach === 52 || attach === 53;

export const HELPER_GROUPS: readonly HelperGroup[] = [
  // Everybody.
  {
    helpers: `map_lookup_elem map_update_elem map_delete_elem map_push_elem map_pop_elem map_peek_elem
      map_lookup_percpu_elem get_prandom_u32 get_smp_processor_id get_numa_node_id tail_call
      ktime_get_ns ktime_get_boot_ns ktime_get_tai_ns
      ringbuf_output ringbuf_reserve ringbuf_submit ringbuf_discard ringbuf_query
      get_current_pid_tgid get_current_uid_gid get_ns_current_pid_tgid strncmp strtol strtoul`,
    types: 'all',
  },
  {
    helpers: `spin_lock spin_unlock jiffies64 per_cpu_ptr this_cpu_ptr for_each_map_elem loop kptr_xchg
      timer_init timer_set_callback timer_start timer_cancel user_ringbuf_drain
      ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr
      dynptr_from_mem dynptr_read dynptr_write dynptr_data
      task_storage_get task_storage_delete cgrp_storage_get cgrp_storage_delete
      get_cgroup_classid current_task_under_cgroup get_current_cgroup_id get_current_ancestor_cgroup_id`,
    types: 'all',
    needs: 'bpf',
  },
  {
    helpers: `trace_printk trace_vprintk snprintf snprintf_btf get_current_comm get_current_task get_current_task_btf
      task_pt_regs get_task_stack find_vma get_branch_snapshot perf_event_read perf_event_read_value
      probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str
      copy_from_user copy_from_user_task send_signal send_signal_thread`,
    types: 'all',
    needs: 'perfmon',
  },
  {
    helpers:
      'skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock \
      skc_to_unix_sock skc_to_mptcp_sock',
    types: [SOCKET, ...TC, XDP, CG_SKB, ...LWT, SOCK_OPS, SK_SKB, SK_MSG, CG_ADDR, DISSECTOR, SK_LOOKUP],
    needs: 'perfmon',
  },
  {
    helpers:
      'skc_to_tcp6_sock skc_to_tcp_sock skc_to_tcp_timewait_sock skc_to_tcp_request_sock skc_to_udp6_sock \
      skc_to_unix_sock skc_to_mptcp_sock',
    types: [SYSCALL, TRACING],
  },
  // Output and clock.
  {
    helpers: 'perf_event_output',
    types: [
      ...[SOCKET, ...TC, XDP, CG_SKB, CG_SOCK, ...LWT, SOCK_OPS, SK_SKB, CG_DEVICE, SK_MSG, CG_ADDR, CG_SYSCTL],
      ...[CG_SOCKOPT, SK_LOOKUP, SYSCALL, TRACING, LSM, ...PROBES],
    ],
  },
  {
    helpers: 'ktime_get_coarse_ns',
    types: [
      ...[SOCKET, ...TC, XDP, CG_SKB, CG_SOCK, ...LWT, SOCK_OPS, SK_SKB, SK_MSG, CG_ADDR, REUSEPORT, DISSECTOR],
      ...[CG_SYSCTL, SK_LOOKUP],
    ],
  },
  // Sockets.
  {
    helpers: 'get_socket_cookie',
    types: [SOCKET, ...TC, CG_SKB, CG_SOCK, SOCK_OPS, SK_SKB, CG_ADDR, REUSEPORT, SYSCALL, TRACING],
  },
  { helpers: 'get_netns_cookie', types: [SOCKET, ...TC, CG_SKB, CG_SOCK, SOCK_OPS, SK_MSG, CG_ADDR, CG_SOCKOPT] },
  { helpers: 'get_socket_uid', types: [SOCKET, ...TC, CG_SKB, SK_SKB] },
  { helpers: 'sk_release', types: [...TC, XDP, CG_SKB, SK_SKB, CG_ADDR, SK_LOOKUP] },
  { helpers: 'sk_lookup_tcp sk_lookup_udp skc_lookup_tcp', types: [...TC, XDP, CG_SKB, SK_SKB, CG_ADDR] },
  {
    helpers: 'sk_storage_get',
    types: [...TC, CG_SKB, CG_SOCK, SOCK_OPS, SK_MSG, CG_ADDR, CG_SOCKOPT, SYSCALL, TRACING, LSM],
  },
  {
    helpers: 'sk_storage_delete',
    types: [...TC, CG_SKB, SOCK_OPS, SK_MSG, CG_ADDR, CG_SOCKOPT, SYSCALL, TRACING, LSM],
  },
  { helpers: 'tcp_sock', types: [...TC, CG_SKB, SOCK_OPS, CG_SOCKOPT] },
  { helpers: 'sk_fullsock get_listener_sock', types: [...TC, CG_SKB] },
  { helpers: 'sk_assign', types: [...TC, SK_LOOKUP] },
  { helpers: 'sk_select_reuseport', types: [REUSEPORT] },
  { helpers: 'setsockopt getsockopt', types: [SOCK_OPS, CG_ADDR] },
  { helpers: 'setsockopt getsockopt', types: [CG_SOCKOPT], when: (env) => env.attach === BPF_CGROUP_SETSOCKOPT },
  {
    helpers: 'bind',
    types: [CG_ADDR],
    when: (env) => env.attach === BPF_CGROUP_INET4_CONNECT || env.attach === BPF_CGROUP_INET6_CONNECT,
  },
  // Cgroups.
  { helpers: 'get_local_storage', types: [CG_SKB, CG_SOCK, SOCK_OPS, CG_DEVICE, CG_ADDR, CG_SYSCTL, CG_SOCKOPT] },
  { helpers: 'get_retval set_retval', types: [CG_SOCK, CG_DEVICE, CG_SYSCTL, CG_SOCKOPT] },
  {
    // The result of a call that has already happened cannot be changed.
    helpers: 'get_retval set_retval',
    types: [CG_ADDR],
    when: (env) => !RECEIVING.has(env.attach) && !isNaming(env.attach),
  },
  { helpers: 'sk_cgroup_id sk_ancestor_cgroup_id', types: [CG_SKB] },
  { helpers: 'skb_cgroup_id skb_ancestor_cgroup_id skb_ecn_set_ce', types: [...TC, CG_SKB] },
  { helpers: 'sysctl_get_name sysctl_get_current_value sysctl_get_new_value sysctl_set_new_value', types: [CG_SYSCTL] },
  // Packets.
  { helpers: 'skb_load_bytes', types: [SOCKET, ...TC, CG_SKB, ...LWT, SK_SKB, REUSEPORT, DISSECTOR] },
  { helpers: 'skb_load_bytes_relative', types: [SOCKET, ...TC, CG_SKB, REUSEPORT] },
  { helpers: 'csum_diff', types: [...TC, XDP, ...LWT] },
  { helpers: 'skb_pull_data', types: [...TC, ...LWT, SK_SKB] },
  { helpers: 'skb_store_bytes skb_change_tail skb_change_head', types: [...TC, LWT_XMIT, SK_SKB] },
  { helpers: 'skb_adjust_room', types: [...TC, SK_SKB] },
  { helpers: 'get_route_realm skb_under_cgroup get_hash_recalc', types: [...TC, ...LWT] },
  {
    helpers: `l3_csum_replace l4_csum_replace clone_redirect csum_update csum_level set_hash_invalid
      skb_get_tunnel_key skb_set_tunnel_key skb_get_tunnel_opt skb_set_tunnel_opt`,
    types: [...TC, LWT_XMIT],
  },
  { helpers: 'redirect', types: [...TC, XDP, LWT_XMIT] },
  {
    helpers: `skb_vlan_push skb_vlan_pop skb_change_proto skb_change_type set_hash skb_get_xfrm_state
      skb_cgroup_classid redirect_neigh redirect_peer skb_set_tstamp`,
    types: TC,
  },
  {
    helpers: `fib_lookup check_mtu tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4
      tcp_raw_gen_syncookie_ipv6 tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6`,
    types: [...TC, XDP],
  },
  { helpers: 'xdp_get_buff_len', types: [XDP, SYSCALL, TRACING] },
  {
    helpers: 'xdp_adjust_head xdp_adjust_meta xdp_adjust_tail xdp_load_bytes xdp_store_bytes redirect_map',
    types: [XDP],
  },
  { helpers: 'lwt_push_encap', types: [BPF_PROG_TYPE_LWT_IN, LWT_XMIT] },
  { helpers: 'lwt_seg6_store_bytes lwt_seg6_adjust_srh lwt_seg6_action', types: [BPF_PROG_TYPE_LWT_SEG6LOCAL] },
  // Socket maps and TCP.
  { helpers: 'sk_redirect_map sk_redirect_hash', types: [SK_SKB] },
  {
    helpers: 'sock_map_update sock_hash_update sock_ops_cb_flags_set load_hdr_opt store_hdr_opt reserve_hdr_opt',
    types: [SOCK_OPS],
  },
  {
    helpers: `msg_redirect_map msg_redirect_hash msg_apply_bytes msg_cork_bytes msg_pull_data msg_push_data
      msg_pop_data`,
    types: [SK_MSG],
  },
  // Tracing.
  { helpers: 'probe_read probe_read_str get_stackid get_stack get_func_ip', types: [...PROBES, SYSCALL, TRACING] },
  { helpers: 'get_attach_cookie', types: [...PROBES, TRACING, LSM] },
  { helpers: 'perf_prog_read_value read_branch_records', types: [BPF_PROG_TYPE_PERF_EVENT] },
  { helpers: 'skb_output xdp_output d_path sock_from_file', types: [SYSCALL, TRACING] },
  { helpers: 'btf_find_by_name_kind sys_close kallsyms_lookup_name', types: [SYSCALL] },
  { helpers: 'sys_bpf', types: [SYSCALL], needs: 'perfmon' },
  {
    helpers: 'get_func_arg get_func_arg_cnt',
    types: [TRACING],
    when: (env) =>
      env.attach === BPF_TRACE_RAW_TP || [BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_MODIFY_RETURN].includes(env.attach),
  },
  {
    helpers: 'get_func_ret',
    types: [TRACING],
    when: (env) => env.attach === BPF_TRACE_FEXIT || env.attach === BPF_MODIFY_RETURN,
  },
  {
    helpers: 'seq_printf seq_write seq_printf_btf',
    types: [TRACING],
    when: (env) => env.attach === BPF_TRACE_ITER,
  },
];

/** Helpers that ask for a GPL-compatible licence. */
export const GPL_ONLY_HELPERS = `trace_printk trace_vprintk snprintf perf_event_read perf_event_read_value
  perf_event_output get_stackid get_stack get_current_task get_current_task_btf task_pt_regs get_branch_snapshot
  get_func_ip probe_read probe_read_str probe_read_user probe_read_kernel probe_read_user_str probe_read_kernel_str
  copy_from_user_task timer_init timer_set_callback timer_start timer_cancel fib_lookup check_mtu
  tcp_check_syncookie tcp_gen_syncookie tcp_raw_gen_syncookie_ipv4 tcp_raw_gen_syncookie_ipv6
  tcp_raw_check_syncookie_ipv4 tcp_raw_check_syncookie_ipv6 perf_prog_read_value read_branch_records skb_output xdp_output`;
