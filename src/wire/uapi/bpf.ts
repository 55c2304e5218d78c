/**
 * Numbers of the bpf() interface (bpf(2), linux/bpf.h): program, map and attach types, map and program flags, helper
 * names by number.
 */

export const BPF_PROG_TYPE_UNSPEC = 0;
export const BPF_PROG_TYPE_SOCKET_FILTER = 1;
export const BPF_PROG_TYPE_KPROBE = 2;
export const BPF_PROG_TYPE_SCHED_CLS = 3;
export const BPF_PROG_TYPE_SCHED_ACT = 4;
export const BPF_PROG_TYPE_TRACEPOINT = 5;
export const BPF_PROG_TYPE_XDP = 6;
export const BPF_PROG_TYPE_PERF_EVENT = 7;
export const BPF_PROG_TYPE_CGROUP_SKB = 8;
export const BPF_PROG_TYPE_CGROUP_SOCK = 9;
export const BPF_PROG_TYPE_LWT_IN = 10;
export const BPF_PROG_TYPE_LWT_OUT = 11;
export const BPF_PROG_TYPE_LWT_XMIT = 12;
export const BPF_PROG_TYPE_SOCK_OPS = 13;
export const BPF_PROG_TYPE_SK_SKB = 14;
export const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
export const BPF_PROG_TYPE_SK_MSG = 16;
export const BPF_PROG_TYPE_RAW_TRACEPOINT = 17;
export const BPF_PROG_TYPE_CGROUP_SOCK_ADDR = 18;
export const BPF_PROG_TYPE_LWT_SEG6LOCAL = 19;
export const BPF_PROG_TYPE_LIRC_MODE2 = 20;
export const BPF_PROG_TYPE_SK_REUSEPORT = 21;
export const BPF_PROG_TYPE_FLOW_DISSECTOR = 22;
export const BPF_PROG_TYPE_CGROUP_SYSCTL = 23;
export const BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE = 24;
export const BPF_PROG_TYPE_CGROUP_SOCKOPT = 25;
export const BPF_PROG_TYPE_TRACING = 26;
export const BPF_PROG_TYPE_STRUCT_OPS = 27;
export const BPF_PROG_TYPE_EXT = 28;
export const BPF_PROG_TYPE_LSM = 29;
export const BPF_PROG_TYPE_SK_LOOKUP = 30;
export const BPF_PROG_TYPE_SYSCALL = 31;
export const BPF_PROG_TYPE_NETFILTER = 32;

export const BPF_MAP_TYPE_UNSPEC = 0;
export const BPF_MAP_TYPE_HASH = 1;
export const BPF_MAP_TYPE_ARRAY = 2;
export const BPF_MAP_TYPE_PROG_ARRAY = 3;
export const BPF_MAP_TYPE_PERF_EVENT_ARRAY = 4;
export const BPF_MAP_TYPE_PERCPU_HASH = 5;
export const BPF_MAP_TYPE_PERCPU_ARRAY = 6;
export const BPF_MAP_TYPE_STACK_TRACE = 7;
export const BPF_MAP_TYPE_CGROUP_ARRAY = 8;
export const BPF_MAP_TYPE_LRU_HASH = 9;
export const BPF_MAP_TYPE_LRU_PERCPU_HASH = 10;
export const BPF_MAP_TYPE_LPM_TRIE = 11;
export const BPF_MAP_TYPE_ARRAY_OF_MAPS = 12;
export const BPF_MAP_TYPE_HASH_OF_MAPS = 13;
export const BPF_MAP_TYPE_DEVMAP = 14;
export const BPF_MAP_TYPE_SOCKMAP = 15;
export const BPF_MAP_TYPE_CPUMAP = 16;
export const BPF_MAP_TYPE_XSKMAP = 17;
export const BPF_MAP_TYPE_SOCKHASH = 18;
export const BPF_MAP_TYPE_CGROUP_STORAGE = 19;
export const BPF_MAP_TYPE_REUSEPORT_SOCKARRAY = 20;
export const BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE = 21;
export const BPF_MAP_TYPE_QUEUE = 22;
export const BPF_MAP_TYPE_STACK = 23;
export const BPF_MAP_TYPE_SK_STORAGE = 24;
export const BPF_MAP_TYPE_DEVMAP_HASH = 25;
export const BPF_MAP_TYPE_STRUCT_OPS = 26;
export const BPF_MAP_TYPE_RINGBUF = 27;
export const BPF_MAP_TYPE_INODE_STORAGE = 28;
export const BPF_MAP_TYPE_TASK_STORAGE = 29;
export const BPF_MAP_TYPE_BLOOM_FILTER = 30;
export const BPF_MAP_TYPE_USER_RINGBUF = 31;
export const BPF_MAP_TYPE_CGRP_STORAGE = 32;
export const BPF_MAP_TYPE_ARENA = 33;
export const BPF_MAP_TYPE_INSN_ARRAY = 34;

export const BPF_CGROUP_INET_INGRESS = 0;
export const BPF_CGROUP_INET_EGRESS = 1;
export const BPF_CGROUP_INET_SOCK_CREATE = 2;
export const BPF_CGROUP_SOCK_OPS = 3;
export const BPF_SK_SKB_STREAM_PARSER = 4;
export const BPF_SK_SKB_STREAM_VERDICT = 5;
export const BPF_CGROUP_DEVICE = 6;
export const BPF_SK_MSG_VERDICT = 7;
export const BPF_CGROUP_INET4_BIND = 8;
export const BPF_CGROUP_INET6_BIND = 9;
export const BPF_CGROUP_INET4_CONNECT = 10;
export const BPF_CGROUP_INET6_CONNECT = 11;
export const BPF_CGROUP_INET4_POST_BIND = 12;
export const BPF_CGROUP_INET6_POST_BIND = 13;
export const BPF_CGROUP_UDP4_SENDMSG = 14;
export const BPF_CGROUP_UDP6_SENDMSG = 15;
export const BPF_LIRC_MODE2 = 16;
export const BPF_FLOW_DISSECTOR = 17;
export const BPF_CGROUP_SYSCTL = 18;
export const BPF_CGROUP_UDP4_RECVMSG = 19;
export const BPF_CGROUP_UDP6_RECVMSG = 20;
export const BPF_CGROUP_GETSOCKOPT = 21;
export const BPF_CGROUP_SETSOCKOPT = 22;
export const BPF_TRACE_RAW_TP = 23;
export const BPF_TRACE_FENTRY = 24;
export const BPF_TRACE_FEXIT = 25;
export const BPF_MODIFY_RETURN = 26;
export const BPF_LSM_MAC = 27;
export const BPF_TRACE_ITER = 28;
export const BPF_CGROUP_INET4_GETPEERNAME = 29;
export const BPF_CGROUP_INET6_GETPEERNAME = 30;
export const BPF_CGROUP_INET4_GETSOCKNAME = 31;
export const BPF_CGROUP_INET6_GETSOCKNAME = 32;
export const BPF_XDP_DEVMAP = 33;
export const BPF_CGROUP_INET_SOCK_RELEASE = 34;
export const BPF_XDP_CPUMAP = 35;
export const BPF_SK_LOOKUP = 36;
export const BPF_XDP = 37;
export const BPF_SK_SKB_VERDICT = 38;
export const BPF_SK_REUSEPORT_SELECT = 39;
export const BPF_SK_REUSEPORT_SELECT_OR_MIGRATE = 40;
export const BPF_PERF_EVENT = 41;
export const BPF_TRACE_KPROBE_MULTI = 42;
export const BPF_LSM_CGROUP = 43;
export const BPF_STRUCT_OPS = 44;
export const BPF_NETFILTER = 45;
export const BPF_TCX_INGRESS = 46;
export const BPF_TCX_EGRESS = 47;
export const BPF_TRACE_UPROBE_MULTI = 48;
export const BPF_CGROUP_UNIX_CONNECT = 49;
export const BPF_CGROUP_UNIX_SENDMSG = 50;
export const BPF_CGROUP_UNIX_RECVMSG = 51;
export const BPF_CGROUP_UNIX_GETPEERNAME = 52;
export const BPF_CGROUP_UNIX_GETSOCKNAME = 53;
export const BPF_NETKIT_PRIMARY = 54;
export const BPF_NETKIT_PEER = 55;
export const BPF_TRACE_KPROBE_SESSION = 56;
export const BPF_TRACE_UPROBE_SESSION = 57;

// Flags of map creation.
export const BPF_F_NO_PREALLOC: number = 1 << 0;
export const BPF_F_NO_COMMON_LRU: number = 1 << 1;
export const BPF_F_NUMA_NODE: number = 1 << 2;
export const BPF_F_RDONLY: number = 1 << 3;
export const BPF_F_WRONLY: number = 1 << 4;
export const BPF_F_STACK_BUILD_ID: number = 1 << 5;
export const BPF_F_ZERO_SEED: number = 1 << 6;
export const BPF_F_RDONLY_PROG: number = 1 << 7;
export const BPF_F_WRONLY_PROG: number = 1 << 8;
export const BPF_F_CLONE: number = 1 << 9;
export const BPF_F_MMAPABLE: number = 1 << 10;
export const BPF_F_PRESERVE_ELEMS: number = 1 << 11;
export const BPF_F_INNER_MAP: number = 1 << 12;

// Flags of an update.
export const BPF_ANY = 0;
export const BPF_NOEXIST = 1;
export const BPF_EXIST = 2;
export const BPF_F_LOCK = 4;

// Flags of a program.
export const BPF_F_STRICT_ALIGNMENT: number = 1 << 0;
export const BPF_F_ANY_ALIGNMENT: number = 1 << 1;
export const BPF_F_TEST_RND_HI32: number = 1 << 2;
export const BPF_F_TEST_STATE_FREQ: number = 1 << 3;
export const BPF_F_SLEEPABLE: number = 1 << 4;
export const BPF_F_XDP_HAS_FRAGS: number = 1 << 5;
export const BPF_F_XDP_DEV_BOUND_ONLY: number = 1 << 6;
export const BPF_F_TEST_REG_INVARIANTS: number = 1 << 7;

/** Names of program types as the kernel and bpftool print them, by number. */
export const PROG_TYPE_NAMES: readonly string[] = [
  'unspec',
  'socket_filter',
  'kprobe',
  'sched_cls',
  'sched_act',
  'tracepoint',
  'xdp',
  'perf_event',
  'cgroup_skb',
  'cgroup_sock',
  'lwt_in',
  'lwt_out',
  'lwt_xmit',
  'sock_ops',
  'sk_skb',
  'cgroup_device',
  'sk_msg',
  'raw_tracepoint',
  'cgroup_sock_addr',
  'lwt_seg6local',
  'lirc_mode2',
  'sk_reuseport',
  'flow_dissector',
  'cgroup_sysctl',
  'raw_tracepoint_writable',
  'cgroup_sockopt',
  'tracing',
  'struct_ops',
  'ext',
  'lsm',
  'sk_lookup',
  'syscall',
  'netfilter',
];

/** Names of map types, by number. */
export const MAP_TYPE_NAMES: readonly string[] = [
  'unspec',
  'hash',
  'array',
  'prog_array',
  'perf_event_array',
  'percpu_hash',
  'percpu_array',
  'stack_trace',
  'cgroup_array',
  'lru_hash',
  'lru_percpu_hash',
  'lpm_trie',
  'array_of_maps',
  'hash_of_maps',
  'devmap',
  'sockmap',
  'cpumap',
  'xskmap',
  'sockhash',
  'cgroup_storage',
  'reuseport_sockarray',
  'percpu_cgroup_storage',
  'queue',
  'stack',
  'sk_storage',
  'devmap_hash',
  'struct_ops',
  'ringbuf',
  'inode_storage',
  'task_storage',
  'bloom_filter',
  'user_ringbuf',
  'cgrp_storage',
  'arena',
  'insn_array',
];

/** Names of helper functions without the `bpf_` prefix, by number (bpf-helpers(7)). */
export const HELPER_NAMES: readonly string[] = [
  'unspec',
  'map_lookup_elem',
  'map_update_elem',
  'map_delete_elem',
  'probe_read',
  'ktime_get_ns',
  'trace_printk',
  'get_prandom_u32',
  'get_smp_processor_id',
  'skb_store_bytes',
  'l3_csum_replace',
  'l4_csum_replace',
  'tail_call',
  'clone_redirect',
  'get_current_pid_tgid',
  'get_current_uid_gid',
  'get_current_comm',
  'get_cgroup_classid',
  'skb_vlan_push',
  'skb_vlan_pop',
  'skb_get_tunnel_key',
  'skb_set_tunnel_key',
  'perf_event_read',
  'redirect',
  'get_route_realm',
  'perf_event_output',
  'skb_load_bytes',
  'get_stackid',
  'csum_diff',
  'skb_get_tunnel_opt',
  'skb_set_tunnel_opt',
  'skb_change_proto',
  'skb_change_type',
  'skb_under_cgroup',
  'get_hash_recalc',
  'get_current_task',
  'probe_write_user',
  'current_task_under_cgroup',
  'skb_change_tail',
  'skb_pull_data',
  'csum_update',
  'set_hash_invalid',
  'get_numa_node_id',
  'skb_change_head',
  'xdp_adjust_head',
  'probe_read_str',
  'get_socket_cookie',
  'get_socket_uid',
  'set_hash',
  'setsockopt',
  'skb_adjust_room',
  'redirect_map',
  'sk_redirect_map',
  'sock_map_update',
  'xdp_adjust_meta',
  'perf_event_read_value',
  'perf_prog_read_value',
  'getsockopt',
  'override_return',
  'sock_ops_cb_flags_set',
  'msg_redirect_map',
  'msg_apply_bytes',
  'msg_cork_bytes',
  'msg_pull_data',
  'bind',
  'xdp_adjust_tail',
  'skb_get_xfrm_state',
  'get_stack',
  'skb_load_bytes_relative',
  'fib_lookup',
  'sock_hash_update',
  'msg_redirect_hash',
  'sk_redirect_hash',
  'lwt_push_encap',
  'lwt_seg6_store_bytes',
  'lwt_seg6_adjust_srh',
  'lwt_seg6_action',
  'rc_repeat',
  'rc_keydown',
  'skb_cgroup_id',
  'get_current_cgroup_id',
  'get_local_storage',
  'sk_select_reuseport',
  'skb_ancestor_cgroup_id',
  'sk_lookup_tcp',
  'sk_lookup_udp',
  'sk_release',
  'map_push_elem',
  'map_pop_elem',
  'map_peek_elem',
  'msg_push_data',
  'msg_pop_data',
  'rc_pointer_rel',
  'spin_lock',
  'spin_unlock',
  'sk_fullsock',
  'tcp_sock',
  'skb_ecn_set_ce',
  'get_listener_sock',
  'skc_lookup_tcp',
  'tcp_check_syncookie',
  'sysctl_get_name',
  'sysctl_get_current_value',
  'sysctl_get_new_value',
  'sysctl_set_new_value',
  'strtol',
  'strtoul',
  'sk_storage_get',
  'sk_storage_delete',
  'send_signal',
  'tcp_gen_syncookie',
  'skb_output',
  'probe_read_user',
  'probe_read_kernel',
  'probe_read_user_str',
  'probe_read_kernel_str',
  'tcp_send_ack',
  'send_signal_thread',
  'jiffies64',
  'read_branch_records',
  'get_ns_current_pid_tgid',
  'xdp_output',
  'get_netns_cookie',
  'get_current_ancestor_cgroup_id',
  'sk_assign',
  'ktime_get_boot_ns',
  'seq_printf',
  'seq_write',
  'sk_cgroup_id',
  'sk_ancestor_cgroup_id',
  'ringbuf_output',
  'ringbuf_reserve',
  'ringbuf_submit',
  'ringbuf_discard',
  'ringbuf_query',
  'csum_level',
  'skc_to_tcp6_sock',
  'skc_to_tcp_sock',
  'skc_to_tcp_timewait_sock',
  'skc_to_tcp_request_sock',
  'skc_to_udp6_sock',
  'get_task_stack',
  'load_hdr_opt',
  'store_hdr_opt',
  'reserve_hdr_opt',
  'inode_storage_get',
  'inode_storage_delete',
  'd_path',
  'copy_from_user',
  'snprintf_btf',
  'seq_printf_btf',
  'skb_cgroup_classid',
  'redirect_neigh',
  'per_cpu_ptr',
  'this_cpu_ptr',
  'redirect_peer',
  'task_storage_get',
  'task_storage_delete',
  'get_current_task_btf',
  'bprm_opts_set',
  'ktime_get_coarse_ns',
  'ima_inode_hash',
  'sock_from_file',
  'check_mtu',
  'for_each_map_elem',
  'snprintf',
  'sys_bpf',
  'btf_find_by_name_kind',
  'sys_close',
  'timer_init',
  'timer_set_callback',
  'timer_start',
  'timer_cancel',
  'get_func_ip',
  'get_attach_cookie',
  'task_pt_regs',
  'get_branch_snapshot',
  'trace_vprintk',
  'skc_to_unix_sock',
  'kallsyms_lookup_name',
  'find_vma',
  'loop',
  'strncmp',
  'get_func_arg',
  'get_func_ret',
  'get_func_arg_cnt',
  'get_retval',
  'set_retval',
  'xdp_get_buff_len',
  'xdp_load_bytes',
  'xdp_store_bytes',
  'copy_from_user_task',
  'skb_set_tstamp',
  'ima_file_hash',
  'kptr_xchg',
  'map_lookup_percpu_elem',
  'skc_to_mptcp_sock',
  'dynptr_from_mem',
  'ringbuf_reserve_dynptr',
  'ringbuf_submit_dynptr',
  'ringbuf_discard_dynptr',
  'dynptr_read',
  'dynptr_write',
  'dynptr_data',
  'tcp_raw_gen_syncookie_ipv4',
  'tcp_raw_gen_syncookie_ipv6',
  'tcp_raw_check_syncookie_ipv4',
  'tcp_raw_check_syncookie_ipv6',
  'ktime_get_tai_ns',
  'user_ringbuf_drain',
  'cgrp_storage_get',
  'cgrp_storage_delete',
];
