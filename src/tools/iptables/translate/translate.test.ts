import { expect, test } from 'vitest';
import { iptablesRestoreTranslate, iptablesTranslate } from './index.ts';

const netlink = {
  open: (): never => {
    throw new Error('a translation asks no kernel');
  },
};
const translate = (words: string): string => iptablesTranslate(words.split(' '), { netlink }).stdout.trim();

test('what nft has no words for is a comment, never a rule that means something else', () => {
  expect(translate('-A INPUT -m recent --set')).toBe('nft # -A INPUT -m recent --set');
  expect(translate('-A INPUT -p icmp --icmp-type ! 3/1')).not.toMatch(/add rule/);
  expect(translate('-A INPUT -m conntrack --ctstate NEW,SNAT')).toBe('nft # -A INPUT -m conntrack --ctstate NEW,SNAT');
});

test('a negated port is negated on the side that was written, and -m udp alone still asks for udp', () => {
  expect(translate('-A INPUT -p udp ! --sport 1 --dport 2')).toBe(
    "nft 'add rule ip filter INPUT udp sport != 1 udp dport 2 counter'",
  );
  expect(translate('-A INPUT -p udp -m udp')).toBe("nft 'add rule ip filter INPUT ip protocol udp counter'");
});

test('a rule number becomes an index, several addresses several rules', () => {
  expect(translate('-I INPUT 3 -s 1.1.1.1,2.2.2.2 -j DROP')).toBe(
    "nft 'insert rule ip filter INPUT index 2 ip saddr 1.1.1.1 counter drop'\nnft 'insert rule ip filter INPUT index 2 ip saddr 2.2.2.2 counter drop'",
  );
});

test('a save file becomes a script with its tables and chains; an error names its line', () => {
  const save =
    '*nat\n:PREROUTING ACCEPT [0:0]\n:X - [0:0]\n[3:4] -A PREROUTING -p tcp --dport 80 -j REDIRECT\nCOMMIT\n';
  const { stdout, code } = iptablesRestoreTranslate([], { netlink, stdin: save });
  expect(code).toBe(0);
  expect(stdout.split('\n').slice(1, 5)).toEqual([
    'add table ip nat',
    'add chain ip nat PREROUTING { type nat hook prerouting priority -100; policy accept; }',
    'add chain ip nat X',
    'add rule ip nat PREROUTING tcp dport 80 counter redirect',
  ]);
  const bad = iptablesRestoreTranslate([], { netlink, stdin: '*filter\n-A INPUT -p bogus\nCOMMIT\n' });
  expect(bad.code).toBe(2);
  expect(bad.stderr).toContain('unknown protocol "bogus" specified\nError occurred at line: 2\n');
});
