/** Expressions that read: payload, meta, fib, exthdr, and others whose answer is a function of the packet. */
import { NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { isIp, type RuleRun } from './context.ts';
import {
  type Bit,
  fragment6,
  hasTransport,
  linkBit,
  longEnough,
  networkBit,
  readBits,
  transportBits,
} from './packet-bits.ts';
import type { ExprData } from './read.ts';
import { constant, number, plus, swapped } from './vector.ts';

/** A number as registers hold it: in host order. */
export function hostNumber(value: number, width: number): Node[] {
  return swapped(number(value, width));
}

/** The header bits that a payload expression names. */
export function payloadBits(run: RuleRun, base: number, offset: number, length: number): Bit[] | undefined {
  const { space, place } = run;
  const bits = Array.from({ length: length * 8 }, (_, i) => offset * 8 + i);
  switch (base) {
    case U.NFT_PAYLOAD_LL_HEADER:
      return bits.map((bit) => linkBit(space, bit));
    case U.NFT_PAYLOAD_NETWORK_HEADER:
      return bits.map((bit) => networkBit(space, place.l3, bit));
    case U.NFT_PAYLOAD_TRANSPORT_HEADER:
      return transportBits(space, offset, length);
    default:
      return undefined;
  }
}

/** Where a packet has the bytes that a payload expression names. `fast`: later fragments are read as if they had a header. */
export function payloadThere(run: RuleRun, base: number, offset: number, length: number, fast: boolean): Node {
  const { space, place } = run;
  if (base === U.NFT_PAYLOAD_LL_HEADER) return place.iif ? TRUE : FALSE;
  if (base !== U.NFT_PAYLOAD_TRANSPORT_HEADER) return TRUE;
  if (!isIp(place)) return FALSE;
  const long = longEnough(run, offset + length);
  return fast ? long : space.bdd.and(long, hasTransport(run));
}

export function payloadLoad(run: RuleRun, data: ExprData): void {
  const base = data.u32(U.NFTA_PAYLOAD_BASE);
  const offset = data.u32(U.NFTA_PAYLOAD_OFFSET);
  const length = data.u32(U.NFTA_PAYLOAD_LEN);
  const fast = (length === 1 || length === 2 || length === 4) && offset % length === 0;
  const bits = payloadBits(run, base, offset, length);
  const value = bits && readBits(run, bits);
  if (value === undefined) {
    unknownLoad(run, data, U.NFTA_PAYLOAD_DREG, length, 'bytes of the packet that are not modelled');
    return;
  }
  run.require(payloadThere(run, base, offset, length, fast));
  run.load(data.register(U.NFTA_PAYLOAD_DREG), value);
}

/** Something that is a function of the packet as it is now, and nothing more is known of it. */
export function unknownLoad(run: RuleRun, data: ExprData, dreg: number, length: number, why: string): void {
  const { space } = run;
  const key = `${data.key} ${run.place.l3} ${run.place.hook} ${space.stateKey(run.state)}`;
  const label = `${data.name} of the packet`;
  run.require(space.opaqueFlag(`there ${key}`, `has ${label}`, why));
  run.load(data.register(dreg), space.opaque(key, label, length * 8, why));
}

/** Interface properties by key: which interface, bytes, and whether a packet must have one. */
const IFACE_KEYS: ReadonlyMap<number, readonly ['iif' | 'oif', string, number, boolean]> = new Map([
  [U.NFT_META_IFTYPE, ['iif', 'type', 2, true] as const],
  [U.NFT_META_OIFTYPE, ['oif', 'type', 2, true] as const],
  [U.NFT_META_IIFGROUP, ['iif', 'group', 4, true] as const],
  [U.NFT_META_OIFGROUP, ['oif', 'group', 4, true] as const],
  [U.NFT_META_IIFKIND, ['iif', 'kind', 16, true] as const],
  [U.NFT_META_OIFKIND, ['oif', 'kind', 16, true] as const],
]);

/** Facts about a packet that rules cannot change: key, label, bytes, in host order, only where `there`. */
const FACTS: ReadonlyMap<number, readonly [string, number]> = new Map([
  [U.NFT_META_RTCLASSID, ['realm', 4]],
  [U.NFT_META_SECMARK, ['secmark', 4]],
  [U.NFT_META_CPU, ['cpu', 4]],
  [U.NFT_META_CGROUP, ['cgroup', 4]],
  [U.NFT_META_SECPATH, ['ipsec', 1]],
  [U.NFT_META_TIME_NS, ['time', 8]],
  [U.NFT_META_TIME_DAY, ['day', 1]],
  [U.NFT_META_TIME_HOUR, ['hour', 4]],
  [U.NFT_META_NFTRACE, ['nftrace', 1]],
  [U.NFT_META_BRI_IIFPVID, ['bridge pvid', 2]],
  [U.NFT_META_BRI_IIFVPROTO, ['bridge vlan protocol', 2]],
  [U.NFT_META_BRI_IIFNAME, ['bridge iifname', 16]],
  [U.NFT_META_BRI_OIFNAME, ['bridge oifname', 16]],
]);

export function metaLoad(run: RuleRun, data: ExprData): void {
  const { space, place, state } = run;
  const { fields, ifaces } = space;
  const key = data.u32(U.NFTA_META_KEY);
  const to = data.register(U.NFTA_META_DREG);
  const load = (vec: readonly Node[]): void => run.load(to, vec);
  switch (key) {
    case U.NFT_META_MARK:
      return load(swapped(state.vec(fields.field('mark'))));
    case U.NFT_META_PRIORITY:
      return load(swapped(state.vec(fields.field('priority'))));
    case U.NFT_META_LEN:
      return load(swapped([...number(0, 16), ...packetLength(run)]));
    case U.NFT_META_NFPROTO:
      return load(number(place.pf === NFPROTO_BRIDGE || place.pf === NFPROTO_NETDEV ? place.l3 : place.pf, 8));
    case U.NFT_META_PROTOCOL:
      return load(number(place.l3 === NFPROTO_IPV4 ? 0x0800 : place.l3 === NFPROTO_IPV6 ? 0x86dd : 0x0806, 16));
    case U.NFT_META_L4PROTO:
      run.require(isIp(place) ? TRUE : FALSE);
      return load(state.vec(fields.field('protocol')));
    case U.NFT_META_IIFNAME:
    case U.NFT_META_SDIFNAME:
      return load(place.iif ? ifaces.name('iifname') : constant(new Uint8Array(16)));
    case U.NFT_META_OIFNAME:
      return load(place.oif ? ifaces.name('oifname') : constant(new Uint8Array(16)));
    case U.NFT_META_IIF:
    case U.NFT_META_SDIF:
      return load(place.iif ? indices(run, 'iifname') : constant(new Uint8Array(4)));
    case U.NFT_META_OIF:
      return load(place.oif ? indices(run, 'oifname') : constant(new Uint8Array(4)));
    case U.NFT_META_PKTTYPE: {
      // As the packet came; a host's own packets have none yet, and are judged by their destination.
      return load(fields.vec('pkttype', 8, 'number'));
    }
    case U.NFT_META_SKUID:
    case U.NFT_META_SKGID: {
      const name = key === U.NFT_META_SKUID ? 'skuid' : 'skgid';
      run.require(place.path === 'output' ? fields.flag('has a socket') : FALSE);
      return load(swapped(fields.vec(name, 32, 'number')));
    }
    default:
  }
  const own = IFACE_KEYS.get(key);
  if (own !== undefined) {
    const [which, what, bytes, needed] = own;
    if (needed) run.require(place[which] ? TRUE : FALSE);
    // A property of the interface, which is the same in both rulesets; what it is, nobody said.
    return load(space.opaque(`${which}${what}`, `${which}${what}`, bytes * 8, `what ${which}${what} an interface has`));
  }
  const fact = FACTS.get(key);
  if (fact !== undefined) {
    const [name, bytes] = fact;
    const kind = name === 'time' || name === 'day' || name === 'hour' ? 'number' : 'hex';
    const vec = space.opaque(name, name, bytes * 8, `${name}, which is the same for both`, kind);
    return load(bytes === 1 || bytes === 16 ? vec : swapped(vec));
  }
  if (key === U.NFT_META_PRANDOM) {
    const use = run.place.resources.use(space, data, 'meta random', 'random', place.world, run.here());
    return load(space.opaque(use, 'meta random', 32, 'random numbers'));
  }
  unknownLoad(run, data, U.NFTA_META_DREG, 16, `meta key ${key}`);
}

/** Length of the IP packet. */
export function packetLength(run: RuleRun): Node[] {
  const { space, place, state } = run;
  const nh = space.fields.field('nh').first;
  const word = (bit: number): Node[] => Array.from({ length: 16 }, (_, i) => state.bit(nh + bit + i));
  if (place.l3 === NFPROTO_IPV4) return word(16);
  if (place.l3 === NFPROTO_IPV6) return plus(space.bdd, word(32), 40);
  return space.opaque('frame length', 'frame length', 16, 'lengths of frames', 'number');
}

/** Indices of interfaces, in this ruleset's host; a name that it does not have gets a number of its own. */
function indices(run: RuleRun, which: 'iifname' | 'oifname'): Node[] {
  const { host, name: side } = run.place.side;
  return run.space.ifaces.lookup(which, `index ${side}`, 32, (name) => {
    const index = host.deviceIndex(name) || 0x10000 + run.space.ifaces.names.indexOf(name);
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, index, true);
    return bytes;
  });
}

/** Kind of an address (RTN_*), by the routing tables: the same variables for `fib`, addrtype and whoever else asks. */
export function addressType(run: RuleRun, source: boolean, restricted: string): Node[] {
  const { space, place, state } = run;
  const name = `${place.l3 === NFPROTO_IPV6 ? 'ip6' : 'ip'} ${source ? 'saddr' : 'daddr'}`;
  const address = space.intern(state.vec(space.fields.field(name)));
  const label = `fib ${source ? 'saddr' : 'daddr'}${restricted} type`;
  return space.opaque(`${label} ${address}`, label, 8, 'which addresses are local, broadcast...', 'number');
}

export function fibLoad(run: RuleRun, data: ExprData): void {
  const { space, place } = run;
  const flags = data.u32(U.NFTA_FIB_FLAGS);
  const result = data.u32(U.NFTA_FIB_RESULT);
  if (!isIp(place)) {
    run.require(FALSE);
    return;
  }
  const to = data.register(U.NFTA_FIB_DREG);
  const source = (flags & U.NFTA_FIB_F_SADDR) !== 0;
  const words =
    (flags & U.NFTA_FIB_F_MARK ? ' . mark' : '') +
    (flags & U.NFTA_FIB_F_IIF ? ' . iif' : '') +
    (flags & U.NFTA_FIB_F_OIF ? ' . oif' : '');
  if (result === U.NFT_FIB_RESULT_ADDRTYPE && !(flags & U.NFTA_FIB_F_MARK)) {
    run.load(to, swapped([...number(0, 24), ...addressType(run, source, words)]));
    return;
  }
  const present = (flags & U.NFTA_FIB_F_PRESENT) !== 0;
  const bytes = result === U.NFT_FIB_RESULT_OIFNAME && !present ? 16 : 4;
  const what = `fib ${source ? 'saddr' : 'daddr'}${words} ${result}${present ? ' present' : ''}`;
  const key = `${what} ${place.hook} ${space.stateKey(run.state)}`;
  const vec = space.opaque(key, what, present ? 1 : bytes * 8, 'what the routing tables say');
  run.load(to, present ? hostWord(vec) : vec);
}

/** A truth value in a register of four bytes, in host order. */
function hostWord(bit: readonly Node[]): Node[] {
  return [...number(0, 7), bit[0], ...number(0, 24)];
}

/** Extension headers and options: one field for every bit of every option. */
export function exthdrLoad(run: RuleRun, data: ExprData): void {
  const { space, place } = run;
  const op = data.u32(U.NFTA_EXTHDR_OP);
  const type = data.u8(U.NFTA_EXTHDR_TYPE);
  const offset = data.u32(U.NFTA_EXTHDR_OFFSET);
  const length = data.u32(U.NFTA_EXTHDR_LEN);
  const to = data.register(U.NFTA_EXTHDR_DREG);
  const name = `${['exthdr', 'tcp option', 'ip option', 'sctp chunk', 'dccp option'][op] ?? 'option'} ${type}`;
  const l3 = op === 0 ? NFPROTO_IPV6 : op === 2 ? NFPROTO_IPV4 : place.l3;
  const changed = run.state.bit(space.fields.written(`changed ${name}`).first);
  let there: Node =
    l3 !== place.l3 || !isIp(place)
      ? FALSE
      : space.opaqueFlag(`${name} ${changed}`, name, 'packets have options or not, whatever they are');
  if (op === 0 && type === 44) there = space.bdd.or(there, space.bdd.and(there, fragment6(space)));
  const protocol = { 1: 6, 3: 132, 4: 33 }[op];
  if (protocol !== undefined) {
    const is = number(protocol, 8);
    const now = run.state.vec(space.fields.field('protocol'));
    let same: Node = TRUE;
    now.forEach((bit, i) => {
      same = space.bdd.and(same, is[i] === TRUE ? bit : space.bdd.not(bit));
    });
    there = space.bdd.and(there, same);
  }
  if (data.u32(U.NFTA_EXTHDR_FLAGS) & U.NFT_EXTHDR_F_PRESENT) {
    run.load(to, [...number(0, 7), there]);
    return;
  }
  run.require(there);
  if (length > 2)
    run.require(
      space.opaqueFlag(
        `${name} has ${offset + length}`,
        `${name} with ${offset + length} bytes`,
        'options are long enough or not',
      ),
    );
  const bits: Node[] = [];
  for (let i = 0; i < length; i++)
    bits.push(
      ...space.opaque(
        `${name} byte ${offset + i} ${changed}`,
        `${name} byte ${offset + i}`,
        8,
        'what options hold',
        'number',
      ),
    );
  run.load(to, bits);
}
