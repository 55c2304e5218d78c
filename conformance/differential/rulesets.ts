/**
 * Rulesets for the differential test: everyday constructs in random combinations, from a seed. Each is a list of rules
 * in fixed chains, so that a disagreement shrinks by leaving rules out.
 */
import type { Random } from '../../src/core/random.ts';
import { PORTS, pick } from './packets.ts';

/** A ruleset that can lose rules: chain headers, and rules by chain. */
export type GeneratedRuleset = {
  readonly definitions: readonly string[];
  readonly chains: readonly { readonly header: string; readonly rules: readonly string[] }[];
};

/** The text that nft loads. */
export function render(ruleset: GeneratedRuleset): string {
  const chains = ruleset.chains.map((c) => `  ${c.header}\n${c.rules.map((rule) => `    ${rule}\n`).join('')}  }\n`);
  return `table inet t {\n${ruleset.definitions.map((d) => `  ${d}\n`).join('')}${chains.join('')}}\n`;
}

const NETS4 = [
  '10.0.0.2',
  '10.0.0.0/25',
  '10.0.1.0/24',
  '10.0.0.100-10.0.0.140',
  '192.168.0.0/16',
  '10.0.1.2',
  '10.0.0.1',
];
const NETS6 = ['fd00::2', 'fd01::/64', 'fd00::/16', 'fd01::2'];
const PROTOS = ['tcp', 'udp'];

function ports(r: Random): string {
  const a = pick(r, PORTS);
  const b = pick(r, PORTS);
  switch (r.below(5)) {
    case 0:
      return a === b ? `${a}` : `{ ${a}, ${b} }`;
    case 1:
      return a === b ? `${a}` : `${Math.min(a, b)}-${Math.max(a, b)}`;
    case 2:
      return `!= ${a}`;
    case 3:
      return a === b ? `>= ${a}` : `{ ${Math.min(a, b)}-${Math.max(a, b)}, 60000 }`;
    default:
      return `${a}`;
  }
}

/** One match expression. */
function match(r: Random): string {
  switch (r.below(26)) {
    case 0:
      return `ip saddr ${pick(r, ['', '!= '])}${pick(r, NETS4)}`;
    case 1:
      return `ip daddr ${pick(r, NETS4)}`;
    case 2:
      return `ip6 saddr ${pick(r, NETS6)}`;
    case 3:
      return `ip6 daddr ${pick(r, ['', '!= '])}${pick(r, NETS6)}`;
    case 4:
    case 5:
    case 6:
      return `${pick(r, PROTOS)} dport ${ports(r)}`;
    case 7:
      return `${pick(r, PROTOS)} sport ${ports(r)}`;
    case 8:
    case 9:
      return `ct state ${pick(r, ['new', 'established,related', 'invalid', 'established', 'related', '{ new, invalid }', '!= new'])}`;
    case 10:
      return `iifname ${pick(r, ['"t0"', '"t1"', '{ "t0", "lo" }', '"t*"', '!= "t1"'])}`;
    case 11:
      return `meta l4proto ${pick(r, ['tcp', 'udp', '{ tcp, udp }', 'icmp', '!= tcp', 'ipv6-icmp'])}`;
    case 12:
      return `tcp flags ${pick(r, ['syn', '& (fin|syn|rst|ack) == syn', 'syn,ack', '!= syn', '& (syn|ack) == (syn|ack)', '{ syn, ack }'])}`;
    case 13:
      return `icmp type ${pick(r, ['echo-request', '{ echo-request, echo-reply }', '!= echo-request', 'destination-unreachable'])}`;
    case 14:
      return `icmpv6 type ${pick(r, ['echo-request', '{ echo-request, echo-reply }'])}`;
    case 15:
      return `ip ttl ${pick(r, ['64', '< 10', '> 100', '1-63'])}`;
    case 16:
      return `ip dscp ${pick(r, ['ef', 'cs0', '!= cs0', '{ ef, 4 }'])}`;
    case 17:
      return `meta mark ${pick(r, ['1', '0', '!= 0', '& 0xf == 2', '{ 1, 2, 3 }'])}`;
    case 18:
      return `ct mark ${pick(r, ['1', '0', '!= 0'])}`;
    case 19:
      return `ip length ${pick(r, ['< 60', '40-48', '> 100'])}`;
    case 20:
      return `ip saddr . ${pick(r, PROTOS)} dport { 10.0.0.2 . ${pick(r, PORTS)}, 10.0.0.0/24 . 1000-2000 }`;
    case 21:
      return `meta nfproto ${pick(r, ['ipv4', 'ipv6'])}`;
    case 22:
      return `ip frag-off & 0x4000 ${pick(r, ['== 0', '!= 0'])}`;
    case 23:
      return `ip saddr @nets`;
    case 24:
      return `th dport ${ports(r)}`;
    default:
      return `meta length ${pick(r, ['< 80', '> 60'])}`;
  }
}

function statements(r: Random): string {
  switch (r.below(8)) {
    case 0:
      return `meta mark set ${pick(r, ['1', '2', 'meta mark or 0x10'])}`;
    case 1:
      return `ct mark set ${pick(r, ['1', 'meta mark'])}`;
    case 2:
      return 'ip dscp set cs1';
    case 3:
      return 'ip ttl set 33';
    case 4:
      return 'counter';
    case 5:
      return 'tcp option maxseg size set 1000';
    default:
      return '';
  }
}

function verdict(r: Random, reject: boolean): string {
  const choices = ['accept', 'accept', 'accept', 'drop', 'drop', 'jump sub', 'goto sub', 'return', ''];
  if (reject) {
    choices.push(
      'reject',
      'reject with tcp reset',
      'reject with icmpx type admin-prohibited',
      'reject with icmp type host-unreachable',
    );
  }
  return pick(r, choices);
}

function rule(r: Random, reject: boolean): string {
  if (r.below(12) === 0) {
    return `${pick(r, PROTOS)} dport vmap { ${pick(r, [22, 53])} : accept, ${pick(r, [80, 443])} : drop, 1000-1100 : jump sub }`;
  }
  const matches = Array.from({ length: 1 + r.below(3) }, () => match(r));
  const v = verdict(r, reject);
  if (v === 'reject with tcp reset') matches.unshift('meta l4proto tcp');
  if (v.startsWith('reject with icmp type')) matches.unshift('meta nfproto ipv4');
  // `tcp option` needs TCP; protocol matches that contradict each other are refused by nft and drawn again.
  let s = statements(r);
  if (s.startsWith('tcp option')) matches.unshift('tcp flags syn');
  if (s === '' && v === '') s = 'counter';
  return [...matches, s, v].filter((part) => part !== '').join(' ');
}

function nat(r: Random, hook: string): string {
  const to4 = pick(r, ['10.0.1.2', '10.0.1.77', '10.0.1.2:8080', '10.0.1.77:33000']);
  const proto = pick(r, PROTOS);
  if (hook === 'prerouting') {
    return pick(r, [
      `iifname "t0" ip protocol ${proto} dnat ip to ${to4}`,
      `iifname "t0" ${proto} dport ${pick(r, PORTS)} dnat ip to ${to4}`,
      `${proto} dport ${pick(r, PORTS)} redirect to :${pick(r, PORTS)}`,
      `ip daddr 192.168.7.9 dnat ip to 10.0.1.2`,
    ]);
  }
  return pick(r, [
    'oifname "t1" masquerade',
    `oifname "t1" ip saddr 10.0.0.0/24 snat ip to 10.0.1.1`,
    `ip saddr 10.0.0.2 snat ip to 10.0.1.50`,
    `oifname "t1" ip6 saddr fd00::/64 masquerade`,
  ]);
}

/** Draws a ruleset of up to about 25 rules. */
export function generate(r: Random): GeneratedRuleset {
  const count = 1 + r.below(7);
  const policy = (): string => pick(r, ['accept', 'accept', 'drop']);
  const some = (n: number, reject: boolean): string[] => Array.from({ length: n }, () => rule(r, reject));
  const chains = [
    { header: 'chain sub {', rules: some(r.below(4), false).filter((text) => !text.includes('sub')) },
    {
      header: `chain c_forward { type filter hook forward priority filter; policy ${policy()};`,
      rules: some(count, true),
    },
    {
      header: `chain c_input { type filter hook input priority filter; policy ${policy()};`,
      rules: some(r.below(4), true),
    },
  ];
  if (r.below(3) === 0) {
    chains.push({
      header: 'chain c_pre { type filter hook prerouting priority mangle; policy accept;',
      rules: some(1 + r.below(3), false),
    });
  }
  if (r.below(3) === 0) {
    chains.push({
      header: 'chain c_post { type filter hook postrouting priority mangle; policy accept;',
      rules: some(1 + r.below(2), false),
    });
  }
  if (r.below(2) === 0) {
    chains.push({
      header: 'chain c_dnat { type nat hook prerouting priority dstnat; policy accept;',
      rules: Array.from({ length: 1 + r.below(2) }, () => nat(r, 'prerouting')),
    });
  }
  if (r.below(2) === 0) {
    chains.push({
      header: 'chain c_snat { type nat hook postrouting priority srcnat; policy accept;',
      rules: [nat(r, 'postrouting')],
    });
  }
  return {
    definitions: ['set nets { type ipv4_addr; flags interval; elements = { 10.0.0.64/26, 192.0.2.0/24, 10.0.1.2 }; }'],
    chains,
  };
}

/** Every ruleset that is this one with one rule, or all rules of one chain, left out. */
export function* smaller(ruleset: GeneratedRuleset): Generator<GeneratedRuleset> {
  for (let c = 0; c < ruleset.chains.length; c++) {
    const chain = ruleset.chains[c];
    if (chain.rules.length > 1) yield { ...ruleset, chains: ruleset.chains.with(c, { ...chain, rules: [] }) };
    for (let i = 0; i < chain.rules.length; i++) {
      yield { ...ruleset, chains: ruleset.chains.with(c, { ...chain, rules: chain.rules.toSpliced(i, 1) }) };
    }
  }
}
