import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { RulesKind } from './detect.ts';
import { lint } from './lint.ts';

function findings(text: string, kind: RulesKind = 'nft'): string[] {
  return lint({ text, file: 'fw', kind, given: { ifaces: [], routes: [] } }).findings.map(
    (f) => `${f.kind} ${f.line ?? f.where}`,
  );
}

test('rules that no packet gets to, chains that nothing calls and sets that nothing uses are found, with their lines', () => {
  const text = `table inet f {
  set s { type ipv4_addr; }
  chain in {
    type filter hook input priority 0; policy drop;
    tcp dport 22 accept
    tcp dport { 22, 80 } ip saddr 10.0.0.0/8 accept
    tcp dport 22 drop
    accept
    udp dport 53 accept
  }
  chain never { tcp dport 1 drop; }
}
`;
  expect(findings(text).sort()).toEqual([
    'chain never called inet f never',
    'set never used inet f @s',
    'shadowed 7',
    'shadowed 9',
  ]);
});

test('a rule that contradicts itself or what leads to its chain is impossible', () => {
  const text = `table ip f {
  chain web { tcp dport 25 accept; tcp dport 80 accept; }
  chain in {
    type filter hook input priority 0;
    tcp dport 80 jump web
    ip saddr 10.0.0.1 ip saddr 10.0.0.2 drop
  }
}
`;
  const found = findings(text);
  expect(found).toHaveLength(2);
  expect(found.map((f) => f.split(' ').at(-1)).sort()).toEqual(['2', '6']);
});

test('iptables rules are looked at in the same way, and a clean ruleset has no findings', () => {
  const save = `*filter
:INPUT DROP [0:0]
-A INPUT -p tcp --dport 20:30 -j ACCEPT
-A INPUT -p tcp --dport 22 -s 10.0.0.0/8 -j DROP
COMMIT
`;
  expect(findings(save, 'iptables-save')).toEqual(['shadowed 4']);
  const office = new URL('../../examples/office/nftables.conf', import.meta.url);
  expect(findings(readFileSync(office, 'utf8'))).toEqual([]);
});
