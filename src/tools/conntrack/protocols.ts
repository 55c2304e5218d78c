/** What conntrack(8) knows of each protocol: its name, its states, and the options that exist once `-p` named it. */

export const TCP_STATES: readonly string[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];
export const SCTP_STATES: readonly string[] = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
  'HEARTBEAT_ACKED',
];
export const DCCP_STATES: readonly string[] = [
  'NONE',
  'REQUEST',
  'RESPOND',
  'PARTOPEN',
  'OPEN',
  'CLOSEREQ',
  'CLOSING',
  'TIMEWAIT',
  'IGNORE',
  'INVALID',
];

/** Names as listings print them. */
export const NAMES: ReadonlyMap<number, string> = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [58, 'icmpv6'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

/** Names of /etc/protocols that have no options of their own here. */
const OTHERS: Readonly<Record<string, number>> = {
  ip: 0,
  igmp: 2,
  ggp: 3,
  ipencap: 4,
  st: 5,
  egp: 8,
  igp: 9,
  pup: 12,
  hmp: 20,
  'xns-idp': 22,
  rdp: 27,
  'iso-tp4': 29,
  xtp: 36,
  ddp: 37,
  'idpr-cmtp': 38,
  ipv6: 41,
  'ipv6-route': 43,
  'ipv6-frag': 44,
  idrp: 45,
  rsvp: 46,
  esp: 50,
  ah: 51,
  skip: 57,
  'ipv6-icmp': 58,
  'ipv6-nonxt': 59,
  'ipv6-opts': 60,
  rspf: 73,
  vmtp: 81,
  eigrp: 88,
  ospf: 89,
  'ax.25': 93,
  ipip: 94,
  etherip: 97,
  encap: 98,
  pim: 103,
  ipcomp: 108,
  vrrp: 112,
  l2tp: 115,
  isis: 124,
  fc: 133,
  'mobility-header': 135,
  'mpls-in-ip': 137,
  manet: 138,
  hip: 139,
  shim6: 140,
  wesp: 141,
  rohc: 142,
};

/** Protocol number of a name, or of digits; undefined when there is none. */
export function protocolNumber(text: string): number | undefined {
  if (/^\d{1,3}$/.test(text) && Number(text) < 256) return Number(text);
  const name = text.toLowerCase();
  for (const [number, known] of NAMES) if (known === name) return number;
  return OTHERS[name];
}

/** What an option of a protocol sets. */
export type PortKey =
  | 'os'
  | 'od'
  | 'rs'
  | 'rd'
  | 'ms'
  | 'md'
  | 'ts'
  | 'td'
  | 'type'
  | 'code'
  | 'id'
  | 'ovtag'
  | 'rvtag'
  | 'state'
  | 'role';

const PORTS: Readonly<Record<string, PortKey>> = {
  '--orig-port-src': 'os',
  '--sport': 'os',
  '--orig-port-dst': 'od',
  '--dport': 'od',
  '--reply-port-src': 'rs',
  '--reply-port-dst': 'rd',
  '--mask-port-src': 'ms',
  '--mask-port-dst': 'md',
  '--tuple-port-src': 'ts',
  '--tuple-port-dst': 'td',
};
const STATED: Readonly<Record<string, PortKey>> = { ...PORTS, '--state': 'state' };
const OPTIONS: ReadonlyMap<number, Readonly<Record<string, PortKey>>> = new Map<
  number,
  Readonly<Record<string, PortKey>>
>([
  [1, { '--icmp-type': 'type', '--icmp-code': 'code', '--icmp-id': 'id' }],
  [6, STATED],
  [17, PORTS],
  [33, { ...STATED, '--role': 'role' }],
  [
    47,
    {
      '--orig-key-src': 'os',
      '--srckey': 'os',
      '--orig-key-dst': 'od',
      '--dstkey': 'od',
      '--reply-key-src': 'rs',
      '--reply-key-dst': 'rd',
      '--mask-key-src': 'ms',
      '--mask-key-dst': 'md',
      '--tuple-key-src': 'ts',
      '--tuple-key-dst': 'td',
    },
  ],
  [58, { '--icmpv6-type': 'type', '--icmpv6-code': 'code', '--icmpv6-id': 'id' }],
  [132, { ...STATED, '--orig-vtag': 'ovtag', '--reply-vtag': 'rvtag' }],
  [136, PORTS],
]);
const NONE: Readonly<Record<string, PortKey>> = {};

/** The options that `-p` brings. */
export function protocolOptions(protocol: number): Readonly<Record<string, PortKey>> {
  return OPTIONS.get(protocol) ?? NONE;
}

/** True when the protocol's tuples carry ports (or GRE's keys). */
export function hasPorts(protocol: number): boolean {
  return OPTIONS.has(protocol) && protocol !== 1 && protocol !== 58;
}

export function statesOf(protocol: number): readonly string[] {
  return protocol === 132 ? SCTP_STATES : protocol === 33 ? DCCP_STATES : TCP_STATES;
}

/** Number of a state; -1 for an unknown one. LISTEN is what SYN_SENT2 was called. */
export function stateNumber(protocol: number, name: string): number {
  const upper = name.toUpperCase();
  return protocol === 6 && upper === 'LISTEN' ? 9 : statesOf(protocol).indexOf(upper);
}
