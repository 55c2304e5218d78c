/** A rule of iptables in the words of nft: `iptables -A INPUT -p tcp --dport 22 -j ACCEPT` is `tcp dport 22 counter accept`. */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import type { Comment } from '../../../wire/xt/comment.ts';
import { protocolName } from '../names.ts';
import type { AddressMatch, InterfaceMatch, Rule } from '../rule.ts';
import { CONNECTION } from './connection.ts';
import { IPV6 } from './ipv6.ts';
import { PACKET } from './packet.ts';
import { commentText, RATES } from './rates.ts';
import { TARGETS } from './targets.ts';
import { TRANSPORT } from './transport.ts';
import { not, type TranslateContext, type TranslateTable } from './types.ts';

const MATCHES: TranslateTable = { ...TRANSPORT, ...CONNECTION, ...PACKET, ...RATES };
const MATCHES6: TranslateTable = { ...MATCHES, ...IPV6 };

/** An iptables interface name as nft's: "eth+" is "eth*", and a real asterisk at the end is escaped. */
function interfaceText(key: string, match: InterfaceMatch | undefined): string {
  if (match === undefined) return '';
  const { name, invert } = match;
  if (name === '+') return invert ? `${key} "INVAL/D"` : '';
  const text = name.endsWith('+') ? `${name.slice(0, -1)}*` : name.replace(/\*$/, '\\*');
  return `${key} ${not(invert)}"${text}"`;
}

function addressText(key: string, match: AddressMatch | undefined): string {
  if (match === undefined) return '';
  const { address, mask, invert } = match;
  const length = maskLength(mask);
  if (length === 0 && !invert) return '';
  if (length < 0) return `${key} & ${formatAddress(mask)} ${invert ? '!=' : '=='} ${formatAddress(address)}`;
  return `${key} ${not(invert)}${formatAddress(address)}${length === mask.length * 8 ? '' : `/${length}`}`;
}

function protocolText(rule: Rule): string {
  if (rule.proto === 0) return '';
  const name = protocolName(rule.proto);
  // The match of the protocol says it.
  if (!rule.protoInvert && rule.matches.some(({ ext }) => ext.name === name)) return '';
  const key = rule.family === 4 ? 'ip protocol' : 'meta l4proto';
  return `${key} ${not(rule.protoInvert)}${name ?? rule.proto}`;
}

const FRAGMENT: ReadonlyMap<number, string> = new Map([
  [0, ''],
  [1, 'ip frag-off & 0x1fff != 0'],
  [-1, 'ip frag-off & 0x1fff 0'],
]);

/** The words after the chain's name; undefined when a match or the target has none in nft. */
export function translateRule(ctx: TranslateContext): string | undefined {
  const { rule } = ctx;
  const ip = rule.family === 4 ? 'ip' : 'ip6';
  const parts = [
    interfaceText('iifname', rule.iif),
    interfaceText('oifname', rule.oif),
    FRAGMENT.get(rule.fragment),
    protocolText(rule),
    addressText(`${ip} saddr`, rule.src),
    addressText(`${ip} daddr`, rule.dst),
  ];
  let comment = '';
  for (const { ext, state } of rule.matches) {
    if (ext.name === 'comment') {
      comment = commentText((state as Comment).comment);
      continue;
    }
    const text = (rule.family === 4 ? MATCHES : MATCHES6)[ext.name]?.(state as never, ctx);
    if (text === undefined) return undefined;
    parts.push(text);
  }
  const target = targetText(ctx);
  if (target === undefined) return undefined;
  return [...parts, 'counter', target, comment].filter((part) => part).join(' ');
}

function targetText(ctx: TranslateContext): string | undefined {
  const { target } = ctx.rule;
  if (target === undefined) return '';
  if ('verdict' in target) return target.verdict === 'QUEUE' ? 'queue' : target.verdict.toLowerCase();
  if ('chain' in target) return `${target.goto ? 'goto' : 'jump'} ${target.chain}`;
  return TARGETS[target.use.ext.name]?.(target.use.state as never, ctx);
}
