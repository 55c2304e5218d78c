/** ebtables against a netloom host. */
import { expect, test } from 'vitest';
import { words } from '../src/tools/iptables/restore.ts';
import { shell } from './iptables-applets.ts';

test('ebtables rules list back as they were given', () => {
  const sh = shell('nft');
  const rules = [
    '-A INPUT -p IPv4 -i lo -j ACCEPT',
    '-A INPUT -p ! ARP -j ACCEPT',
    '-A INPUT -p Length -j DROP',
    '-A INPUT -d de:ad:be:ef:00:00/ff:ff:ff:ff:00:00 -j DROP',
    '-A FORWARD -s ! 01:02:03:04:05:07 -d Multicast -o x+ -j CONTINUE',
    '-A FORWARD --mark ! 0x2a/0xff -j DROP',
    '-A FORWARD --mark 0x5 --pkttype-type ! otherhost -j CONTINUE',
    '-A FORWARD --mark /0x2 -j CONTINUE',
    '-A FORWARD --pkttype-type 9 -j CONTINUE',
    '-A OUTPUT -s Broadcast --limit 3/sec --limit-burst 5 -j RETURN',
  ];
  for (const rule of rules) expect(sh.run(['ebtables', ...words(rule)])).toEqual({ code: 0, stdout: '', stderr: '' });
  const saved = sh.run(['ebtables-save']).stdout;
  expect(saved.split('\n').filter((line) => line.startsWith('-A'))).toEqual(rules);
  const second = shell('nft');
  expect(second.run(['ebtables-restore'], saved).code).toBe(0);
  expect(second.run(['ebtables-save']).stdout).toBe(saved);
});

test('a user chain of ebtables has a policy, which stays its last rule', () => {
  const sh = shell('nft');
  sh.run(['ebtables', '-N', 'FOO', '-P', 'DROP']);
  sh.run(['ebtables', '-N', 'BAR']);
  sh.run(['ebtables', '-P', 'BAR', 'RETURN']);
  sh.run(['ebtables', '-A', 'FOO', '-j', 'ACCEPT']);
  expect(sh.run(['ebtables', '-L', 'FOO']).stdout).toBe(
    'Bridge table: filter\n\nBridge chain: FOO, entries: 1, policy: DROP\n-j ACCEPT\n',
  );
  expect(sh.run(['ebtables-save']).stdout).toContain(':BAR RETURN\n:FOO DROP\n');
  expect(sh.run(['ebtables', '-P', 'INPUT', 'RETURN']).code).toBe(2);
  expect(sh.run(['ebtables', '-A', 'INPUT', '-o', 'x']).code).toBe(2);
});
