import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Message, type NetlinkTransport, parseMessages } from '../../wire/netlink/message.ts';
import { NFT_MSG_NEWRULE } from '../../wire/uapi/nf-tables.ts';
import { nft, parseScript, runScript } from './index.ts';

/** A kernel that accepts everything and echoes rules with handles. */
function yes(): { netlink: NetlinkTransport; seen: Message[] } {
  const seen: Message[] = [];
  const netlink: NetlinkTransport = {
    open: () => ({
      send: (datagram) => {
        const messages = parseMessages(datagram);
        seen.push(...messages);
        return messages.filter((m) => (m.type & 255) === NFT_MSG_NEWRULE && m.type >> 8 === 10);
      },
    }),
  };
  return { netlink, seen };
}

const FILE = `define lan = 10.0.0.0/8
table inet fw {
  set ports { type inet_service; elements = { 22, 80 } }
  chain in {
    type filter hook input priority filter; policy drop;
    ip saddr $lan tcp dport @ports accept comment "from inside"
    counter
  }
}
`;

test('a script is one batch, from begin to end', () => {
  const { netlink, seen } = yes();
  expect(nft(['-f', 'fw.nft'], { netlink, readFile: () => FILE })).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(seen.map((m) => m.type & 255)).toEqual([16, 0, 3, 9, 12, 6, 6, 17]);
});

test('a check leaves out the end of the batch', () => {
  const { netlink, seen } = yes();
  nft(['-c', '-f', '-'], { netlink, stdin: FILE });
  expect(seen.at(-1)!.type & 255).toBe(NFT_MSG_NEWRULE);
});

test('rules are reported with file, line and text', () => {
  const { rules } = runScript(FILE, { netlink: yes().netlink }, { file: 'fw.nft' });
  expect(rules.map((r) => [r.file, r.line, r.text])).toEqual([
    ['fw.nft', 6, 'ip saddr $lan tcp dport @ports accept comment "from inside"'],
    ['fw.nft', 7, 'counter'],
  ]);
});

test('includes follow the include path, patterns in name order', () => {
  const files: Record<string, string> = { '/etc/d/b.nft': 'define b = $a', '/etc/d/a.nft': 'define a = 1' };
  const io = { readFile: (path: string) => files[path], listDir: () => ['b.nft', 'a.nft', 'c.txt'] };
  const result = parseScript('include "d/*.nft"\nadd rule ip t c meta mark $b', io);
  expect(result.errors).toEqual([]);
  expect(result.commands).toHaveLength(1);
});

test('nothing is sent when one line is wrong', () => {
  const { netlink, seen } = yes();
  const result = nft(['add table ip x; add rule ip x y tcp dport nonsense'], { netlink });
  expect(result.code).toBe(1);
  expect(result.stderr).toContain('Error: Could not resolve service');
  expect(seen.filter((m) => m.type === 16)).toEqual([]);
});

test('bad input is an error message, never an exception', () => {
  const words = [
    'table',
    'ip',
    '{',
    '}',
    'chain',
    'tcp',
    'dport',
    '22',
    ',',
    '-',
    '/',
    '"',
    '@',
    '$',
    ';',
    '\n',
    '(',
    ':',
    'set',
    '*',
    '.',
    'vmap',
    'meta',
    'mark',
    'type',
    '\\',
    '#',
  ];
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { maxLength: 40 }), (list) => {
      const { code } = runScript(list.join(' '), { netlink: yes().netlink });
      expect([0, 1]).toContain(code);
    }),
    { numRuns: 300 },
  );
});

test('nesting without end is an error', () => {
  const { code, stderr } = runScript(`add rule ip t c meta mark ${'('.repeat(200_000)}`, { netlink: yes().netlink });
  expect(code).toBe(1);
  expect(stderr).toContain('Error:');
});

test('time grows with the number of rules, not with its square', () => {
  const run = (count: number): number => {
    const lines = ['add table ip t', 'add chain ip t c'];
    for (let i = 0; i < count; i++) lines.push(`add rule ip t c ip saddr 10.1.${(i >> 8) & 255}.${i & 255} drop`);
    const start = performance.now();
    expect(runScript(lines.join('\n'), { netlink: yes().netlink }).code).toBe(0);
    return performance.now() - start;
  };
  run(500);
  const small = run(1000);
  expect(run(8000)).toBeLessThan(small * 40 + 1000);
});
