/**
 * Timeout policies: seconds by state that a rule gives to connections instead of the sysctls (`ct timeout` objects of nft,
 * nfct-timeout(8), linux/netfilter/nfnetlink_cttimeout.h). Attribute numbers are the same in both.
 */
import { EINVAL, KernelError } from '../../core/errno.ts';
import * as ip from '../../wire/ipv4.ts';
import { type Attr, getBeU32 } from '../../wire/netlink/attr.ts';
import { TCP_CONNTRACK_RETRANS, TCP_CONNTRACK_SYN_SENT2, TCP_CONNTRACK_UNACK } from '../../wire/uapi/ctnetlink.ts';
import type { ConntrackSysctls } from './sysctl.ts';

/** A policy with a name of its own (`CT --timeout NAME`). */
export type TimeoutPolicy = {
  readonly name: string;
  readonly l3: number;
  readonly l4: number;
  values: readonly number[];
  /** Rules that use it. */
  use: number;
};

/** One timeout of a protocol: attribute number, index in `Conn.timeouts`, sysctl with its default. */
export type TimeoutSlot = readonly [attr: number, index: number, sysctl: keyof ConntrackSysctls];

const TCP: readonly TimeoutSlot[] = [
  [1, 1, 'tcp_timeout_syn_sent'],
  [2, 2, 'tcp_timeout_syn_recv'],
  [3, 3, 'tcp_timeout_established'],
  [4, 4, 'tcp_timeout_fin_wait'],
  [5, 5, 'tcp_timeout_close_wait'],
  [6, 6, 'tcp_timeout_last_ack'],
  [7, 7, 'tcp_timeout_time_wait'],
  [8, 8, 'tcp_timeout_close'],
  [9, TCP_CONNTRACK_SYN_SENT2, 'tcp_timeout_syn_sent'],
  [10, TCP_CONNTRACK_RETRANS, 'tcp_timeout_max_retrans'],
  [11, TCP_CONNTRACK_UNACK, 'tcp_timeout_unacknowledged'],
];
const UDP: readonly TimeoutSlot[] = [
  [1, 0, 'udp_timeout'],
  [2, 1, 'udp_timeout_stream'],
];
const SCTP: readonly TimeoutSlot[] = [
  [1, 1, 'sctp_timeout_closed'],
  [2, 2, 'sctp_timeout_cookie_wait'],
  [3, 3, 'sctp_timeout_cookie_echoed'],
  [4, 4, 'sctp_timeout_established'],
  [5, 5, 'sctp_timeout_shutdown_sent'],
  [6, 6, 'sctp_timeout_shutdown_recd'],
  [7, 7, 'sctp_timeout_shutdown_ack_sent'],
  [8, 8, 'sctp_timeout_heartbeat_sent'],
];
const SLOTS: ReadonlyMap<number, readonly TimeoutSlot[]> = new Map<number, readonly TimeoutSlot[]>([
  [ip.IPPROTO_TCP, TCP],
  [ip.IPPROTO_UDP, UDP],
  [ip.IPPROTO_UDPLITE, UDP],
  [ip.IPPROTO_SCTP, SCTP],
  [ip.IPPROTO_ICMP, [[1, 0, 'icmp_timeout']]],
  [ip.IPPROTO_ICMPV6, [[1, 0, 'icmpv6_timeout']]],
  [
    ip.IPPROTO_GRE,
    [
      [1, 0, 'gre_timeout'],
      [2, 1, 'gre_timeout_stream'],
    ],
  ],
]);
const GENERIC: readonly TimeoutSlot[] = [[1, 0, 'generic_timeout']];

/** The timeouts that a protocol has. */
export function timeoutSlots(protocol: number): readonly TimeoutSlot[] {
  return SLOTS.get(protocol) ?? GENERIC;
}

/** Seconds by state; what is not given is the sysctl's. */
export function readTimeouts(
  data: ReadonlyMap<number, Attr>,
  protocol: number,
  sysctls: ConntrackSysctls,
): readonly number[] {
  const values: number[] = [];
  for (const [attr, index, sysctl] of timeoutSlots(protocol)) {
    const given = data.get(attr);
    if (given !== undefined && given.payload.length < 4) throw new KernelError(EINVAL, undefined, given.offset);
    values[index] = given === undefined ? sysctls[sysctl] : getBeU32(given.payload);
  }
  values[0] ??= values[1];
  return values;
}
