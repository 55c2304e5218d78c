/**
 * Why packets are dropped: one closed list, with the kernel's names (`enum skb_drop_reason`, as `dropwatch` and the
 * kfree_skb tracepoint print them). The numbers are netloom's own: Linux changes its own from release to release.
 */

const NAMES = [
  'NOT_SPECIFIED',
  'NO_SOCKET',
  'SOCKET_CLOSE',
  'SOCKET_FILTER',
  'SOCKET_RCVBUFF',
  'PKT_TOO_SMALL',
  'TCP_CSUM',
  'UDP_CSUM',
  'ICMP_CSUM',
  'NETFILTER_DROP',
  'OTHERHOST',
  'IP_CSUM',
  'IP_INHDR',
  'IP_RPFILTER',
  'UNICAST_IN_L2_MULTICAST',
  'IP_NOPROTO',
  'PROTO_MEM',
  'TCP_AUTH_HDR',
  'BPF_CGROUP_EGRESS',
  'IPV6DISABLED',
  'NEIGH_CREATEFAIL',
  'NEIGH_FAILED',
  'NEIGH_QUEUEFULL',
  'NEIGH_DEAD',
  'NEIGH_HH_FILLFAIL',
  'TC_EGRESS',
  'TC_INGRESS',
  'QDISC_DROP',
  'CPU_BACKLOG',
  'XDP',
  'UNHANDLED_PROTO',
  'SKB_CSUM',
  'SKB_GSO_SEG',
  'HDR_TRUNC',
  'NOMEM',
  'ICMP_FLOOD',
  'IP_INADDRERRORS',
  'IP_INNOROUTES',
  'IP_OUTNOROUTES',
  'IP_LOCAL_SOURCE',
  'IP_INVALID_SOURCE',
  'IP_INVALID_DEST',
  'IP_LOCALNET',
  'PKT_TOO_BIG',
  'DUP_FRAG',
  'FRAG_REASM_TIMEOUT',
  'FRAG_TOO_FAR',
  'FRAG_OVERLAP',
  'FRAG_LIMIT',
  'IPV6_BAD_EXTHDR',
  'IPV6_NDISC_FRAG',
  'IPV6_NDISC_HOP_LIMIT',
  'IPV6_NDISC_BAD_CODE',
  'IPV6_NDISC_BAD_OPTIONS',
  'IPV6_NDISC_NS_OTHERHOST',
  'TTL_EXCEEDED',
  'IP_FORWARDING_DISABLED',
  'IP_BLACKHOLE',
  'IP_UNREACHABLE',
  'IP_PROHIBIT',
  'ARP_NOT_FOR_US',
  'ARP_INVALID',
  'ARP_CONSUMED',
  'DEV_READY',
  'DEV_HDR',
  'LINK_LOSS',
  'LINK_CORRUPT',
  'LINK_QUEUE_FULL',
  'FULL_RING',
  'BRIDGE_INGRESS_STP_STATE',
  'BRIDGE_NO_EGRESS_PORT',
  'VLAN_FILTER',
  'SENDING_TO_SELF',
  'NF_CONNTRACK_FULL',
  'NF_CONNTRACK_CLASH',
  'NF_CONNTRACK_CHAINTOOLONG',
  'NF_CONNTRACK_HELPER',
  'NF_NAT_FAILED',
  'NF_QUEUE_NO_LISTENER',
  'NF_JUMP_STACK',
  'SYNPROXY',
  'CONSUMED',
] as const;

export type DropReasonName = (typeof NAMES)[number];

/** Reason number by name: `DROP.NETFILTER_DROP`. Numbers start at 1; 0 is "nobody has said". */
export const DROP: Readonly<Record<DropReasonName, number>> = Object.freeze(
  Object.fromEntries(NAMES.map((name, i) => [name, i + 1])) as Record<DropReasonName, number>,
);

/** How many reasons there are, for counter arrays. */
export const DROP_REASONS: number = NAMES.length + 1;

/** Name of a reason number. */
export function dropName(reason: number): DropReasonName {
  return NAMES[reason - 1] ?? 'NOT_SPECIFIED';
}
