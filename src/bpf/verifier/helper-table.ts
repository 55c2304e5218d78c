/**
 * Prototypes of the helper functions: what each takes and gives back (bpf-helpers(7)). Which program types may call
 * which helper is said in `progtype/`.
 */
import {
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_LOOKUP,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_TRACING,
} from '../../wire/uapi/bpf.ts';

/** Kind of a parameter, the kernel's `enum bpf_arg_type` in short. */
export type ArgKind =
  | 'any'
  | 'map'
  | 'key'
  | 'value'
  | 'ctx'
  | 'mem'
  | 'size'
  | 'alloc_size'
  | 'spin_lock'
  | 'timer'
  | 'socket'
  | 'sock_common'
  | 'btf_sock_common'
  | 'btf'
  | 'percpu_btf'
  | 'ringbuf_mem'
  | 'func'
  | 'stack'
  | 'const_str'
  | 'dynptr'
  | 'kptr_dest';

/** One parameter. */
export type Arg = {
  readonly kind: ArgKind;
  /** NULL may be passed. */
  readonly nullable?: boolean;
  /** The helper does not read the memory before it writes it. */
  readonly uninit?: boolean;
  /** The helper writes the memory. */
  readonly write?: boolean;
  /** The helper only reads the memory. */
  readonly readOnly?: boolean;
  /** The helper gives the object back. */
  readonly release?: boolean;
  /** `size`: zero is allowed. */
  readonly zero?: boolean;
  /** `mem`: bytes, when no size parameter follows. */
  readonly fixed?: number;
  /** `mem`: must be aligned to its size. */
  readonly aligned?: boolean;
  /** `btf`: the kernel struct. */
  readonly btf?: string;
  /** `dynptr`: the one kind taken; any when absent. */
  readonly dynptr?: 'local' | 'ringbuf';
};

/** Kind of the return value, the kernel's `enum bpf_return_type` in short. */
export type RetKind = 'int' | 'void' | 'map_value' | 'socket' | 'tcp_sock' | 'sock_common' | 'mem' | 'btf' | 'percpu';

export type Ret = {
  readonly kind: RetKind;
  readonly nullable?: boolean;
  readonly trusted?: boolean;
  readonly btf?: string;
};

/** What a helper takes, gives back and does. */
export type HelperProto = {
  readonly id: number;
  readonly args: readonly Arg[];
  readonly ret: Ret;
  /** Only for programs with a GPL-compatible license. */
  readonly gplOnly: boolean;
  /** Packet pointers may be passed for memory. */
  readonly pktAccess: boolean;
  readonly mightSleep: boolean;
  /** Keeps registers R1 to R5 that the caller spills and fills around it (bpf_fastcall). */
  readonly fastcall: boolean;
};

// Parameters that several helpers share.
const ANY: Arg = { kind: 'any' };
const MAP: Arg = { kind: 'map' };
const KEY: Arg = { kind: 'key' };
const VALUE: Arg = { kind: 'value' };
const VALUE_OUT: Arg = { kind: 'value', uninit: true, write: true };
const VALUE_NULL: Arg = { kind: 'value', nullable: true };
const CTX: Arg = { kind: 'ctx' };
const CTX_NULL: Arg = { kind: 'ctx', nullable: true };
/** Memory that is read; one that is filled; one that is read and written. */
const IN: Arg = { kind: 'mem', readOnly: true };
const IN_NULL: Arg = { kind: 'mem', readOnly: true, nullable: true };
const OUT: Arg = { kind: 'mem', uninit: true, write: true };
const INOUT: Arg = { kind: 'mem', write: true };
const INOUT_NULL: Arg = { kind: 'mem', write: true, nullable: true };
/** Memory whose direction the prototype does not say: checked as read, read-only memory is not taken. */
const MEM: Arg = { kind: 'mem' };
const LONG_OUT: Arg = { kind: 'mem', uninit: true, write: true, fixed: 8, aligned: true };
const SIZE: Arg = { kind: 'size' };
const SIZE0: Arg = { kind: 'size', zero: true };
const ALLOC_SIZE: Arg = { kind: 'alloc_size' };
const SPIN_LOCK: Arg = { kind: 'spin_lock' };
const TIMER: Arg = { kind: 'timer' };
const SOCK: Arg = { kind: 'btf_sock_common' };
const SOCK_RELEASE: Arg = { kind: 'btf_sock_common', release: true };
const SOCK_COMMON: Arg = { kind: 'sock_common' };
const RINGBUF_MEM: Arg = { kind: 'ringbuf_mem', release: true };
const FUNC: Arg = { kind: 'func' };
const STACK_NULL: Arg = { kind: 'stack', nullable: true };
const STR: Arg = { kind: 'const_str' };
const DYNPTR: Arg = { kind: 'dynptr' };
const DYNPTR_IN: Arg = { kind: 'dynptr', readOnly: true };
const PERCPU: Arg = { kind: 'percpu_btf' };
const fixed = (size: number): Arg => ({ kind: 'mem', fixed: size });
const btf = (name: string): Arg => ({ kind: 'btf', btf: name });
const btfOrNull = (name: string): Arg => ({ kind: 'btf', btf: name, nullable: true });

const INT: Ret = { kind: 'int' };
const VOID: Ret = { kind: 'void' };
const VALUE_OR_NULL: Ret = { kind: 'map_value', nullable: true };
const SOCKET_OR_NULL: Ret = { kind: 'socket', nullable: true };
const TCP_SOCK_OR_NULL: Ret = { kind: 'tcp_sock', nullable: true };
const SOCK_COMMON_OR_NULL: Ret = { kind: 'sock_common', nullable: true };
const MEM_OR_NULL: Ret = { kind: 'mem', nullable: true };
const btfRet = (name: string): Ret => ({ kind: 'btf', btf: name, nullable: true });

// Properties.
const GPL = 1;
const PKT = 2;
const SLEEP = 4;
const FASTCALL = 8;

type Row = readonly [id: number, ret: Ret, args: readonly Arg[], flags?: number];

const ROWS: readonly Row[] = [
  // Maps.
  [1, VALUE_OR_NULL, [MAP, KEY], PKT], // map_lookup_elem
  [2, INT, [MAP, KEY, VALUE, ANY], PKT], // map_update_elem
  [3, INT, [MAP, KEY], PKT], // map_delete_elem
  [87, INT, [MAP, VALUE, ANY], PKT], // map_push_elem
  [88, INT, [MAP, VALUE_OUT]], // map_pop_elem
  [89, INT, [MAP, VALUE_OUT]], // map_peek_elem
  [164, INT, [MAP, FUNC, STACK_NULL, ANY]], // for_each_map_elem
  [195, VALUE_OR_NULL, [MAP, KEY, ANY], PKT], // map_lookup_percpu_elem
  [81, { kind: 'map_value' }, [MAP, ANY]], // get_local_storage

  // Reading kernel and user memory.
  [4, INT, [OUT, SIZE0, ANY], GPL], // probe_read
  [45, INT, [OUT, SIZE0, ANY], GPL], // probe_read_str
  [112, INT, [OUT, SIZE0, ANY], GPL], // probe_read_user
  [113, INT, [OUT, SIZE0, ANY], GPL], // probe_read_kernel
  [114, INT, [OUT, SIZE0, ANY], GPL], // probe_read_user_str
  [115, INT, [OUT, SIZE0, ANY], GPL], // probe_read_kernel_str
  [36, INT, [ANY, IN, SIZE], GPL], // probe_write_user
  [148, INT, [OUT, SIZE0, ANY], SLEEP], // copy_from_user
  [191, INT, [OUT, SIZE0, ANY, btf('task_struct'), ANY], GPL | SLEEP], // copy_from_user_task

  // Time, chance, who runs.
  [5, INT, []], // ktime_get_ns
  [125, INT, []], // ktime_get_boot_ns
  [160, INT, []], // ktime_get_coarse_ns
  [208, INT, []], // ktime_get_tai_ns
  [118, INT, []], // jiffies64
  [7, INT, []], // get_prandom_u32
  [8, INT, [], FASTCALL], // get_smp_processor_id
  [42, INT, []], // get_numa_node_id
  [14, INT, []], // get_current_pid_tgid
  [15, INT, []], // get_current_uid_gid
  [16, INT, [OUT, SIZE]], // get_current_comm
  [35, INT, [], GPL], // get_current_task
  [158, { kind: 'btf', btf: 'task_struct', trusted: true }, [], GPL], // get_current_task_btf
  [80, INT, []], // get_current_cgroup_id
  [123, INT, [ANY]], // get_current_ancestor_cgroup_id
  [120, INT, [ANY, ANY, OUT, SIZE]], // get_ns_current_pid_tgid
  [109, INT, [ANY]], // send_signal
  [117, INT, [ANY]], // send_signal_thread
  [186, INT, []], // get_retval
  [187, INT, [ANY]], // set_retval

  // Text.
  [6, INT, [IN, SIZE], GPL], // trace_printk
  [177, INT, [IN, SIZE, IN_NULL, SIZE0], GPL], // trace_vprintk
  [165, INT, [INOUT_NULL, SIZE0, STR, IN_NULL, SIZE0], GPL], // snprintf
  [149, INT, [INOUT, SIZE, IN, SIZE, ANY], GPL], // snprintf_btf
  [126, INT, [btf('seq_file'), IN, SIZE, IN_NULL, SIZE0], GPL], // seq_printf
  [127, INT, [btf('seq_file'), IN, SIZE0], GPL], // seq_write
  [150, INT, [btf('seq_file'), IN, SIZE0, ANY], GPL], // seq_printf_btf
  [105, INT, [IN, SIZE, ANY, LONG_OUT]], // strtol
  [106, INT, [IN, SIZE, ANY, LONG_OUT]], // strtoul
  [182, INT, [IN, SIZE, STR]], // strncmp

  // Control.
  [12, VOID, [CTX, MAP, ANY]], // tail_call
  [181, INT, [ANY, FUNC, STACK_NULL, ANY]], // loop
  [93, VOID, [SPIN_LOCK]], // spin_lock
  [94, VOID, [SPIN_LOCK]], // spin_unlock
  [169, INT, [TIMER, MAP, ANY], GPL], // timer_init
  [170, INT, [TIMER, FUNC], GPL], // timer_set_callback
  [171, INT, [TIMER, ANY, ANY], GPL], // timer_start
  [172, INT, [TIMER], GPL], // timer_cancel
  [194, { kind: 'btf', nullable: true }, [{ kind: 'kptr_dest' }, { kind: 'btf', nullable: true, release: true }]], // kptr_xchg
  [180, INT, [btf('task_struct'), ANY, FUNC, STACK_NULL, ANY]], // find_vma
  [153, { kind: 'percpu', nullable: true }, [PERCPU, ANY]], // per_cpu_ptr
  [154, { kind: 'percpu' }, [PERCPU]], // this_cpu_ptr
  [58, INT, [CTX, ANY], GPL], // override_return

  // Events and ring buffers.
  [22, INT, [MAP, ANY], GPL], // perf_event_read
  [55, INT, [MAP, ANY, OUT, SIZE], GPL], // perf_event_read_value
  [56, INT, [CTX, OUT, SIZE], GPL], // perf_prog_read_value
  [25, INT, [CTX, MAP, ANY, IN, SIZE0], GPL], // perf_event_output
  [111, INT, [btf('sk_buff'), MAP, ANY, IN, SIZE0], GPL], // skb_output
  [121, INT, [btf('xdp_buff'), MAP, ANY, IN, SIZE0], GPL], // xdp_output
  [27, INT, [CTX, MAP, ANY], GPL], // get_stackid
  [67, INT, [CTX, OUT, SIZE0, ANY], GPL], // get_stack
  [141, INT, [btf('task_struct'), OUT, SIZE0, ANY]], // get_task_stack
  [119, INT, [CTX, INOUT_NULL, SIZE0, ANY], GPL], // read_branch_records
  [176, INT, [OUT, SIZE0], GPL], // get_branch_snapshot
  [130, INT, [MAP, IN, SIZE0, ANY]], // ringbuf_output
  [131, MEM_OR_NULL, [MAP, ALLOC_SIZE, ANY]], // ringbuf_reserve
  [132, VOID, [RINGBUF_MEM, ANY]], // ringbuf_submit
  [133, VOID, [RINGBUF_MEM, ANY]], // ringbuf_discard
  [134, INT, [MAP, ANY]], // ringbuf_query
  [209, INT, [MAP, FUNC, STACK_NULL, ANY]], // user_ringbuf_drain

  // Dynptrs.
  [197, INT, [OUT, SIZE0, ANY, { kind: 'dynptr', dynptr: 'local', uninit: true, write: true }]], // dynptr_from_mem
  [198, INT, [MAP, ANY, ANY, { kind: 'dynptr', dynptr: 'ringbuf', uninit: true, write: true }]], // ringbuf_reserve_dynptr
  [199, VOID, [{ kind: 'dynptr', dynptr: 'ringbuf', release: true }, ANY]], // ringbuf_submit_dynptr
  [200, VOID, [{ kind: 'dynptr', dynptr: 'ringbuf', release: true }, ANY]], // ringbuf_discard_dynptr
  [201, INT, [OUT, SIZE0, DYNPTR_IN, ANY, ANY]], // dynptr_read
  [202, INT, [DYNPTR, ANY, IN, SIZE0, ANY]], // dynptr_write
  [203, MEM_OR_NULL, [DYNPTR, ANY, ALLOC_SIZE]], // dynptr_data

  // Packets: sk_buff.
  [9, INT, [CTX, ANY, IN, SIZE, ANY]], // skb_store_bytes
  [10, INT, [CTX, ANY, ANY, ANY, ANY]], // l3_csum_replace
  [11, INT, [CTX, ANY, ANY, ANY, ANY]], // l4_csum_replace
  [13, INT, [CTX, ANY, ANY]], // clone_redirect
  [17, INT, []], // get_cgroup_classid
  [18, INT, [CTX, ANY, ANY]], // skb_vlan_push
  [19, INT, [CTX]], // skb_vlan_pop
  [20, INT, [CTX, OUT, SIZE, ANY]], // skb_get_tunnel_key
  [21, INT, [CTX, IN, SIZE, ANY]], // skb_set_tunnel_key
  [24, INT, [CTX]], // get_route_realm
  [26, INT, [CTX, ANY, OUT, SIZE]], // skb_load_bytes
  [68, INT, [CTX, ANY, OUT, SIZE, ANY]], // skb_load_bytes_relative
  [28, INT, [IN_NULL, SIZE0, IN_NULL, SIZE0, ANY], PKT], // csum_diff
  [29, INT, [CTX, OUT, SIZE]], // skb_get_tunnel_opt
  [30, INT, [CTX, IN, SIZE]], // skb_set_tunnel_opt
  [31, INT, [CTX, ANY, ANY]], // skb_change_proto
  [32, INT, [CTX, ANY]], // skb_change_type
  [33, INT, [CTX, MAP, ANY]], // skb_under_cgroup
  [34, INT, [CTX]], // get_hash_recalc
  [37, INT, [MAP, ANY]], // current_task_under_cgroup
  [38, INT, [CTX, ANY, ANY]], // skb_change_tail
  [39, INT, [CTX, ANY]], // skb_pull_data
  [40, INT, [CTX, ANY]], // csum_update
  [41, INT, [CTX]], // set_hash_invalid
  [43, INT, [CTX, ANY, ANY]], // skb_change_head
  [48, INT, [CTX, ANY]], // set_hash
  [50, INT, [CTX, ANY, ANY, ANY]], // skb_adjust_room
  [66, INT, [CTX, ANY, OUT, SIZE, ANY]], // skb_get_xfrm_state
  [79, INT, [CTX]], // skb_cgroup_id
  [83, INT, [CTX, ANY]], // skb_ancestor_cgroup_id
  [97, INT, [CTX]], // skb_ecn_set_ce
  [135, INT, [CTX, ANY]], // csum_level
  [151, INT, [CTX]], // skb_cgroup_classid
  [192, INT, [CTX, ANY, ANY]], // skb_set_tstamp

  // Packets: XDP, and where packets go.
  [44, INT, [CTX, ANY]], // xdp_adjust_head
  [54, INT, [CTX, ANY]], // xdp_adjust_meta
  [65, INT, [CTX, ANY]], // xdp_adjust_tail
  [188, INT, [CTX]], // xdp_get_buff_len
  [189, INT, [CTX, ANY, OUT, SIZE]], // xdp_load_bytes
  [190, INT, [CTX, ANY, IN, SIZE]], // xdp_store_bytes
  [23, INT, [ANY, ANY]], // redirect
  [51, INT, [MAP, ANY, ANY]], // redirect_map
  [152, INT, [ANY, IN_NULL, SIZE0, ANY]], // redirect_neigh
  [155, INT, [ANY, ANY]], // redirect_peer
  [69, INT, [CTX, INOUT, SIZE, ANY], GPL], // fib_lookup
  [163, INT, [CTX, ANY, { kind: 'mem', write: true, fixed: 4, aligned: true }, ANY, ANY], GPL], // check_mtu

  // Lightweight tunnels.
  [73, INT, [CTX, ANY, IN, SIZE]], // lwt_push_encap
  [74, INT, [CTX, ANY, IN, SIZE]], // lwt_seg6_store_bytes
  [75, INT, [CTX, ANY, ANY]], // lwt_seg6_adjust_srh
  [76, INT, [CTX, ANY, IN, SIZE]], // lwt_seg6_action

  // Sockets.
  [46, INT, [CTX]], // get_socket_cookie
  [47, INT, [CTX]], // get_socket_uid
  [122, INT, [CTX_NULL]], // get_netns_cookie
  [49, INT, [CTX, ANY, ANY, IN, SIZE]], // setsockopt
  [57, INT, [CTX, ANY, ANY, OUT, SIZE]], // getsockopt
  [59, INT, [CTX, ANY]], // sock_ops_cb_flags_set
  [64, INT, [CTX, IN, SIZE]], // bind
  [84, SOCKET_OR_NULL, [CTX, IN, SIZE0, ANY, ANY], PKT], // sk_lookup_tcp
  [85, SOCKET_OR_NULL, [CTX, IN, SIZE0, ANY, ANY], PKT], // sk_lookup_udp
  [99, SOCK_COMMON_OR_NULL, [CTX, IN, SIZE0, ANY, ANY], PKT], // skc_lookup_tcp
  [86, INT, [SOCK_RELEASE]], // sk_release
  [95, SOCKET_OR_NULL, [SOCK_COMMON]], // sk_fullsock
  [96, TCP_SOCK_OR_NULL, [SOCK_COMMON]], // tcp_sock
  [98, SOCKET_OR_NULL, [SOCK_COMMON]], // get_listener_sock
  [100, INT, [SOCK, IN, SIZE, IN, SIZE], GPL | PKT], // tcp_check_syncookie
  [110, INT, [SOCK, IN, SIZE, IN, SIZE], GPL | PKT], // tcp_gen_syncookie
  [204, INT, [fixed(20), IN, SIZE0], GPL | PKT], // tcp_raw_gen_syncookie_ipv4
  [205, INT, [fixed(40), IN, SIZE0], GPL | PKT], // tcp_raw_gen_syncookie_ipv6
  [206, INT, [fixed(20), fixed(20)], GPL | PKT], // tcp_raw_check_syncookie_ipv4
  [207, INT, [fixed(40), fixed(20)], GPL | PKT], // tcp_raw_check_syncookie_ipv6
  [107, VALUE_OR_NULL, [MAP, SOCK, VALUE_NULL, ANY]], // sk_storage_get
  [108, INT, [MAP, SOCK]], // sk_storage_delete
  [116, INT, [btf('tcp_sock'), ANY]], // tcp_send_ack
  [124, INT, [CTX, SOCK, ANY]], // sk_assign
  [128, INT, [SOCK]], // sk_cgroup_id
  [129, INT, [SOCK, ANY]], // sk_ancestor_cgroup_id
  [136, btfRet('tcp6_sock'), [SOCK]], // skc_to_tcp6_sock
  [137, btfRet('tcp_sock'), [SOCK]], // skc_to_tcp_sock
  [138, btfRet('tcp_timewait_sock'), [SOCK]], // skc_to_tcp_timewait_sock
  [139, btfRet('tcp_request_sock'), [SOCK]], // skc_to_tcp_request_sock
  [140, btfRet('udp6_sock'), [SOCK]], // skc_to_udp6_sock
  [178, btfRet('unix_sock'), [SOCK]], // skc_to_unix_sock
  [196, btfRet('mptcp_sock'), [SOCK_COMMON]], // skc_to_mptcp_sock
  [142, INT, [CTX, INOUT, SIZE, ANY]], // load_hdr_opt
  [143, INT, [CTX, IN, SIZE, ANY]], // store_hdr_opt
  [144, INT, [CTX, ANY, ANY]], // reserve_hdr_opt
  [162, btfRet('socket'), [btf('file')]], // sock_from_file

  // Socket maps and messages.
  [52, INT, [CTX, MAP, ANY, ANY]], // sk_redirect_map
  [53, INT, [CTX, MAP, KEY, ANY], PKT], // sock_map_update
  [70, INT, [CTX, MAP, KEY, ANY], PKT], // sock_hash_update
  [60, INT, [CTX, MAP, ANY, ANY]], // msg_redirect_map
  [71, INT, [CTX, MAP, KEY, ANY]], // msg_redirect_hash
  [72, INT, [CTX, MAP, KEY, ANY]], // sk_redirect_hash
  [61, INT, [CTX, ANY]], // msg_apply_bytes
  [62, INT, [CTX, ANY]], // msg_cork_bytes
  [63, INT, [CTX, ANY, ANY, ANY]], // msg_pull_data
  [90, INT, [CTX, ANY, ANY, ANY]], // msg_push_data
  [91, INT, [CTX, ANY, ANY, ANY]], // msg_pop_data
  [82, INT, [CTX, MAP, KEY, ANY]], // sk_select_reuseport

  // sysctl, infrared.
  [101, INT, [CTX, INOUT, SIZE, ANY]], // sysctl_get_name
  [102, INT, [CTX, OUT, SIZE]], // sysctl_get_current_value
  [103, INT, [CTX, OUT, SIZE]], // sysctl_get_new_value
  [104, INT, [CTX, IN, SIZE]], // sysctl_set_new_value
  [77, INT, [CTX], GPL], // rc_repeat
  [78, INT, [CTX, ANY, ANY, ANY], GPL], // rc_keydown
  [92, INT, [CTX, ANY, ANY], GPL], // rc_pointer_rel

  // Tracing and security.
  [145, VALUE_OR_NULL, [MAP, btfOrNull('inode'), VALUE_NULL, ANY]], // inode_storage_get
  [146, INT, [MAP, btfOrNull('inode')]], // inode_storage_delete
  [156, VALUE_OR_NULL, [MAP, btfOrNull('task_struct'), VALUE_NULL, ANY]], // task_storage_get
  [157, INT, [MAP, btfOrNull('task_struct')]], // task_storage_delete
  [210, VALUE_OR_NULL, [MAP, btfOrNull('cgroup'), VALUE_NULL, ANY]], // cgrp_storage_get
  [211, INT, [MAP, btfOrNull('cgroup')]], // cgrp_storage_delete
  [147, INT, [btf('path'), INOUT, SIZE0]], // d_path
  [159, INT, [btf('linux_binprm'), ANY]], // bprm_opts_set
  [161, INT, [btf('inode'), OUT, SIZE], SLEEP], // ima_inode_hash
  [193, INT, [btf('file'), OUT, SIZE], SLEEP], // ima_file_hash
  [166, INT, [ANY, IN, SIZE]], // sys_bpf
  [167, INT, [MEM, SIZE, ANY, ANY]], // btf_find_by_name_kind
  [168, INT, [ANY]], // sys_close
  [173, INT, [CTX], GPL], // get_func_ip
  [174, INT, [CTX]], // get_attach_cookie
  [175, { kind: 'btf', btf: 'pt_regs', trusted: true }, [btf('task_struct')], GPL], // task_pt_regs
  [179, INT, [MEM, SIZE0, ANY, LONG_OUT]], // kallsyms_lookup_name
  [183, INT, [CTX, ANY, LONG_OUT]], // get_func_arg
  [184, INT, [CTX, LONG_OUT]], // get_func_ret
  [185, INT, [CTX]], // get_func_arg_cnt
];

function proto([id, ret, args, flags = 0]: Row): HelperProto {
  return Object.freeze({
    id,
    args,
    ret,
    gplOnly: (flags & GPL) !== 0,
    pktAccess: (flags & PKT) !== 0,
    mightSleep: (flags & SLEEP) !== 0,
    fastcall: (flags & FASTCALL) !== 0,
  });
}

/** By helper number; undefined where there is no helper. */
export const HELPERS: readonly (HelperProto | undefined)[] = (() => {
  const table: (HelperProto | undefined)[] = Array.from({ length: 212 });
  for (const row of ROWS) table[row[0]] = proto(row);
  return table;
})();

/** Program types whose classid is the packet's, not the running task's. */
const PACKET_CLASSID = [
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
] as const;

/** Prototypes that differ for some program types. */
const BY_PROGRAM: readonly (readonly [types: readonly number[], proto: HelperProto])[] = [
  [PACKET_CLASSID, proto([17, INT, [CTX]])],
  [[BPF_PROG_TYPE_CGROUP_SOCKOPT], proto([49, INT, [SOCK, ANY, ANY, IN, SIZE]])],
  [[BPF_PROG_TYPE_CGROUP_SOCKOPT], proto([57, INT, [SOCK, ANY, ANY, OUT, SIZE]])],
  [[BPF_PROG_TYPE_SK_LOOKUP], proto([124, INT, [CTX, { kind: 'socket', nullable: true }, ANY]])],
  [
    [BPF_PROG_TYPE_SK_REUSEPORT, BPF_PROG_TYPE_TRACING],
    proto([46, INT, [{ kind: 'btf_sock_common', nullable: true }]]),
  ],
];

/** The prototype of a helper as a program type sees it. */
export function helperProto(id: number, programType = 0): HelperProto | undefined {
  return BY_PROGRAM.find(([types, p]) => p.id === id && types.includes(programType))?.[1] ?? HELPERS[id];
}

const PACKET_CHANGING: ReadonlySet<number> = new Set([
  9, 10, 11, 12, 13, 18, 19, 31, 38, 39, 43, 44, 50, 54, 63, 65, 73, 74, 75, 76, 90, 91, 143,
]);

/** The helper may move or rewrite packet data: packet pointers found before are no longer valid after it. */
export function changesPacketData(id: number): boolean {
  return PACKET_CHANGING.has(id);
}
