/** `iptables -L`: rules as a table for people. */
import { formatAddress, maskLength } from '../../wire/address.ts';
import type { AddressMatch, Rule } from './rule.ts';
import { printContext, protocolText } from './save-text.ts';
import { maskText } from './values.ts';

export type ListStyle = {
  readonly numeric: boolean;
  readonly verbose: boolean;
  readonly exact: boolean;
  readonly lineNumbers: boolean;
};

/** A counter in at most five digits with K, M, G, T, as iptables shortens it. */
export function shortCount(value: bigint, exact: boolean): string {
  if (exact || value < 100000n) return `${value}`;
  let v = (value + 500n) / 1000n;
  for (const unit of ['K', 'M', 'G']) {
    if (v < 10000n) return `${v}${unit}`;
    v = (v + 500n) / 1000n;
  }
  return `${v}T`;
}

function where(match: AddressMatch | undefined, rule: Rule, style: ListStyle): string {
  if (match === undefined) {
    if (!style.numeric) return 'anywhere';
    return rule.family === 4 ? '0.0.0.0/0' : '::/0';
  }
  const full = maskLength(match.mask) === match.mask.length * 8;
  return `${match.invert ? '!' : ''}${formatAddress(match.address)}${full ? '' : maskText(match.mask)}`;
}

function device(match: Rule['iif'], style: ListStyle): string {
  const any = style.numeric ? '*' : 'any';
  return match === undefined || match.name === '+' ? any : `${match.invert ? '!' : ''}${match.name}`;
}

/** Words of the target column, and whether it is a goto. */
function targetName(rule: Rule): string {
  const t = rule.target;
  if (t === undefined) return '';
  return 'verdict' in t ? t.verdict : 'chain' in t ? t.chain : t.use.ext.name;
}

/** The heading under "Chain ...". */
export function listHeading(style: ListStyle): string {
  let out = style.lineNumbers ? 'num  ' : '';
  if (style.verbose)
    out += style.exact ? `${'pkts'.padStart(8)} ${'bytes'.padStart(10)} ` : `${'pkts'.padStart(5)} bytes `;
  out += `${'target'.padEnd(9)}  prot opt `;
  if (style.verbose) out += `${'in'.padEnd(6)} ${'out'.padEnd(6)}  `;
  return `${out}${'source'.padEnd(19)}  ${'destination'.padEnd(19)} `;
}

/** One rule of a listing, `number` from 1. */
export function listRule(rule: Rule, number: number, style: ListStyle): string {
  const ctx = printContext(rule);
  let out = style.lineNumbers ? `${`${number}`.padEnd(4)} ` : '';
  if (style.verbose) {
    const [a, b] = [shortCount(rule.packets, style.exact), shortCount(rule.bytes, style.exact)];
    out += style.exact ? `${a.padStart(8)} ${b.padStart(8)} ` : `${a.padStart(5)} ${b.padStart(5)} `;
  }
  out += `${targetName(rule).padEnd(9)}  `;
  const proto =
    rule.proto === 0 ? (style.numeric ? '0' : 'all') : style.numeric ? `${rule.proto}` : protocolText(rule.proto);
  out += `${rule.protoInvert ? '!' : ''}${proto.padEnd(rule.protoInvert ? 4 : 4)} `;
  const opt = rule.fragment > 0 ? '-f' : rule.fragment < 0 ? '!f' : '--';
  out += `${opt}  `;
  if (style.verbose) out += `${device(rule.iif, style).padEnd(6)} ${device(rule.oif, style).padEnd(6)}  `;
  out += `${where(rule.src, rule, style).padEnd(19)}  ${where(rule.dst, rule, style).padEnd(19)} `;
  const t = rule.target;
  if (t !== undefined && 'chain' in t && t.goto) out += '[goto] ';
  for (const use of rule.matches) out += use.ext.print(use.state, ctx, style.numeric);
  if (t !== undefined && 'use' in t) out += t.use.ext.print(t.use.state, ctx, style.numeric);
  return out;
}

/** A rule as -v prints it when a command has handled it. */
export function verboseRule(rule: Rule): string {
  const style: ListStyle = { numeric: true, verbose: true, exact: false, lineNumbers: false };
  const ctx = printContext(rule);
  const opt = rule.fragment > 0 ? '-f' : rule.fragment < 0 ? '!f' : '--';
  const proto = `${rule.protoInvert ? '!' : ''}${rule.proto === 0 ? 'all' : protocolText(rule.proto)}`;
  let out = `${targetName(rule)}  ${proto} opt ${opt} in ${device(rule.iif, style)} out ${device(rule.oif, style)}  `;
  out += `${where(rule.src, rule, style)}  -> ${where(rule.dst, rule, style)}  `;
  const t = rule.target;
  if (t !== undefined && 'chain' in t && t.goto) out += '[goto] ';
  for (const use of rule.matches) out += use.ext.print(use.state, ctx, true);
  if (t !== undefined && 'use' in t) out += t.use.ext.print(t.use.state, ctx, true);
  return out;
}
