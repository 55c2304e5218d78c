/** Translations of the matches on the packet itself and what the host knows of it. */
import { formatAddress, formatMac } from '../../../wire/address.ts';
import type { Addrtype } from '../../../wire/xt/addrtype.ts';
import type { Cluster } from '../../../wire/xt/cluster.ts';
import type { Cpu } from '../../../wire/xt/cpu.ts';
import type { Devgroup } from '../../../wire/xt/devgroup.ts';
import type { Dscp } from '../../../wire/xt/dscp.ts';
import type { Ecn } from '../../../wire/xt/ecn.ts';
import type { Iprange } from '../../../wire/xt/iprange.ts';
import type { Length } from '../../../wire/xt/length.ts';
import type { Mac } from '../../../wire/xt/mac.ts';
import type { Mark } from '../../../wire/xt/mark.ts';
import type { Owner } from '../../../wire/xt/owner.ts';
import type { Pkttype } from '../../../wire/xt/pkttype.ts';
import type { Policy } from '../../../wire/xt/policy.ts';
import type { Realm } from '../../../wire/xt/realm.ts';
import type { Rpfilter } from '../../../wire/xt/rpfilter.ts';
import type { Socket } from '../../../wire/xt/socket.ts';
import type { Ttl } from '../../../wire/xt/ttl.ts';
import { inet } from '../values.ts';
import { hex, masked, not, span, type Translate, type TranslateTable, words } from './types.ts';

const ROUTE_TYPES = [
  'unspec',
  'unicast',
  'local',
  'broadcast',
  'anycast',
  'multicast',
  'blackhole',
  'unreachable',
  'prohibit',
];

/** One type, or a set of them; undefined for types that nft does not know. */
function routeTypes(bits: number, invert: boolean): string | undefined {
  if (bits >>> ROUTE_TYPES.length !== 0) return undefined;
  const names = ROUTE_TYPES.filter((_, i) => bits & (1 << i));
  return `${not(invert)}${names.length === 1 ? names[0] : `{ ${names.join(', ')} }`}`;
}

const addrtype: Translate<Addrtype> = (s) => {
  const limit = `${s.flags & 4 ? ' . iif' : ''}${s.flags & 8 ? ' . oif' : ''}`;
  const out: string[] = [];
  for (const [bits, key, invert] of [
    [s.source, 'saddr', 1],
    [s.dest, 'daddr', 2],
  ] as const) {
    if (bits === 0) continue;
    const types = routeTypes(bits, (s.flags & invert) !== 0);
    if (types === undefined) return undefined;
    out.push(`fib ${key}${limit} type ${types}`);
  }
  return out.join(' ');
};

const rpfilter: Translate<Rpfilter> = (s) => {
  const mark = s.flags & 2 ? ' . mark' : '';
  const iif = s.flags & 1 ? '' : ' . iif';
  const accept = s.flags & 4 ? 'fib saddr type != local ' : '';
  return `${accept}fib saddr${mark}${iif} oif ${s.flags & 8 ? '0' : '!= 0'}`;
};

const ECN_NAMES = ['not-ect', 'ect1', 'ect0', 'ce'];

const ecn: Translate<Ecn> = (s, { rule }) =>
  words(
    s.operation & 0x10 ? `tcp flags ${not(s.invert & 0x10)}ecn` : '',
    s.operation & 0x20 ? `tcp flags ${not(s.invert & 0x20)}cwr` : '',
    s.operation & 1 ? `${rule.family === 6 ? 'ip6' : 'ip'} ecn ${not(s.invert & 1)}${ECN_NAMES[s.ipEct]}` : '',
  );

const devgroup: Translate<Devgroup> = (s) => {
  const group = (key: string, value: number, mask: number, invert: number): string =>
    masked(key, value, mask, invert !== 0);
  return words(
    s.flags & 1 ? group('iifgroup', s.srcGroup, s.srcMask, s.flags & 2) : '',
    s.flags & 4 ? group('oifgroup', s.dstGroup, s.dstMask, s.flags & 8) : '',
  );
};

/** Bits of a node mask as numbers. */
function nodes(mask: number): number[] {
  return Array.from({ length: 32 }, (_, i) => i).filter((i) => mask & (1 << i));
}

const cluster: Translate<Cluster> = (s) => {
  // The real tool counts from 1 when it says one node, and from 0 when it says several.
  const list = nodes(s.nodeMask);
  const hash = `jhash ct original saddr mod ${s.totalNodes} seed 0x${s.hashSeed.toString(16).padStart(8, '0')}`;
  const tail = 'meta pkttype set host';
  if (list.length === 1) return `${hash} ${s.flags & 1 ? '!=' : 'eq'} ${list[0] + 1} ${tail}`;
  return `${hash} ${s.flags & 1 ? '!= ' : ''}{ ${list.join(', ')} } ${tail}`;
};

const iprange: Translate<Iprange> = (s, { rule: { family } }) => {
  const one = (key: string, min: Uint8Array, max: Uint8Array, invert: number): string =>
    `${family === 6 ? 'ip6' : 'ip'} ${key} ${not(invert)}${formatAddress(inet(min, family))}-${formatAddress(inet(max, family))}`;
  return words(
    s.flags & 1 ? one('saddr', s.srcMin, s.srcMax, s.flags & 16) : '',
    s.flags & 2 ? one('daddr', s.dstMin, s.dstMax, s.flags & 32) : '',
  );
};

const owner: Translate<Owner> = (s) => {
  // Users and groups at once, "socket exists" and supplementary groups have no words.
  if (s.match !== 1 && s.match !== 2) return undefined;
  const user = s.match === 1;
  const range = user ? [s.uidMin, s.uidMax] : [s.gidMin, s.gidMax];
  return `${user ? 'skuid' : 'skgid'} ${not(s.invert & s.match)}${span(range)}`;
};

const PACKET_TYPES: ReadonlyMap<number, string> = new Map([
  [0, 'unicast'],
  [1, 'broadcast'],
  [2, 'multicast'],
]);

const pkttype: Translate<Pkttype> = (s) => {
  const name = PACKET_TYPES.get(s.type);
  return name === undefined ? undefined : `pkttype ${not(s.invert)}${name}`;
};

const POLICY_IN = 1;
const POLICY_NONE = 4;
const POLICY_STRICT = 8;

const policy: Translate<Policy> = (s) => {
  const plain = s.pol.slice(0, s.len).every((element) => element.match === 0);
  if (!plain || s.flags & POLICY_STRICT || !(s.flags & POLICY_IN)) return undefined;
  return `meta secpath ${s.flags & POLICY_NONE ? 'missing' : 'exists'}`;
};

const socket: Translate<Socket> = (s) => {
  // Without options: a socket that is not bound to every address.
  const wildcard = s.flags & 2 ? (s.flags & 1 ? '' : 'socket wildcard le 1') : 'socket wildcard 0';
  return words(wildcard, s.flags & 1 ? 'socket transparent 1' : '', s.flags & 4 ? 'meta mark set socket mark' : '');
};

const ttl: Translate<Ttl> = (s) => `ip ttl ${['', '!= ', 'lt ', 'gt '][s.mode]}${s.ttl}`;
const hl: Translate<Ttl> = (s) => `ip6 hoplimit ${['', '!= ', 'lt ', 'gt '][s.mode]}${s.ttl}`;

const dscp: Translate<Dscp> = (s, { rule }) =>
  `${rule.family === 6 ? 'ip6' : 'ip'} dscp ${not(s.invert)}0x${s.dscp.toString(16).padStart(2, '0')}`;

/** `--path` asks for a cgroup v2 by name, which an nft rule cannot. */
type Cgroup = {
  readonly hasPath: number;
  readonly hasClassid: number;
  readonly invertClassid: number;
  readonly value: Uint8Array;
};

const cgroup: Translate<Cgroup> = (s) => {
  if (s.hasPath) return undefined;
  const id = new DataView(s.value.buffer, s.value.byteOffset).getUint32(0, true);
  return s.hasClassid ? `meta cgroup ${not(s.invertClassid)}${id}` : '';
};

const mark: Translate<Mark> = (s) => masked('mark', s.mark, s.mask, s.invert !== 0);
const mac: Translate<Mac> = (s) => `ether saddr ${not(s.invert)}${formatMac(s.address)}`;
const length: Translate<Length> = (s) => `meta length ${not(s.invert)}${span([s.min, s.max])}`;
const cpu: Translate<Cpu> = (s) => `cpu ${not(s.invert)}${s.cpu}`;
const realm: Translate<Realm> = (s) =>
  s.mask === 0xffffffff
    ? `rtclassid ${not(s.invert)}${hex(s.id)}`
    : `rtclassid and ${hex(s.mask)} ${s.invert ? '!=' : '=='} ${hex(s.id)}`;

export const PACKET: TranslateTable = {
  addrtype,
  rpfilter,
  ecn,
  devgroup,
  cluster,
  iprange,
  owner,
  pkttype,
  policy,
  socket,
  ttl,
  hl,
  dscp,
  mark,
  mac,
  length,
  cpu,
  realm,
  cgroup,
};
