/**
 * Named points of netloom's stack that programs can be attached to, and what they are handed. Tracepoints have Linux's
 * names, groups and arguments (raw_tp, tp_btf) and Linux's records (tp); functions are entered and left (fentry, fexit)
 * at the places of netloom that do the same work as Linux's function of that name.
 */
import { declaration, layout, type StructLayout, type TypeRef } from './declaration.ts';
import { STRUCTS } from './structs.ts';

export type Argument = {
  readonly name: string;
  readonly type: TypeRef;
  /** The pointer may be NULL, and a program must ask first. */
  readonly nullable: boolean;
};

export type TracePoint = {
  readonly name: string;
  /** Group of a tracepoint (`tp/GROUP/NAME`); '' for a function. */
  readonly group: string;
  readonly args: readonly Argument[];
  /** Function: what it returns; undefined for void and for tracepoints. */
  readonly returns: TypeRef | undefined;
  /** Tracepoint: the record that `tp` programs get as context; its first eight bytes are the common header. */
  readonly record: StructLayout | undefined;
};

/** `skb, ?rx_sk`: a question mark before a declaration says that the pointer may be NULL. */
type Row = readonly [group: string, name: string, args: string, record?: string];

const ENDS4 = 'u16 sport; u16 dport; u16 family';
const ADDRESSES = 'u8 saddr[4]; u8 daddr[4]; u8 saddr_v6[16]; u8 daddr_v6[16]';
const TEMPLATE = 'void *skbaddr; u32 len; u32 __data_loc_name';

const TRACEPOINTS: readonly Row[] = [
  ['net', 'netif_receive_skb', 'struct sk_buff *skb', TEMPLATE],
  ['net', 'netif_rx', 'struct sk_buff *skb', TEMPLATE],
  ['net', 'net_dev_queue', 'struct sk_buff *skb', TEMPLATE],
  [
    'net',
    'net_dev_start_xmit',
    'struct sk_buff *skb, struct net_device *dev',
    `u32 __data_loc_name; u16 queue_mapping; void *skbaddr; bool vlan_tagged; u16 vlan_proto; u16 vlan_tci; u16 protocol;
     u8 ip_summed; u32 len; u32 data_len; int network_offset; bool transport_offset_valid; int transport_offset; u8 tx_flags;
     u16 gso_size; u16 gso_segs; u16 gso_type`,
  ],
  [
    'net',
    'net_dev_xmit',
    'struct sk_buff *skb, int rc, struct net_device *dev, u32 skb_len',
    'void *skbaddr; u32 len; int rc; u32 __data_loc_name',
  ],
  [
    'skb',
    'kfree_skb',
    'struct sk_buff *skb, void *location, enum skb_drop_reason reason, ?struct sock *rx_sk',
    'void *skbaddr; void *location; void *rx_sk; u16 protocol; enum skb_drop_reason reason',
  ],
  ['skb', 'consume_skb', 'struct sk_buff *skb, void *location', 'void *skbaddr; void *location'],
  ['skb', 'skb_copy_datagram_iovec', 'struct sk_buff *skb, int len', 'void *skbaddr; int len'],
  [
    'qdisc',
    'qdisc_enqueue',
    'struct Qdisc *qdisc, struct netdev_queue *txq, struct sk_buff *skb',
    'void *qdisc; void *txq; void *skbaddr; int ifindex; u32 handle; u32 parent',
  ],
  [
    'qdisc',
    'qdisc_dequeue',
    'struct Qdisc *qdisc, struct netdev_queue *txq, int packets, ?struct sk_buff *skb',
    'void *qdisc; void *txq; int packets; void *skbaddr; int ifindex; u32 handle; u32 parent; ulong txq_state',
  ],
  [
    'tcp',
    'tcp_probe',
    'struct sock *sk, struct sk_buff *skb',
    `u8 saddr[28]; u8 daddr[28]; ${ENDS4}; u32 mark; u16 data_len; u32 snd_nxt; u32 snd_una; u32 snd_cwnd; u32 ssthresh;
     u32 snd_wnd; u32 srtt; u32 rcv_wnd; u64 sock_cookie; void *skbaddr; void *skaddr`,
  ],
  [
    'tcp',
    'tcp_retransmit_skb',
    'struct sock *sk, struct sk_buff *skb, int err',
    `void *skbaddr; void *skaddr; int state; ${ENDS4}; ${ADDRESSES}; int err`,
  ],
  ['tcp', 'tcp_receive_reset', 'struct sock *sk', `void *skaddr; ${ENDS4}; ${ADDRESSES}; u64 sock_cookie`],
  ['tcp', 'tcp_destroy_sock', 'struct sock *sk', `void *skaddr; ${ENDS4}; ${ADDRESSES}; u64 sock_cookie`],
  ['tcp', 'tcp_send_reset', '?struct sock *sk, ?struct sk_buff *skb, int reason'],
  ['tcp', 'tcp_bad_csum', 'struct sk_buff *skb'],
  ['tcp', 'tcp_cong_state_set', 'struct sock *sk, u8 ca_state'],
  [
    'sock',
    'inet_sock_set_state',
    'struct sock *sk, int oldstate, int newstate',
    `void *skaddr; int oldstate; int newstate; ${ENDS4}; u16 protocol; ${ADDRESSES}`,
  ],
  ['sock', 'sk_data_ready', 'struct sock *sk', 'void *skaddr; u16 family; u16 protocol; ulong ip'],
  ['sock', 'sock_rcvqueue_full', 'struct sock *sk, struct sk_buff *skb', 'int rmem_alloc; u32 truesize; int sk_rcvbuf'],
  ['sock', 'sock_send_length', 'struct sock *sk, int ret, int flags'],
  ['sock', 'sock_recv_length', 'struct sock *sk, int ret, int flags'],
  [
    'udp',
    'udp_fail_queue_rcv_skb',
    'int rc, struct sock *sk, struct sk_buff *skb',
    `int rc; ${ENDS4}; u8 saddr[28]; u8 daddr[28]`,
  ],
  [
    'icmp',
    'icmp_send',
    'struct sk_buff *skb, int type, int code',
    'void *skbaddr; int type; int code; u8 saddr[4]; u8 daddr[4]; u16 sport; u16 dport; u16 ulen',
  ],
  [
    'fib',
    'fib_table_lookup',
    'u32 tb_id, struct flowi4 *flp, ?struct fib_nh_common *nhc, int err',
    `u32 tb_id; int err; int oif; int iif; u8 proto; u8 tos; u8 scope; u8 flags; u8 src[4]; u8 dst[4]; u8 gw4[4];
     u8 gw6[16]; u16 sport; u16 dport; char name[16]`,
  ],
  [
    'fib6',
    'fib6_table_lookup',
    'struct net *net, struct fib6_result *res, struct fib6_table *table, struct flowi6 *flp',
  ],
  [
    'neigh',
    'neigh_update',
    'struct neighbour *n, ?u8 *lladdr, u8 new_state, u32 flags, u32 nlmsg_pid',
    `u32 family; u32 __data_loc_dev; u8 lladdr[32]; u8 lladdr_len; u8 flags; u8 nud_state; u8 type; u8 dead; int refcnt;
     u8 primary_key4[4]; u8 primary_key6[16]; ulong confirmed; ulong updated; ulong used; u8 new_lladdr[32]; u8 new_state;
     u32 update_flags; u32 pid`,
  ],
  ['neigh', 'neigh_update_done', 'struct neighbour *n, int err'],
  ['neigh', 'neigh_timer_handler', 'struct neighbour *n, int err'],
  [
    'bridge',
    'br_fdb_update',
    'struct net_bridge *br, struct net_bridge_port *source, u8 *addr, u16 vid, ulong flags',
    'u32 __data_loc_br_dev; u32 __data_loc_dev; u8 addr[6]; u16 vid; ulong flags',
  ],
  [
    'xdp',
    'xdp_exception',
    'struct net_device *dev, struct bpf_prog *xdp, u32 act',
    'int prog_id; u32 act; int ifindex',
  ],
  // netloom's own: what a firewall decided. `verdict` is NF_DROP, NF_ACCEPT...; rule names are strings ended by a zero.
  ['netfilter', 'nf_hook', 'struct sk_buff *skb, struct nf_hook_state *state, int verdict'],
  [
    'netfilter',
    'nft_rule',
    'struct sk_buff *skb, char *table, char *chain, u64 handle, int verdict',
    'void *skbaddr; char table[32]; char chain[32]; u64 handle; int verdict',
  ],
];

const RECEIVE = 'struct sk_buff *skb';
const OUTPUT = 'struct net *net, ?struct sock *sk, struct sk_buff *skb';

/** Functions, all of which return int. */
const FUNCTIONS: readonly (readonly [name: string, args: string])[] = [
  ['ip_rcv', 'struct sk_buff *skb, struct net_device *dev'],
  ['ipv6_rcv', 'struct sk_buff *skb, struct net_device *dev'],
  ['arp_rcv', 'struct sk_buff *skb, struct net_device *dev'],
  ['ip_forward', RECEIVE],
  ['ip6_forward', RECEIVE],
  ['ip_local_deliver', RECEIVE],
  ['ip_output', OUTPUT],
  ['ip6_output', OUTPUT],
  ['icmp_rcv', RECEIVE],
  ['icmpv6_rcv', RECEIVE],
  ['tcp_v4_rcv', RECEIVE],
  ['tcp_v6_rcv', RECEIVE],
  ['udp_rcv', RECEIVE],
  ['udpv6_rcv', RECEIVE],
  ['nf_hook_slow', 'struct sk_buff *skb, struct nf_hook_state *state'],
  ['nf_conntrack_in', 'struct sk_buff *skb, struct nf_hook_state *state'],
  ['__dev_queue_xmit', 'struct sk_buff *skb, ?struct net_device *sb_dev'],
];

const INT: TypeRef = { kind: 'int', name: 'int', size: 4, signed: true };

function argumentsOf(text: string): readonly Argument[] {
  return text.split(',').map((part) => {
    const word = part.trim();
    const nullable = word.startsWith('?');
    const { name, type } = declaration(nullable ? word.slice(1) : word);
    return { name, type, nullable };
  });
}

const structOf = (name: string): StructLayout => {
  const found = STRUCTS.get(name);
  if (found === undefined) throw new Error(`no struct ${name}`);
  return found;
};

/** All points by name; tracepoints and functions share no name. */
export const TRACE_POINTS: ReadonlyMap<string, TracePoint> = new Map([
  ...TRACEPOINTS.map(([group, name, args, record]): [string, TracePoint] => [
    name,
    {
      name,
      group,
      args: argumentsOf(args),
      returns: undefined,
      record:
        record === undefined
          ? undefined
          : layout(`trace_event_raw_${name}`, `struct trace_entry ent; ${record}`, structOf),
    },
  ]),
  ...FUNCTIONS.map(([name, args]): [string, TracePoint] => [
    name,
    { name, group: '', args: argumentsOf(args), returns: INT, record: undefined },
  ]),
]);
