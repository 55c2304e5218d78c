/** Sets of values of a field in words: prefixes, ranges, names, masks, or what they leave out, whichever is shorter. */
import { formatIpv4, formatIpv6, formatMac } from '../../wire/address.ts';
import { protocolByNumber } from '../../wire/services.ts';
import { type Bdd, FALSE, type Node, TRUE } from './bdd.ts';
import { STATES } from './conntrack.ts';
import type { Part } from './parts.ts';

export type Range = readonly [bigint, bigint];

const MOST = 200;
const SHOWN = 12;

/** The values of a set as ranges; undefined when there are too many. */
export function rangesOf(bdd: Bdd, set: Node, levels: readonly number[]): Range[] | undefined {
  const out: [bigint, bigint][] = [];
  const walk = (n: Node, at: number, low: bigint): boolean => {
    if (n === FALSE) return true;
    const left = BigInt(levels.length - at);
    if (n === TRUE) {
      const last = out[out.length - 1];
      const high = low + (1n << left) - 1n;
      if (last !== undefined && last[1] + 1n === low) last[1] = high;
      else out.push([low, high]);
      return out.length <= MOST;
    }
    const tested = bdd.level(n) === levels[at];
    const half = 1n << (left - 1n);
    return walk(tested ? bdd.low(n) : n, at + 1, low) && walk(tested ? bdd.high(n) : n, at + 1, low + half);
  };
  return walk(set, 0, 0n) ? out : undefined;
}

function bytesOf(value: bigint, length: number): Uint8Array {
  const out = new Uint8Array(length);
  for (let i = length - 1, v = value; i >= 0; i--, v >>= 8n) out[i] = Number(v & 0xffn);
  return out;
}

const FLAGS = ['fin', 'syn', 'rst', 'psh', 'ack', 'urg', 'ecn', 'cwr'];

function flagNames(value: number): string {
  if (value === 0) return '0x0';
  return FLAGS.filter((_, i) => value & (1 << i)).join(' | ');
}

/** One value of a field in words. */
export function valueText(part: Part, value: bigint, ifaces: readonly string[]): string {
  switch (part.kind) {
    case 'ip':
      return formatIpv4(bytesOf(value, 4));
    case 'ip6':
      return formatIpv6(bytesOf(value, 16));
    case 'mac':
      return formatMac(bytesOf(value, 6));
    case 'protocol':
      return protocolByNumber.get(Number(value)) ?? String(value);
    case 'state':
      return STATES[Number(value)] ?? String(value);
    case 'direction':
      return value === 0n ? 'original' : 'reply';
    case 'iface':
      return ifaces[Number(value)] ?? 'other';
    case 'tcpflags':
      return flagNames(Number(value));
    case 'hex':
      return `0x${value.toString(16)}`;
    default:
      return String(value);
  }
}

/** A range as a prefix, when it is one. */
function prefixText(part: Part, [low, high]: Range): string | undefined {
  if (part.kind !== 'ip' && part.kind !== 'ip6') return undefined;
  const size = high - low + 1n;
  if ((size & (size - 1n)) !== 0n || low % size !== 0n) return undefined;
  const length = part.levels.length - (size.toString(2).length - 1);
  return `${valueText(part, low, [])}/${length}`;
}

function rangeText(part: Part, range: Range, ifaces: readonly string[]): string {
  const [low, high] = range;
  if (low === high) return valueText(part, low, ifaces);
  return prefixText(part, range) ?? `${valueText(part, low, ifaces)}-${valueText(part, high, ifaces)}`;
}

function listText(words: readonly string[]): string {
  if (words.length === 1) return words[0];
  const shown = words.slice(0, SHOWN);
  return `{ ${shown.join(', ')}${words.length > SHOWN ? `, and ${words.length - SHOWN} more` : ''} }`;
}

/** Values that a field can have, where not every number is one. */
function possible(part: Part, ifaces: readonly string[], six: boolean): number | undefined {
  if (part.kind === 'iface') return ifaces.length;
  if (part.kind === 'state') return six ? STATES.length : STATES.length - 1;
  return undefined;
}

/** Masks and values: how sets are written that are no few ranges. */
function maskText(bdd: Bdd, set: Node, part: Part): string {
  const cubes: [bigint, bigint][] = [];
  const width = part.levels.length;
  const walk = (n: Node, at: number, mask: bigint, value: bigint): void => {
    if (n === FALSE || cubes.length > SHOWN) return;
    if (at === width) {
      cubes.push([mask, value]);
      return;
    }
    if (n !== TRUE && bdd.level(n) === part.levels[at]) {
      walk(bdd.low(n), at + 1, (mask << 1n) | 1n, value << 1n);
      walk(bdd.high(n), at + 1, (mask << 1n) | 1n, (value << 1n) | 1n);
    } else walk(n, at + 1, mask << 1n, value << 1n);
  };
  walk(set, 0, 0n, 0n);
  const one = ([mask, value]: [bigint, bigint]): string =>
    part.kind === 'tcpflags'
      ? `${part.name} & (${flagNames(Number(mask))}) == ${flagNames(Number(value))}`
      : `${part.name} & 0x${mask.toString(16)} == 0x${value.toString(16)}`;
  const words = cubes.slice(0, SHOWN).map(one);
  if (cubes.length > SHOWN) words.push('...');
  return words.length === 1 ? words[0] : `(${words.join(' or ')})`;
}

/** "tcp dport 22", "ip saddr != 10.0.0.0/8"; undefined when the field may have any value that it can have. */
export function partText(bdd: Bdd, part: Part, set: Node, ifaces: readonly string[], six: boolean): string | undefined {
  if (set === TRUE) return undefined;
  if (part.levels.length === 1) {
    if (part.kind === 'flag') return set === bdd.variable(part.levels[0]) ? part.name : `not (${part.name})`;
    if (part.kind === 'direction') return `ct direction ${set === bdd.variable(part.levels[0]) ? 'reply' : 'original'}`;
  }
  const count = possible(part, ifaces, six);
  let ranges = rangesOf(bdd, set, part.levels);
  if (count !== undefined && ranges !== undefined) {
    const all = Array.from({ length: count }, (_, i) => BigInt(i));
    const inside = all.filter((v) => ranges?.some(([low, high]) => v >= low && v <= high));
    if (inside.length === count) return undefined;
    const outside = all.filter((v) => !inside.includes(v));
    const name = (v: bigint): string => valueText(part, v, ifaces);
    if (outside.length < inside.length && part.kind === 'iface')
      return `${part.name} != ${listText(outside.map(name))}`;
    return `${part.name} ${listText(inside.map(name))}`;
  }
  if (part.kind === 'tcpflags' && (ranges === undefined || ranges.length > 1 || ranges[0][0] !== ranges[0][1]))
    return maskText(bdd, set, part);
  const others = rangesOf(bdd, bdd.not(set), part.levels);
  const best = Math.min(ranges?.length ?? MOST + 1, others?.length ?? MOST + 1);
  if (best > 40) {
    const masks = maskText(bdd, set, part);
    if (!masks.includes('...')) return masks;
  }
  let op = '';
  if (others !== undefined && others.length < (ranges?.length ?? MOST + 1) * (ranges?.length === 1 ? 0 : 1)) {
    op = '!= ';
    ranges = others;
  }
  if (ranges === undefined) return maskText(bdd, set, part);
  return `${part.name} ${op}${listText(ranges.map((r) => rangeText(part, r, ifaces)))}`;
}
