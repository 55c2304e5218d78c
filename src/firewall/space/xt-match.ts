/** Matches of iptables that arrive as `match` expressions, from the structures that iptables sent. */
import type { Expr } from '../../netfilter/nft/expr.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { addrtype } from '../../wire/xt/addrtype.ts';
import { connmark } from '../../wire/xt/connmark.ts';
import { conntrack } from '../../wire/xt/conntrack.ts';
import { dscp } from '../../wire/xt/dscp.ts';
import { icmp } from '../../wire/xt/icmp.ts';
import { iprange } from '../../wire/xt/iprange.ts';
import { length } from '../../wire/xt/length.ts';
import { mac } from '../../wire/xt/mac.ts';
import { mark } from '../../wire/xt/mark.ts';
import { multiport } from '../../wire/xt/multiport.ts';
import { owner } from '../../wire/xt/owner.ts';
import { pkttype } from '../../wire/xt/pkttype.ts';
import type { Codec } from '../../wire/xt/struct.ts';
import { tcp } from '../../wire/xt/tcp.ts';
import { tos } from '../../wire/xt/tos.ts';
import { ttl } from '../../wire/xt/ttl.ts';
import { udp } from '../../wire/xt/udp.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { hasEntry, IPS_DST_NAT_BIT, IPS_SRC_NAT_BIT, inState, isReply, statusBits, tuplePart } from './conntrack.ts';
import type { RuleRun } from './context.ts';
import { addressType, packetLength } from './expr-load.ts';
import { hasTransport, longEnough, readBits, transportBits } from './packet-bits.ts';
import type { ExprData } from './read.ts';
import { between, equals, number, type Vec } from './vector.ts';

type Make<S> = (run: RuleRun, info: S) => Node;

type Known = { readonly codec: Codec<object>; readonly make: Make<object> };

function known<S extends object>(codec: Codec<S>, make: Make<S>): Known {
  return { codec: codec as Codec<object>, make: make as Make<object> };
}

const u8 = (value: number): Uint8Array => Uint8Array.of(value);
const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);

/** `value & mask == wanted`, on a number in network order of 32 bits. */
function masked(run: RuleRun, vec: Vec, mask: number, wanted: number): Node {
  const under = number(mask >>> 0, vec.length);
  return equals(
    run.space.bdd,
    vec.map((bit, i) => (under[i] === TRUE ? bit : FALSE)),
    vec.length === 8 ? u8(wanted) : u32(wanted >>> 0),
  );
}

const negate = (run: RuleRun, node: Node, invert: boolean): Node => (invert ? run.space.bdd.not(node) : node);

function field(run: RuleRun, name: string): Node[] {
  return run.state.vec(run.space.fields.field(name));
}

function inPorts(run: RuleRun, name: 'sport' | 'dport', range: readonly number[], invert: boolean): Node {
  return negate(run, between(run.space.bdd, field(run, name), u16(range[0]), u16(range[1])), invert);
}

function header(run: RuleRun, bytes: number): Node {
  return run.space.bdd.and(hasTransport(run), longEnough(run, bytes));
}

function all(run: RuleRun, ...parts: Node[]): Node {
  return parts.reduce((sum, part) => run.space.bdd.and(sum, part), TRUE);
}

function addressOf(run: RuleRun, source: boolean): Node[] {
  return field(run, `${run.place.l3 === NFPROTO_IPV6 ? 'ip6' : 'ip'} ${source ? 'saddr' : 'daddr'}`);
}

/** The type of service octet or traffic class. */
export function tosLevels(run: RuleRun): number[] {
  const nh = run.space.fields.field('nh').first;
  const from = run.place.l3 === NFPROTO_IPV6 ? 4 : 8;
  return Array.from({ length: 8 }, (_, i) => nh + from + i);
}

/** The time to live or hop limit. */
export function ttlLevels(run: RuleRun): number[] {
  const nh = run.space.fields.field('nh').first;
  const from = run.place.l3 === NFPROTO_IPV6 ? 56 : 64;
  return Array.from({ length: 8 }, (_, i) => nh + from + i);
}

function hopLimit(run: RuleRun, { mode, ttl: value }: { mode: number; ttl: number }): Node {
  const { bdd } = run.space;
  const now = ttlLevels(run).map((level) => run.state.bit(level));
  switch (mode) {
    case 0:
      return equals(bdd, now, u8(value));
    case 1:
      return bdd.not(equals(bdd, now, u8(value)));
    case 2:
      return value === 0 ? FALSE : between(bdd, now, u8(0), u8(value - 1));
    case 3:
      return value === 255 ? FALSE : between(bdd, now, u8(value + 1), u8(255));
    default:
      return FALSE;
  }
}

function icmpMatch(any: number): Make<{ type: number; code: number[]; invert: number }> {
  return (run, info) => {
    const { bdd } = run.space;
    const bits = readBits(run, transportBits(run.space, 0, 2)) ?? [];
    const hit =
      info.type === any
        ? TRUE
        : bdd.and(
            equals(bdd, bits.slice(0, 8), u8(info.type)),
            between(bdd, bits.slice(8), u8(info.code[0]), u8(info.code[1])),
          );
    return all(run, hasTransport(run), negate(run, hit, (info.invert & 1) !== 0));
  };
}

function multiportMatch(
  run: RuleRun,
  info: { flags: number; count: number; ports: number[]; pflags: number[]; invert: number },
): Node {
  const { bdd } = run.space;
  let hit: Node = FALSE;
  for (let i = 0; i < info.count; i++) {
    const range = [info.ports[i], info.pflags[i] && i + 1 < info.count ? info.ports[++i] : info.ports[i]];
    if (info.flags !== 1) hit = bdd.or(hit, inPorts(run, 'sport', range, false));
    if (info.flags !== 0) hit = bdd.or(hit, inPorts(run, 'dport', range, false));
  }
  return all(run, header(run, 4), negate(run, hit, info.invert !== 0));
}

const STATE = 1;
const PROTO = 2;
const STATUS = 64;
const EXPIRES = 128;
const DIRECTION = 4096;
const STATE_SNAT = 64;
const STATE_DNAT = 128;
const STATE_UNTRACKED = 256;

type ConntrackInfo = ReturnType<NonNullable<(typeof conntrack)['decode']>> & object;

function conntrackMatch(run: RuleRun, info: ConntrackInfo): Node {
  const { space, place, state } = run;
  const { bdd } = space;
  const is = (which: number): Node => inState(place, state, which);
  const entry = hasEntry(place, state);
  const inverted = (flag: number): boolean => (info.invertFlags & flag) !== 0;
  let out: Node = TRUE;
  if (info.matchFlags & STATE) {
    let hit: Node = FALSE;
    const bits: readonly [number, Node][] = [
      [8, is(0)],
      [2, is(1)],
      [4, is(2)],
      [1, is(3)],
      [STATE_UNTRACKED, is(4)],
      [STATE_SNAT, bdd.and(entry, statusBits(run)[31 - IPS_SRC_NAT_BIT])],
      [STATE_DNAT, bdd.and(entry, statusBits(run)[31 - IPS_DST_NAT_BIT])],
    ];
    for (const [bit, node] of bits) if (info.stateMask & bit) hit = bdd.or(hit, node);
    out = negate(run, hit, inverted(STATE));
  }
  let rest: Node = TRUE;
  const check = (flag: number, hit: () => Node): void => {
    if (info.matchFlags & flag) rest = bdd.and(rest, negate(run, hit(), inverted(flag)));
  };
  check(DIRECTION, () => bdd.not(isReply(space)));
  const v4 = place.l3 === NFPROTO_IPV4;
  const address = (bytes: Uint8Array, mask: Uint8Array, vec: Vec): Node => {
    const used = v4 ? 4 : 16;
    const under = vec.map((bit, i) => (((mask[i >> 3] >> (7 - (i & 7))) & 1) === 1 ? bit : FALSE));
    return equals(
      bdd,
      under,
      bytes.slice(0, used).map((b, i) => b & mask[i]),
    );
  };
  check(4, () => address(info.origSrc, info.origSrcMask, tuplePart(run, 'saddr', 0)));
  check(8, () => address(info.origDst, info.origDstMask, tuplePart(run, 'daddr', 0)));
  check(16, () => address(info.replSrc, info.replSrcMask, tuplePart(run, 'saddr', 1)));
  check(32, () => address(info.replDst, info.replDstMask, tuplePart(run, 'daddr', 1)));
  check(PROTO, () => equals(bdd, tuplePart(run, 'protocol', 0), u8(info.l4proto)));
  const port = (vec: Vec, low: number, high: number): Node => between(bdd, vec, u16(low), u16(high));
  check(256, () => port(tuplePart(run, 'sport', 0), info.origSrcPort, info.origSrcPortHigh));
  check(512, () => port(tuplePart(run, 'dport', 0), info.origDstPort, info.origDstPortHigh));
  check(1024, () => port(tuplePart(run, 'sport', 1), info.replSrcPort, info.replSrcPortHigh));
  check(2048, () => port(tuplePart(run, 'dport', 1), info.replDstPort, info.replDstPortHigh));
  check(STATUS, () => {
    const now = statusBits(run);
    const under = number(info.statusMask, 32);
    return now.reduce((sum, bit, i) => (under[i] === TRUE ? bdd.or(sum, bit) : sum), FALSE as Node);
  });
  check(EXPIRES, () => {
    const why = 'when connections expire';
    return space.opaqueFlag(
      `expires ${info.expiresMin} ${info.expiresMax}`,
      `ct expires ${info.expiresMin}-${info.expiresMax}`,
      why,
    );
  });
  // Without an entry only the state can match.
  const without = info.matchFlags & STATE ? TRUE : FALSE;
  return bdd.and(out, bdd.ite(entry, rest, without));
}

function ownerMatch(
  run: RuleRun,
  info: { uidMin: number; uidMax: number; gidMin: number; gidMax: number; match: number; invert: number },
): Node {
  const { space, place } = run;
  const { bdd, fields } = space;
  if (place.path !== 'output') return FALSE;
  const socket = fields.flag('has a socket');
  let out: Node = TRUE;
  if (info.match & 1)
    out = bdd.and(
      out,
      negate(
        run,
        between(bdd, fields.vec('skuid', 32, 'number'), u32(info.uidMin), u32(info.uidMax)),
        (info.invert & 1) !== 0,
      ),
    );
  if (info.match & 2)
    out = bdd.and(
      out,
      negate(
        run,
        between(bdd, fields.vec('skgid', 32, 'number'), u32(info.gidMin), u32(info.gidMax)),
        (info.invert & 2) !== 0,
      ),
    );
  const bare = ((info.match ^ info.invert) & 7) === 0;
  if (info.match & 4 && info.invert & 4) out = FALSE;
  return bdd.ite(socket, out, bare ? TRUE : FALSE);
}

const MATCHES: ReadonlyMap<string, Known> = new Map([
  [
    'tcp 0',
    known(tcp, (run, info) => {
      const flags = readBits(run, transportBits(run.space, 13, 1)) ?? [];
      const option =
        info.option === 0
          ? TRUE
          : negate(
              run,
              run.space.opaqueFlag(
                `tcp option ${info.option} 0`,
                `tcp option ${info.option}`,
                'packets have options or not, whatever they are',
              ),
              (info.invert & 8) !== 0,
            );
      return all(
        run,
        header(run, 20),
        inPorts(run, 'sport', info.spts, (info.invert & 1) !== 0),
        inPorts(run, 'dport', info.dpts, (info.invert & 2) !== 0),
        negate(run, masked(run, flags, info.flagMask, info.flagCmp), (info.invert & 4) !== 0),
        option,
      );
    }),
  ],
  [
    'udp 0',
    known(udp, (run, info) =>
      all(
        run,
        header(run, 8),
        inPorts(run, 'sport', info.spts, (info.invert & 1) !== 0),
        inPorts(run, 'dport', info.dpts, (info.invert & 2) !== 0),
      ),
    ),
  ],
  ['icmp 0', known(icmp, icmpMatch(255))],
  ['icmp6 0', known(icmp, icmpMatch(-1))],
  ['multiport 1', known(multiport, multiportMatch)],
  ['conntrack 3', known(conntrack, conntrackMatch)],
  [
    'connmark 1',
    known(connmark, (run, info) =>
      run.space.bdd.and(
        hasEntry(run.place, run.state),
        negate(run, masked(run, field(run, 'ct mark'), info.mask, info.mark), info.invert !== 0),
      ),
    ),
  ],
  [
    'mark 1',
    known(mark, (run, info) => negate(run, masked(run, field(run, 'mark'), info.mask, info.mark), info.invert !== 0)),
  ],
  [
    'mac 0',
    known(mac, (run, info) => {
      if (!run.place.iif) return FALSE;
      const ll = run.space.fields.field('ll').first;
      const bits = Array.from({ length: 48 }, (_, i) => run.state.bit(ll + 48 + i));
      return negate(run, equals(run.space.bdd, bits, info.address), info.invert !== 0);
    }),
  ],
  [
    'iprange 1',
    known(iprange, (run, info) => {
      const size = run.place.l3 === NFPROTO_IPV4 ? 4 : 16;
      const within = (source: boolean, min: Uint8Array, max: Uint8Array): Node =>
        between(run.space.bdd, addressOf(run, source), min.subarray(0, size), max.subarray(0, size));
      return all(
        run,
        info.flags & 1 ? negate(run, within(true, info.srcMin, info.srcMax), (info.flags & 16) !== 0) : TRUE,
        info.flags & 2 ? negate(run, within(false, info.dstMin, info.dstMax), (info.flags & 32) !== 0) : TRUE,
      );
    }),
  ],
  [
    'addrtype 1',
    known(addrtype, (run, info) => {
      const { bdd } = run.space;
      const words = (info.flags & 4 ? ' . iif' : '') + (info.flags & 8 ? ' . oif' : '');
      const among = (source: boolean, mask: number): Node => {
        const type = addressType(run, source, words);
        let hit: Node = FALSE;
        for (let t = 0; t < 16; t++) if (mask & (1 << t)) hit = bdd.or(hit, equals(bdd, type, u8(t)));
        // An address without a type counts as unreachable.
        return mask & (1 << 7) ? bdd.or(hit, equals(bdd, type, u8(0))) : hit;
      };
      return all(
        run,
        info.source ? negate(run, among(true, info.source), (info.flags & 1) !== 0) : TRUE,
        info.dest ? negate(run, among(false, info.dest), (info.flags & 2) !== 0) : TRUE,
      );
    }),
  ],
  [
    'length 0',
    known(length, (run, info) =>
      negate(run, between(run.space.bdd, packetLength(run), u16(info.min), u16(info.max)), info.invert !== 0),
    ),
  ],
  ['ttl 0', known(ttl, hopLimit)],
  ['hl 0', known(ttl, hopLimit)],
  [
    'dscp 0',
    known(dscp, (run, info) => {
      const now = tosLevels(run).map((level) => run.state.bit(level));
      return negate(run, masked(run, now, 0xfc, info.dscp << 2), info.invert !== 0);
    }),
  ],
  [
    'tos 1',
    known(tos, (run, info) => {
      const now = tosLevels(run).map((level) => run.state.bit(level));
      return negate(run, masked(run, now, info.mask, info.value), info.invert !== 0);
    }),
  ],
  [
    'pkttype 0',
    known(pkttype, (run, info) =>
      negate(
        run,
        equals(run.space.bdd, run.space.fields.vec('pkttype', 8, 'number'), u8(info.type)),
        info.invert !== 0,
      ),
    ),
  ],
  ['owner 1', known(owner, ownerMatch)],
]);

/** Matches that are functions of the packet, whatever they look at: equal settings, equal answer. */
const OF_THE_PACKET: readonly string[] = [
  'string',
  'u32',
  'bpf',
  'ah',
  'esp',
  'ipcomp',
  'sctp',
  'dccp',
  'tcpmss',
  'ecn',
  'frag',
  'hbh',
  'dst',
  'rt',
  'mh',
  'ipv6header',
  'eui64',
  'srh',
  'physdev',
  'devgroup',
  'realm',
  'cpu',
  'cgroup',
  'policy',
  'rpfilter',
  'socket',
  'osf',
  'helper',
  'connbytes',
  'connlabel',
  'time',
  'cluster',
];

/** Matches that only note something. */
const ALWAYS: readonly string[] = ['comment'];

export function isPureMatch(name: string): boolean {
  return (
    ALWAYS.includes(name) || OF_THE_PACKET.includes(name) || [...MATCHES.keys()].some((k) => k.startsWith(`${name} `))
  );
}

export function xtMatch(run: RuleRun, data: ExprData, expr: Expr): void {
  const { space, place } = run;
  const name = data.text(U.NFTA_MATCH_NAME);
  if (ALWAYS.includes(name)) return;
  const revision = data.u32(U.NFTA_MATCH_REV);
  const known = MATCHES.get(`${name} ${revision}`);
  const info = data.bytes(U.NFTA_MATCH_INFO);
  const decoded = known?.codec.decode(info);
  if (known !== undefined && decoded !== undefined) {
    run.require(known.make(run, decoded));
    return;
  }
  const why = `the match ${name}`;
  if (OF_THE_PACKET.includes(name)) {
    const key = `match ${name} ${revision} ${info.join()} ${place.l3} ${space.stateKey(run.state)}`;
    run.require(space.opaqueFlag(key, `match ${name}`, `${why}: what it says of a packet`));
    return;
  }
  // Limits and lists depend on the packets before, and may be shared by name.
  const shared =
    name === 'recent' || name === 'hashlimit'
      ? `${place.side.name} ${name} ${info.subarray(name === 'recent' ? 10 : 0, 200).join()}`
      : expr;
  const key = place.resources.use(
    space,
    shared,
    name,
    data.key,
    `${data.key} ${place.world} ${space.stateKey(run.state)}`,
    run.here(),
  );
  run.require(space.opaqueFlag(key, `match ${name}`, `${why}: it depends on the packets before`));
}
