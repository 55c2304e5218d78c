/**
 * The structs behind pointers that netloom's tracing points hand to programs. Names of structs and members are Linux's, so
 * that programs written for Linux with CO-RE find them; only members that netloom can fill are here, in an order of its
 * own. Big-endian members (be16, be32) hold network byte order.
 */
import { layout, type StructLayout } from './declaration.ts';

const DECLARATIONS: Readonly<Record<string, string>> = {
  trace_entry: 'u16 type; u8 flags; u8 preempt_count; int pid',

  in6_bytes: 'u8 u6_addr8[16]',
  in6_addr: 'struct in6_bytes in6_u',

  ns_common: 'u32 inum',
  net: 'struct ns_common ns; u64 net_cookie',

  net_device: `
    char name[16]; int ifindex; u32 mtu; u32 flags; u16 type; u16 hard_header_len; u8 addr_len; u8 operstate;
    u8 *dev_addr; struct net *nd_net; u32 num_tx_queues; u32 num_rx_queues`,
  netdev_queue: 'struct net_device *dev; struct Qdisc *qdisc; ulong state',
  Qdisc: 'u32 handle; u32 parent; u32 flags; u32 limit; struct netdev_queue *dev_queue',

  sk_buff: `
    struct net_device *dev; struct sock *sk; s64 tstamp; char cb[48]; ulong _nfct;
    u32 len; u32 data_len; u16 mac_len; u16 queue_mapping; u8 pkt_type; u8 ip_summed; u8 nf_trace;
    u32 priority; int skb_iif; u32 hash; be16 vlan_proto; u16 vlan_tci; u32 mark; u32 secmark; be16 protocol;
    u16 transport_header; u16 network_header; u16 mac_header; u32 tail; u32 end; u8 *head; u8 *data; u32 truesize`,

  sock_common: `
    be32 skc_daddr; be32 skc_rcv_saddr; u32 skc_hash; be16 skc_dport; u16 skc_num; u16 skc_family; u8 skc_state;
    int skc_bound_dev_if; struct net *skc_net; struct in6_addr skc_v6_daddr; struct in6_addr skc_v6_rcv_saddr;
    u64 skc_cookie`,
  sock: `
    struct sock_common __sk_common; u16 sk_type; u16 sk_protocol; u32 sk_mark; u32 sk_priority; int sk_rcvbuf;
    int sk_sndbuf; int sk_rmem_alloc; int sk_wmem_queued; int sk_err; u32 sk_uid`,
  request_sock: 'struct sock_common __req_common; u16 mss; u8 num_retrans',
  inet_sock: 'struct sock sk; be32 inet_saddr; be16 inet_sport; u16 inet_num; u8 tos; u8 min_ttl',
  inet_connection_sock: `
    struct inet_sock icsk_inet; u32 icsk_rto; u32 icsk_pmtu_cookie; u8 icsk_ca_state; u8 icsk_retransmits; u8 icsk_backoff`,
  tcp_sock: `
    struct inet_connection_sock inet_conn; u32 rcv_nxt; u32 copied_seq; u32 rcv_wnd; u32 snd_una; u32 snd_nxt;
    u32 write_seq; u32 snd_wnd; u32 snd_cwnd; u32 snd_ssthresh; u32 srtt_us; u32 mdev_us; u32 rttvar_us; u32 mss_cache;
    u32 packets_out; u32 retrans_out; u32 lost_out; u32 sacked_out; u32 total_retrans; u32 delivered; u32 segs_in;
    u32 segs_out; u32 data_segs_in; u32 data_segs_out; u64 bytes_received; u64 bytes_acked; u64 bytes_sent;
    u64 bytes_retrans`,

  flowi_common: `
    int flowic_oif; int flowic_iif; u32 flowic_mark; u8 flowic_tos; u8 flowic_scope; u8 flowic_proto; u8 flowic_flags;
    u32 flowic_uid`,
  flowi_ports: 'be16 dport; be16 sport',
  flowi_uli: 'struct flowi_ports ports',
  flowi4: 'struct flowi_common __fl_common; be32 saddr; be32 daddr; struct flowi_uli uli',
  flowi6: 'struct flowi_common __fl_common; struct in6_addr daddr; struct in6_addr saddr; struct flowi_uli uli',
  fib_gw: 'be32 ipv4',
  fib_nh_common:
    'struct net_device *nhc_dev; int nhc_oif; u8 nhc_scope; u8 nhc_family; u8 nhc_gw_family; struct fib_gw nhc_gw',
  fib6_info: 'struct net_device *dev; u32 fib6_metric; u8 fib6_type',
  fib6_result: 'struct fib6_info *f6i; u32 fib6_flags; u8 fib6_type',
  fib6_table: 'u32 tb6_id',

  neighbour: `
    struct net_device *dev; ulong confirmed; ulong updated; ulong used; u8 ha[32]; u8 nud_state; u8 type; u8 dead;
    u32 flags; u16 family; u8 primary_key[16]`,

  nf_hook_state: 'u8 hook; u8 pf; struct net_device *in; struct net_device *out; struct sock *sk; struct net *net',
  nf_conn: 'u32 timeout; u32 mark; ulong status; u16 zone; struct net *ct_net',

  net_bridge: 'struct net_device *dev',
  net_bridge_port: 'struct net_bridge *br; struct net_device *dev; u16 port_no; u8 state',

  bpf_prog: 'u32 type; u32 id; char name[16]',
  xdp_rxq_info: 'struct net_device *dev; u32 queue_index',
  xdp_buff:
    'u8 *data; u8 *data_end; u8 *data_meta; u8 *data_hard_start; struct xdp_rxq_info *rxq; u32 frame_sz; u32 flags',
};

/** Layouts of all structs by name; a struct comes after those it contains. */
export const STRUCTS: ReadonlyMap<string, StructLayout> = (() => {
  const out = new Map<string, StructLayout>();
  const known = (name: string): StructLayout => {
    const made = out.get(name);
    if (made !== undefined) return made;
    const text = DECLARATIONS[name];
    if (text === undefined) throw new Error(`no struct ${name}`);
    const built = layout(name, text, known);
    out.set(name, built);
    return built;
  };
  for (const name of Object.keys(DECLARATIONS)) known(name);
  return out;
})();

/** Offset of `path` ("__sk_common.skc_dport") in a struct. */
export function offsetOf(struct: string, path: string): number {
  let at = 0;
  let name = struct;
  for (const step of path.split('.')) {
    const member = STRUCTS.get(name)?.members.find((m) => m.name === step);
    if (member === undefined) throw new RangeError(`struct ${struct} has no member ${path}`);
    at += member.offset;
    name = member.type.kind === 'struct' ? member.type.name : '';
  }
  return at;
}

/** Bytes of a struct. */
export function sizeOf(struct: string): number {
  const found = STRUCTS.get(struct);
  if (found === undefined) throw new RangeError(`no struct ${struct}`);
  return found.size;
}
