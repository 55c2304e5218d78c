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

/** Conditions and statements that keep a state, and lookups in named sets and maps. */
function stateful(r: Random): string {
  const proto = pick(r, PROTOS);
  return pick(r, [
    `ip saddr 10.0.0.0/24 limit rate ${1 + r.below(9)}/day burst ${1 + r.below(40)} packets ${pick(r, ['accept', 'drop', 'counter'])}`,
    `limit rate over ${1 + r.below(9)}/day burst ${5 + r.below(60)} packets counter ${pick(r, ['', 'drop'])}`,
    `${proto} dport ${ports(r)} quota ${pick(r, ['', 'over '])}${100 + r.below(20_000)} bytes ${pick(r, ['accept', 'drop', 'counter'])}`,
    `numgen inc mod ${2 + r.below(9)} ${pick(r, ['0', '< 2', '!= 1', '{ 0, 1 }'])} counter ${pick(r, ['', 'drop', 'accept'])}`,
    `meta mark set numgen inc mod ${2 + r.below(5)} offset ${r.below(5)}`,
    `${proto} dport ${ports(r)} add @met { ip saddr }`,
    `ip saddr @met counter ${pick(r, ['', 'drop', 'accept'])}`,
    `update @met { ip daddr } counter`,
    `ip saddr ${pick(r, ['', '!= '])}@hosts counter ${pick(r, ['', 'drop'])}`,
    `ip daddr @hosts ${proto} dport @services counter`,
    `ip6 saddr @hosts6 counter ${pick(r, ['', 'drop'])}`,
    `meta mark set ${proto} dport map @marks`,
    `${proto} dport vmap @ways`,
    `ct state vmap { new : jump sub, established : accept, related : accept }`,
    `ip saddr . ${proto} dport @pairs counter`,
    `counter name hits ${pick(r, ['', 'accept'])}`,
    `ether saddr ${pick(r, ['02:00:00:00:00:a0', '!= 02:00:00:00:00:a1', '{ 02:00:00:00:00:a0, 02:00:00:00:00:a1 }'])} counter`,
    `ip6 daddr ${pick(r, ['fd01::2', '!= fd01::2', 'fd01::/64', '> fd01::3'])} counter`,
    `meta mark set meta mark ${pick(r, ['and 0xf', 'or 0x100', 'xor 0x3', '<< 1', '>> 1'])}`,
    `meta mark ${pick(r, ['> 2', '<= 0x10', '1-3', '!= 2-5'])} counter`,
    `fib daddr type ${pick(r, ['local', '!= local', '{ local, broadcast }'])} counter`,
    `ip saddr ${pick(r, ['!= 10.0.0.0-10.0.0.9', '10.0.0.2-10.0.0.80', '>= 10.0.0.77'])} counter`,
    `meta protocol ${pick(r, ['ip', 'ip6', '!= ip'])} counter`,
    `ct direction ${pick(r, ['original', 'reply'])} counter`,
    `iif ${pick(r, ['lo', '!= lo', '{ lo }'])} counter`,
    `oifname ${pick(r, ['"t1"', '"t*"', '!= "t1"'])} counter`,
    `@nh,${pick(r, ['96,32 0x0a000002', '0,4 4', '72,8 17'])} counter`,
    `@th,${pick(r, ['16,16 53', '0,16 > 1024'])} counter`,
  ])
    .trim()
    .replace(/ +/g, ' ');
}

/** Rules in a row that differ in one value, as people's lists do: some values twice, some rules without a verdict. */
function list(r: Random): string[] {
  const proto = pick(r, PROTOS);
  const key = pick(r, ['ip saddr', 'ip daddr', `${proto} dport`, `iifname "t0" ip saddr`, 'ip6 daddr', 'meta mark']);
  const value = (): string => {
    if (key === 'meta mark') return String(r.below(20));
    if (key === 'ip6 daddr')
      return pick(r, ['fd01::2', 'fd01::77', 'fd00::2']).replace(/2$/, () => String(2 + r.below(12)));
    if (key.endsWith('dport')) return String(pick(r, [...PORTS, 1 + r.below(2000)]));
    return `10.0.${r.below(2)}.${pick(r, [2, 77, 200, 1 + r.below(250)])}`;
  };
  const counter = pick(r, ['', 'counter']);
  const v = pick(r, ['drop', 'accept', 'mixed', 'return']);
  return Array.from({ length: 8 + r.below(12) }, () => {
    const own = v === 'mixed' ? pick(r, ['accept', 'drop', 'return', counter === '' ? 'drop' : '']) : v;
    return `${key} ${value()} ${counter} ${own}`.trim().replace(/ +/g, ' ');
  });
}

const NAMED: readonly string[] = [
  'set met { type ipv4_addr; flags dynamic; size 1000; }',
  'set hosts { type ipv4_addr; elements = { 10.0.0.2, 10.0.1.2, 192.168.7.9 }; }',
  'set hosts6 { type ipv6_addr; elements = { fd00::2, fd01::77 }; }',
  'set services { type inet_service; elements = { 22, 53, 80, 443 }; }',
  'set pairs { type ipv4_addr . inet_service; elements = { 10.0.0.2 . 53, 10.0.0.2 . 80, 10.0.0.77 . 22 }; }',
  'map marks { type inet_service : mark; elements = { 22 : 1, 53 : 2, 80 : 3 }; }',
  'map ways { type inet_service : verdict; elements = { 22 : accept, 53 : drop, 80 : jump sub, 443 : goto sub, 1000 : return }; }',
  'counter hits { }',
];

/**
 * `generate`, with rules that keep a state (limits so slow that time does not matter), named sets and maps, and lists of
 * similar rules.
 */
export function generateRich(r: Random): GeneratedRuleset {
  const plain = generate(r);
  const chains = plain.chains.map((chain, i) => {
    if (chain.header.includes('type nat')) return chain;
    const rules = [...chain.rules];
    for (let n = r.below(i === 1 ? 6 : 3); n > 0; n--) {
      const text = stateful(r);
      if (i === 0 && /sub|@ways/.test(text)) continue;
      rules.splice(r.below(rules.length + 1), 0, text);
    }
    if (r.below(3) === 0) rules.splice(r.below(rules.length + 1), 0, ...list(r));
    return { ...chain, rules };
  });
  return { definitions: [...plain.definitions, ...NAMED], chains };
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
