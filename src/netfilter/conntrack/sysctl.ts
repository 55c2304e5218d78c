/**
 * The `net.netfilter.nf_conntrack_*` sysctls with Linux's defaults
 * (Documentation/networking/nf_conntrack-sysctl.rst). Values are integers; timeouts are seconds.
 */
import { EACCES, EINVAL, ENOENT } from '../../core/errno.ts';

export type ConntrackSysctls = {
  acct: number;
  buckets: number;
  checksum: number;
  events: number;
  expect_max: number;
  generic_timeout: number;
  gre_timeout: number;
  gre_timeout_stream: number;
  icmp_timeout: number;
  icmpv6_timeout: number;
  log_invalid: number;
  max: number;
  sctp_timeout_closed: number;
  sctp_timeout_cookie_echoed: number;
  sctp_timeout_cookie_wait: number;
  sctp_timeout_established: number;
  sctp_timeout_heartbeat_sent: number;
  sctp_timeout_shutdown_ack_sent: number;
  sctp_timeout_shutdown_recd: number;
  sctp_timeout_shutdown_sent: number;
  tcp_be_liberal: number;
  tcp_ignore_invalid_rst: number;
  tcp_loose: number;
  tcp_max_retrans: number;
  tcp_timeout_close: number;
  tcp_timeout_close_wait: number;
  tcp_timeout_established: number;
  tcp_timeout_fin_wait: number;
  tcp_timeout_last_ack: number;
  tcp_timeout_max_retrans: number;
  tcp_timeout_syn_recv: number;
  tcp_timeout_syn_sent: number;
  tcp_timeout_time_wait: number;
  tcp_timeout_unacknowledged: number;
  timestamp: number;
  udp_timeout: number;
  udp_timeout_stream: number;
};

/** A fresh set with the defaults. */
export function defaultSysctls(): ConntrackSysctls {
  return {
    acct: 0,
    buckets: 262144,
    checksum: 1,
    events: 2,
    expect_max: 4096,
    generic_timeout: 600,
    gre_timeout: 30,
    gre_timeout_stream: 180,
    icmp_timeout: 30,
    icmpv6_timeout: 30,
    log_invalid: 0,
    max: 262144,
    sctp_timeout_closed: 10,
    sctp_timeout_cookie_echoed: 3,
    sctp_timeout_cookie_wait: 3,
    sctp_timeout_established: 210,
    sctp_timeout_heartbeat_sent: 30,
    sctp_timeout_shutdown_ack_sent: 3,
    sctp_timeout_shutdown_recd: 3,
    sctp_timeout_shutdown_sent: 3,
    tcp_be_liberal: 0,
    tcp_ignore_invalid_rst: 0,
    tcp_loose: 1,
    tcp_max_retrans: 3,
    tcp_timeout_close: 10,
    tcp_timeout_close_wait: 60,
    tcp_timeout_established: 432000,
    tcp_timeout_fin_wait: 120,
    tcp_timeout_last_ack: 30,
    tcp_timeout_max_retrans: 300,
    tcp_timeout_syn_recv: 60,
    tcp_timeout_syn_sent: 120,
    tcp_timeout_time_wait: 120,
    tcp_timeout_unacknowledged: 300,
    timestamp: 0,
    udp_timeout: 30,
    udp_timeout_stream: 120,
  };
}

const PREFIX = 'nf_conntrack_';
/** Largest value where it is not INT_MAX; booleans and small enumerations. */
const MAXIMUM: Readonly<Record<string, number>> = {
  acct: 1,
  checksum: 1,
  events: 2,
  log_invalid: 255,
  tcp_be_liberal: 1,
  tcp_ignore_invalid_rst: 1,
  tcp_loose: 1,
  tcp_max_retrans: 255,
  timestamp: 1,
};

/** Names below net.netfilter, in the order `sysctl -a` prints them. */
export function sysctlNames(values: ConntrackSysctls): string[] {
  return [...Object.keys(values), 'count'].map((key) => PREFIX + key).sort();
}

/** The value of `nf_conntrack_NAME` as text; undefined when there is no such name. */
export function readSysctl(values: ConntrackSysctls, name: string, count: number): string | undefined {
  if (name === `${PREFIX}count`) return String(count);
  const key = name.slice(PREFIX.length) as keyof ConntrackSysctls;
  return name.startsWith(PREFIX) && Object.hasOwn(values, key) ? String(values[key]) : undefined;
}

/** Writes `nf_conntrack_NAME`: 0, or an errno as write(2) gives it. */
export function writeSysctl(values: ConntrackSysctls, name: string, text: string): number {
  if (name === `${PREFIX}count`) return EACCES;
  const key = name.slice(PREFIX.length) as keyof ConntrackSysctls;
  if (!name.startsWith(PREFIX) || !Object.hasOwn(values, key)) return ENOENT;
  const trimmed = text.trim();
  const value = /^(0x[0-9a-f]+|\d+)$/i.test(trimmed) ? Number(trimmed) : Number.NaN;
  if (!(value >= 0 && value <= (MAXIMUM[key] ?? 0x7fffffff))) return EINVAL;
  values[key] = value;
  return 0;
}
