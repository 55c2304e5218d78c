/** Rules as arguments: what iptables-save and `iptables -S` print. */
import { formatAddress } from '../../wire/address.ts';
import { bang, type Context, type Use } from './extension.ts';
import { protocolName } from './names.ts';
import type { AddressMatch, Rule } from './rule.ts';
import { noSets } from './set-names.ts';
import { maskText } from './values.ts';

/** What the printers of extensions see. */
export function printContext(rule: Rule): Context {
  return {
    family: rule.family,
    table: '',
    proto: rule.proto,
    protoInvert: rule.protoInvert,
    ext: '',
    opt: '',
    seen: new Set(),
    next: () => undefined,
    user: () => undefined,
    group: () => undefined,
    sets: noSets,
    warn: () => {},
  };
}

function addressText(option: string, match: AddressMatch | undefined): string {
  return match === undefined
    ? ''
    : `${bang(match.invert)} -${option} ${formatAddress(match.address)}${maskText(match.mask)}`;
}

/** Name of a rule's protocol. */
export function protocolText(proto: number): string {
  return protocolName(proto) ?? `${proto}`;
}

function useText(use: Use, ctx: Context): string {
  return use.ext.save(use.state, ctx);
}

/** Everything after the chain's name. */
export function ruleText(rule: Rule): string {
  const ctx = printContext(rule);
  let out = addressText('s', rule.src) + addressText('d', rule.dst);
  if (rule.iif && !(rule.iif.name === '+' && !rule.iif.invert)) out += `${bang(rule.iif.invert)} -i ${rule.iif.name}`;
  if (rule.oif && !(rule.oif.name === '+' && !rule.oif.invert)) out += `${bang(rule.oif.invert)} -o ${rule.oif.name}`;
  if (rule.proto !== 0) out += `${bang(rule.protoInvert)} -p ${protocolText(rule.proto)}`;
  if (rule.fragment !== 0) out += `${bang(rule.fragment < 0)} -f`;
  for (const use of rule.matches) out += ` -m ${use.ext.name}${useText(use, ctx)}`;
  const t = rule.target;
  if (t === undefined) return out;
  if ('verdict' in t) return `${out} -j ${t.verdict}`;
  if ('chain' in t) return `${out} -${t.goto ? 'g' : 'j'} ${t.chain}`;
  return `${out} -j ${t.use.ext.name}${useText(t.use, ctx)}`;
}
