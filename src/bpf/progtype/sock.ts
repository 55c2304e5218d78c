/**
 * `struct bpf_sock`: the context of cgroup_sock programs, and what stands behind pointers to sockets; `struct
 * bpf_tcp_sock`, `bpf_xdp_sock` and `bpf_flow_keys` (linux/bpf.h).
 */
import {
  BPF_CGROUP_INET_SOCK_CREATE,
  BPF_CGROUP_INET_SOCK_RELEASE,
  BPF_CGROUP_INET4_POST_BIND,
  BPF_CGROUP_INET6_POST_BIND,
  BPF_PROG_TYPE_CGROUP_SOCK,
} from '../../wire/uapi/bpf.ts';
import { bytes, integer, type Struct, word, words } from './layout.ts';
import { type ContextRules, type Env, type Fields, NONE, names, vary } from './rules.ts';

export const SOCK_BOUND_DEV_IF = 0;
export const SOCK_FAMILY = 4;
export const SOCK_TYPE = 8;
export const SOCK_PROTOCOL = 12;
export const SOCK_MARK = 16;
export const SOCK_PRIORITY = 20;
export const SOCK_SRC_IP4 = 24;
export const SOCK_SRC_IP6 = 28;
export const SOCK_SRC_PORT = 44;
export const SOCK_DST_PORT = 48;
export const SOCK_DST_IP4 = 52;
export const SOCK_DST_IP6 = 56;
export const SOCK_STATE = 72;
export const SOCK_RX_QUEUE_MAPPING = 76;
export const SOCK_SIZE = 80;

export const BPF_SOCK: Struct = {
  name: 'bpf_sock',
  size: SOCK_SIZE,
  fields: [
    word('bound_dev_if', SOCK_BOUND_DEV_IF, 'whole'),
    word('family', SOCK_FAMILY, 'head'),
    word('type', SOCK_TYPE, 'head'),
    word('protocol', SOCK_PROTOCOL, 'head'),
    word('mark', SOCK_MARK, 'whole'),
    word('priority', SOCK_PRIORITY, 'whole'),
    word('src_ip4', SOCK_SRC_IP4),
    words('src_ip6', SOCK_SRC_IP6, 4),
    word('src_port', SOCK_SRC_PORT, 'head'),
    integer('dst_port', SOCK_DST_PORT, 2, 'port'),
    word('dst_ip4', SOCK_DST_IP4),
    words('dst_ip6', SOCK_DST_IP6, 4),
    word('state', SOCK_STATE, 'head'),
    word('rx_queue_mapping', SOCK_RX_QUEUE_MAPPING, 'head'),
  ],
};

const ALL = names(BPF_SOCK);
/** Before a socket is bound it has no address. */
const UNBOUND = vary(ALL, ['src_ip4', 'src_ip6', 'src_port']);
const BOUND = vary(ALL, ['bound_dev_if', 'mark', 'priority', 'src_ip4', 'src_ip6']);
const BOUND4 = vary(BOUND, [], ['src_ip4']);
const BOUND6 = vary(BOUND, [], ['src_ip6']);
const SETTABLE: Fields = new Set(['bound_dev_if', 'mark', 'priority']);

const isUnbound = (env: Env): boolean =>
  env.attach === BPF_CGROUP_INET_SOCK_CREATE || env.attach === BPF_CGROUP_INET_SOCK_RELEASE;

export const SOCK_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [
    BPF_PROG_TYPE_CGROUP_SOCK,
    {
      struct: BPF_SOCK,
      read: (env) => {
        if (isUnbound(env)) return UNBOUND;
        if (env.attach === BPF_CGROUP_INET4_POST_BIND) return BOUND4;
        return env.attach === BPF_CGROUP_INET6_POST_BIND ? BOUND6 : NONE;
      },
      write: (env) => (isUnbound(env) ? SETTABLE : NONE),
    },
  ],
]);

/** Behind PTR_TO_SOCK_COMMON, which may be a request or timewait socket, some fields are missing. */
export const SOCK_COMMON_FIELDS: Fields = vary(ALL, ['type', 'protocol', 'mark', 'priority']);
export const SOCKET_FIELDS: Fields = ALL;

const w = (name: string, offset: number) => word(name, offset, 'whole');

export const BPF_TCP_SOCK: Struct = {
  name: 'bpf_tcp_sock',
  size: 112,
  fields: [
    w('snd_cwnd', 0),
    w('srtt_us', 4),
    w('rtt_min', 8),
    w('snd_ssthresh', 12),
    w('rcv_nxt', 16),
    w('snd_nxt', 20),
    w('snd_una', 24),
    w('mss_cache', 28),
    w('ecn_flags', 32),
    w('rate_delivered', 36),
    w('rate_interval_us', 40),
    w('packets_out', 44),
    w('retrans_out', 48),
    w('total_retrans', 52),
    w('segs_in', 56),
    w('data_segs_in', 60),
    w('segs_out', 64),
    w('data_segs_out', 68),
    w('lost_out', 72),
    w('sacked_out', 76),
    integer('bytes_received', 80, 8),
    integer('bytes_acked', 88, 8),
    w('dsack_dups', 96),
    w('delivered', 100),
    w('delivered_ce', 104),
    w('icsk_retransmits', 108),
  ],
};

export const BPF_XDP_SOCK: Struct = { name: 'bpf_xdp_sock', size: 4, fields: [w('queue_id', 0)] };

export const FLOW_KEYS_NHOFF = 0;
export const FLOW_KEYS_THOFF = 2;
export const FLOW_KEYS_ADDR_PROTO = 4;
export const FLOW_KEYS_IS_FRAG = 6;
export const FLOW_KEYS_IS_FIRST_FRAG = 7;
export const FLOW_KEYS_IS_ENCAP = 8;
export const FLOW_KEYS_IP_PROTO = 9;
export const FLOW_KEYS_N_PROTO = 10;
export const FLOW_KEYS_SPORT = 12;
export const FLOW_KEYS_DPORT = 14;
export const FLOW_KEYS_IPV4_SRC = 16;
export const FLOW_KEYS_IPV4_DST = 20;
export const FLOW_KEYS_IPV6_SRC = 16;
export const FLOW_KEYS_IPV6_DST = 32;
export const FLOW_KEYS_FLAGS = 48;
export const FLOW_KEYS_FLOW_LABEL = 52;
export const FLOW_KEYS_SIZE = 56;

/** Loads and stores of any width, at any offset. */
export const BPF_FLOW_KEYS: Struct = {
  name: 'bpf_flow_keys',
  size: FLOW_KEYS_SIZE,
  fields: [bytes('bpf_flow_keys', 0, FLOW_KEYS_SIZE)],
};
