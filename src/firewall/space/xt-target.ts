/** Targets of iptables that arrive as `target` expressions: refusals, marks, translation, changes to headers. */
import type { Expr } from '../../netfilter/nft/expr.ts';
import { NF_NAT_RANGE_MAP_IPS, NF_NAT_RANGE_NETMAP, NF_NAT_RANGE_PROTO_SPECIFIED } from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { classifyTarget } from '../../wire/xt/classify-target.ts';
import { connmarkTarget } from '../../wire/xt/connmark-target.ts';
import { ctTarget } from '../../wire/xt/ct-target.ts';
import { dscpTarget } from '../../wire/xt/dscp-target.ts';
import { markTarget } from '../../wire/xt/mark-target.ts';
import { natRange1 } from '../../wire/xt/nat-range1.ts';
import { natRange2 } from '../../wire/xt/nat-range2.ts';
import { natRange4 } from '../../wire/xt/nat-range4.ts';
import { rejectTarget } from '../../wire/xt/reject-target.ts';
import { tosTarget } from '../../wire/xt/tos-target.ts';
import { ttlTarget } from '../../wire/xt/ttl-target.ts';
import { type Node, TRUE } from './bdd.ts';
import { hasEntry, notrack } from './conntrack.ts';
import type { RuleRun } from './context.ts';
import { translate } from './nat.ts';
import { effect, rejectLabel } from './outcomes.ts';
import type { ExprData } from './read.ts';
import { choose, constant, number, plus, type Vec } from './vector.ts';
import { tosLevels, ttlLevels } from './xt-match.ts';

const CODES4: readonly number[] = [0, 1, 2, 3, -2, 9, 10, -1, 13];
const CODES6: readonly number[] = [0, 1, 2, 3, 4, -2, -1, 5, 6];

/** Targets that only note something. */
const NOTES: readonly string[] = ['LOG', 'NFLOG', 'ULOG', 'AUDIT', 'CHECKSUM', 'TRACE', 'LED', 'RATEEST'];

export function isNote(name: string): boolean {
  return NOTES.includes(name);
}

/** Targets that decide and write nothing. */
export function isPureTarget(name: string): boolean {
  return isNote(name) || name === 'REJECT' || name === 'NFQUEUE';
}

/** `(old & ~mask) ^ value`. */
function mixed(run: RuleRun, old: Vec, mask: number, value: Vec): Node[] {
  const { bdd } = run.space;
  const gone = number(mask >>> 0, old.length);
  return old.map((bit, i) => bdd.xor(gone[i] === TRUE ? 0 : bit, value[i]));
}

function under(vec: Vec, mask: number): Node[] {
  const bits = number(mask >>> 0, vec.length);
  return vec.map((bit, i) => (bits[i] === TRUE ? bit : 0));
}

function shifted(vec: Vec, direction: number, by: number): Node[] {
  if (by === 0) return [...vec];
  return vec.map((_, i) => vec[direction === 1 ? i - by : i + by] ?? 0);
}

function connmark(run: RuleRun, info: NonNullable<ReturnType<typeof connmarkTarget.decode>>): void {
  const { space, place, state } = run;
  const { bdd, fields } = space;
  const here = bdd.and(run.here(), hasEntry(place, state));
  const ct = state.vec(fields.field('ct mark'));
  const mark = state.vec(fields.field('mark'));
  const shift = (vec: Vec): Node[] => shifted(vec, info.shiftDir, info.shiftBits);
  if (info.mode === 2) {
    run.state = state.set(here, fields.field('mark'), mixed(run, mark, info.nfmask, shift(under(ct, info.ctmask))));
    return;
  }
  const value =
    info.mode === 0
      ? shift(mixed(run, ct, info.ctmask, number(info.ctmark >>> 0, 32)))
      : mixed(run, ct, info.ctmask, shift(under(mark, info.nfmask)));
  run.state = state.set(here, fields.field('ct mark'), value);
}

function ct(run: RuleRun, data: ExprData, info: NonNullable<ReturnType<typeof ctTarget.decode>>): void {
  const { space, place } = run;
  if (info.flags & 1) {
    notrack(run);
    return;
  }
  if (place.tracked !== undefined) return;
  if (info.helper === '' && info.timeout === '' && info.ctEvents === 0 && info.expEvents === 0 && info.flags === 0) {
    run.state = run.state.set(run.here(), space.fields.written('ct zone', 16, 'number'), number(info.zone, 16));
    return;
  }
  effect(run, data.key);
}

function ttl(run: RuleRun, info: { mode: number; ttl: number }): void {
  const { bdd } = run.space;
  const levels = ttlLevels(run);
  const old = levels.map((level) => run.state.bit(level));
  let value: Node[] = number(info.ttl, 8);
  if (info.mode === 1) {
    const sum = plus(bdd, [0, ...old], info.ttl);
    value = choose(bdd, sum[0], number(255, 8), sum.slice(1));
  } else if (info.mode === 2) {
    const sum = plus(bdd, [0, ...old], 512 - info.ttl);
    value = choose(bdd, sum[0], number(0, 8), sum.slice(1));
  }
  run.state = run.state.write(run.here(), levels, value);
}

const NAT: readonly string[] = ['SNAT', 'DNAT', 'MASQUERADE', 'REDIRECT', 'NETMAP'];

function nat(run: RuleRun, name: string, revision: number, data: Uint8Array): boolean {
  const six = run.place.l3 !== NFPROTO_IPV4;
  const bytes = six ? 16 : 4;
  let flags: number;
  let min: Uint8Array;
  let max: Uint8Array;
  let ports: readonly [number, number];
  if (revision === 0 && !six) {
    const info = natRange4.decode(data);
    if (info === undefined) return false;
    ({ flags } = info);
    [min, max, ports] = [info.minIp, info.maxIp, [info.minPort, info.maxPort]];
  } else {
    const info = (name === 'DNAT' && revision === 2 ? natRange2 : natRange1).decode(data);
    if (info === undefined) return false;
    ({ flags } = info);
    [min, max, ports] = [info.minAddr.slice(0, bytes), info.maxAddr.slice(0, bytes), [info.minPort, info.maxPort]];
  }
  const source =
    name === 'SNAT' || name === 'MASQUERADE' || (name === 'NETMAP' && (run.place.hook === 4 || run.place.hook === 1));
  const words: Readonly<Record<string, string>> = { MASQUERADE: 'masquerade', REDIRECT: 'redirect', NETMAP: 'netmap' };
  const kind = words[name] ?? (source ? 'snat' : 'dnat');
  // nft says of a whole network that it is one; iptables has a target for it.
  const all = kind === 'netmap' ? flags | NF_NAT_RANGE_NETMAP : flags;
  translate(run, {
    source,
    kind,
    flags: all,
    ...(flags & NF_NAT_RANGE_MAP_IPS && { min: constant(min), max: constant(max) }),
    ...(flags & NF_NAT_RANGE_PROTO_SPECIFIED && { minPort: number(ports[0], 16), maxPort: number(ports[1], 16) }),
  });
  return true;
}

export function xtTarget(run: RuleRun, data: ExprData, _expr: Expr): void {
  const { space, place } = run;
  const { fields } = space;
  const name = data.text(U.NFTA_TARGET_NAME);
  const bytes = data.bytes(U.NFTA_TARGET_INFO);
  const revision = data.u32(U.NFTA_TARGET_REV);
  if (isNote(name)) return;
  if (NAT.includes(name) && nat(run, name, revision, bytes)) return;
  switch (name) {
    case 'REJECT': {
      const kind = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
      const code = (place.l3 === NFPROTO_IPV4 ? CODES4 : CODES6)[rejectTarget.decode(bytes)?.with ?? kind] ?? 0;
      run.decide(space.outcome(rejectLabel(place.l3, code === -1, code)));
      return;
    }
    case 'MARK': {
      const info = markTarget.decode(bytes);
      if (info === undefined) break;
      const mark = fields.field('mark');
      run.state = run.state.set(
        run.here(),
        mark,
        mixed(run, run.state.vec(mark), info.mask, number(info.mark >>> 0, 32)),
      );
      return;
    }
    case 'CONNMARK': {
      const info = connmarkTarget.decode(bytes);
      if (info === undefined) break;
      connmark(run, info);
      return;
    }
    case 'CT':
    case 'NOTRACK': {
      const info = ctTarget.decode(bytes);
      if (name === 'NOTRACK') notrack(run);
      else if (info !== undefined) ct(run, data, info);
      return;
    }
    case 'CLASSIFY': {
      const info = classifyTarget.decode(bytes);
      if (info === undefined) break;
      run.state = run.state.set(run.here(), fields.field('priority'), number(info.priority >>> 0, 32));
      return;
    }
    case 'DSCP': {
      const info = dscpTarget.decode(bytes);
      if (info === undefined) break;
      run.state = run.state.write(run.here(), tosLevels(run).slice(0, 6), number(info.dscp, 6));
      return;
    }
    case 'TOS': {
      const info = tosTarget.decode(bytes);
      if (info === undefined) break;
      const levels = tosLevels(run);
      const old = levels.map((level) => run.state.bit(level));
      run.state = run.state.write(run.here(), levels, mixed(run, old, info.mask, number(info.value, 8)));
      return;
    }
    case 'TTL':
    case 'HL': {
      const info = ttlTarget.decode(bytes);
      if (info === undefined) break;
      ttl(run, info);
      return;
    }
    case 'NFQUEUE':
      run.decide(space.outcome(`queue ${data.key}`));
      return;
    default:
  }
  // What is not modelled is part of the outcome by its name and settings; some of these end the packet's way.
  effect(run, data.key);
  if (['TPROXY', 'SYNPROXY', 'DNPT', 'CLUSTERIP'].includes(name)) {
    run.decide(space.outcome(`${name} ${space.intern(data.key)}`));
  }
}
