/**
 * Names of numbers that `ip` prints and reads: routing tables, protocols, scopes, types, states. What /etc/iproute2
 * holds on an unchanged system.
 */

function both(pairs: readonly (readonly [number, string])[]): {
  readonly name: (n: number) => string;
  readonly number: (text: string) => number | undefined;
} {
  const byNumber = new Map(pairs);
  const byName = new Map(pairs.map(([n, s]) => [s, n]));
  return {
    name: (n) => byNumber.get(n) ?? String(n),
    number: (text) => byName.get(text) ?? parseNumber(text),
  };
}

/** A decimal, octal (0...) or hexadecimal (0x...) number as strtoul(3) reads it; undefined when it is none. */
export function parseNumber(text: string): number | undefined {
  if (/^0x[0-9a-f]+$/i.test(text)) return Number.parseInt(text, 16);
  if (/^0[0-7]+$/.test(text)) return Number.parseInt(text, 8);
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

export const tables: ReturnType<typeof both> = both([
  [0, 'unspec'],
  [253, 'default'],
  [254, 'main'],
  [255, 'local'],
]);

export const protocols: ReturnType<typeof both> = both([
  [0, 'unspec'],
  [1, 'redirect'],
  [2, 'kernel'],
  [3, 'boot'],
  [4, 'static'],
  [8, 'gated'],
  [9, 'ra'],
  [10, 'mrt'],
  [11, 'zebra'],
  [12, 'bird'],
  [13, 'dnrouted'],
  [14, 'xorp'],
  [15, 'ntk'],
  [16, 'dhcp'],
  [18, 'keepalived'],
  [42, 'babel'],
  [99, 'openr'],
  [186, 'bgp'],
  [187, 'isis'],
  [188, 'ospf'],
  [189, 'rip'],
  [192, 'eigrp'],
]);

export const scopes: ReturnType<typeof both> = both([
  [0, 'global'],
  [200, 'site'],
  [253, 'link'],
  [254, 'host'],
  [255, 'nowhere'],
]);

export const routeTypes: ReturnType<typeof both> = both([
  [0, 'none'],
  [1, 'unicast'],
  [2, 'local'],
  [3, 'broadcast'],
  [4, 'anycast'],
  [5, 'multicast'],
  [6, 'blackhole'],
  [7, 'unreachable'],
  [8, 'prohibit'],
  [9, 'throw'],
  [10, 'nat'],
  [11, 'xresolve'],
]);

export const operStates: readonly string[] = [
  'UNKNOWN',
  'NOTPRESENT',
  'DOWN',
  'LOWERLAYERDOWN',
  'TESTING',
  'DORMANT',
  'UP',
];

/** IFF_* in the order `ip` prints them. */
export const linkFlags: readonly (readonly [number, string])[] = [
  [8, 'LOOPBACK'],
  [2, 'BROADCAST'],
  [16, 'POINTOPOINT'],
  [4096, 'MULTICAST'],
  [128, 'NOARP'],
  [512, 'ALLMULTI'],
  [256, 'PROMISC'],
  [1024, 'MASTER'],
  [2048, 'SLAVE'],
  [4, 'DEBUG'],
  [32768, 'DYNAMIC'],
  [16384, 'AUTOMEDIA'],
  [8192, 'PORTSEL'],
  [32, 'NOTRAILERS'],
  [1, 'UP'],
  [65536, 'LOWER_UP'],
  [131072, 'DORMANT'],
  [262144, 'ECHO'],
];

/** IFA_F_* in the order `ip` prints them; PERMANENT is printed when it is missing, as "dynamic". */
export const addressFlags: readonly (readonly [number, string])[] = [
  [1, 'secondary'],
  [2, 'nodad'],
  [4, 'optimistic'],
  [8, 'dadfailed'],
  [16, 'home'],
  [32, 'deprecated'],
  [64, 'tentative'],
  [128, 'permanent'],
  [256, 'mngtmpaddr'],
  [512, 'noprefixroute'],
  [1024, 'autojoin'],
  [2048, 'stable-privacy'],
];

/** NUD_* states. */
export const neighbourStates: readonly (readonly [number, string])[] = [
  [1, 'INCOMPLETE'],
  [2, 'REACHABLE'],
  [4, 'STALE'],
  [8, 'DELAY'],
  [16, 'PROBE'],
  [32, 'FAILED'],
  [64, 'NOARP'],
  [128, 'PERMANENT'],
];

/** IP protocol numbers as /etc/protocols names them. */
export const ipProtocols: ReturnType<typeof both> = both([
  [1, 'icmp'],
  [2, 'igmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [33, 'dccp'],
  [47, 'gre'],
  [50, 'esp'],
  [51, 'ah'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
  [136, 'udplite'],
]);

/** Route metrics (RTAX_*), by name. */
export const metricNames: readonly string[] = [
  '',
  'lock',
  'mtu',
  'window',
  'rtt',
  'rttvar',
  'ssthresh',
  'cwnd',
  'advmss',
  'reordering',
  'hoplimit',
  'initcwnd',
  'features',
  'rto_min',
  'initrwnd',
  'quickack',
  'congctl',
  'fastopen_no_cookie',
];

/** ARPHRD_* names of link types. */
export const linkTypes: ReadonlyMap<number, string> = new Map([
  [1, 'ether'],
  [512, 'ppp'],
  [768, 'ipip'],
  [769, 'tunnel6'],
  [772, 'loopback'],
  [776, 'sit'],
  [778, 'gre'],
  [65534, 'none'],
]);
