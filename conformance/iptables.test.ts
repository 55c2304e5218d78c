/** The iptables tools against a netloom host: both halves together. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { World } from '../src/core/world.ts';
import { Nfnetlink } from '../src/netlink/nfnetlink.ts';
import { Host } from '../src/netns/host.ts';
import type { ToolIo } from '../src/tools/io.ts';
import {
  ip6tables,
  iptables,
  iptablesRestore,
  iptablesSave,
  RestoreError,
  restoreScript,
  saveText,
} from '../src/tools/iptables/index.ts';
import { run } from './iptables-oracle.ts';

function host(): ToolIo {
  const nfnetlink = new Nfnetlink(new Host(new World({ slots: 64 }), 'h').nftables);
  return { netlink: { open: () => ({ send: (datagram) => nfnetlink.handle(datagram) }) } };
}

const sh = (io: ToolIo, line: string) => iptables(line.split(' '), io);

test('rules can be added, inserted, replaced, checked and deleted by number and by what they say', () => {
  const io = host();
  expect(sh(io, '-A INPUT -s 10.0.0.0/8 -j ACCEPT').code).toBe(0);
  sh(io, '-A INPUT -p tcp --dport 22 -j ACCEPT');
  sh(io, '-I INPUT -i lo -j ACCEPT');
  sh(io, '-I INPUT 2 -m mark --mark 1 -j DROP');
  sh(io, '-R INPUT 3 -s 10.1.0.0/16 -j ACCEPT');
  expect(sh(io, '-S INPUT').stdout.trim().split('\n')).toEqual([
    '-P INPUT ACCEPT',
    '-A INPUT -i lo -j ACCEPT',
    '-A INPUT -m mark --mark 0x1 -j DROP',
    '-A INPUT -s 10.1.0.0/16 -j ACCEPT',
    '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT',
  ]);
  expect(sh(io, '-C INPUT -i lo -j ACCEPT').code).toBe(0);
  expect(sh(io, '-C INPUT -i lo -j DROP').stderr).toBe(
    'iptables: Bad rule (does a matching rule exist in that chain?).\n',
  );
  sh(io, '-D INPUT 1');
  sh(io, '-D INPUT -p tcp -m tcp --dport 22 -j ACCEPT');
  expect(sh(io, '-S INPUT').stdout.trim().split('\n')).toHaveLength(3);
  expect(sh(io, '-D INPUT 9')).toEqual({ code: 1, stdout: '', stderr: 'iptables: Index of deletion too big.\n' });
});

test('user chains are made, renamed, emptied and removed; a chain in use stays', () => {
  const io = host();
  sh(io, '-N lan');
  expect(sh(io, '-N lan').stderr).toBe('iptables: Chain already exists.\n');
  sh(io, '-A FORWARD -j lan');
  expect(sh(io, '-X lan')).toMatchObject({ code: 4 });
  sh(io, '-E lan inside');
  expect(sh(io, '-S FORWARD').stdout).toContain('-A FORWARD -j inside');
  sh(io, '-F FORWARD');
  expect(sh(io, '-X inside').code).toBe(0);
  expect(sh(io, '-A FORWARD -j inside').stderr).toContain("Chain 'inside' does not exist");
});

test('several addresses make one rule for each pair', () => {
  const io = host();
  sh(io, '-A FORWARD -s 1.2.3.4,5.6.7.0/24 -d 9.9.9.9,8.8.8.8 -j ACCEPT');
  expect(sh(io, '-S FORWARD').stdout.match(/^-A/gm)).toHaveLength(4);
});

test('a listing looks as the real tool prints it', () => {
  const io = host();
  sh(io, '-A OUTPUT -p tcp --dport 22 -c 1234567 123456789 -j ACCEPT');
  expect(sh(io, '-vnL OUTPUT').stdout).toBe(
    'Chain OUTPUT (policy ACCEPT 0 packets, 0 bytes)\n' +
      ' pkts bytes target     prot opt in     out     source               destination         \n' +
      '1235K  123M ACCEPT     6    --  *      *       0.0.0.0/0            0.0.0.0/0            tcp dpt:22\n',
  );
});

test('a restore names file, line and handle of every rule, and the line of an error', () => {
  const io = host();
  const text = '*filter\n:INPUT DROP [0:0]\n# a remark\n-A INPUT -i lo -j ACCEPT\n-I INPUT -p udp -j DROP\nCOMMIT\n';
  const { rules } = restoreScript(text, { io, file: 'rules.v4' });
  expect(rules.map((r) => [r.family, r.table, r.chain, r.file, r.line, r.text])).toEqual([
    ['ip', 'filter', 'INPUT', 'rules.v4', 4, '-A INPUT -i lo -j ACCEPT'],
    ['ip', 'filter', 'INPUT', 'rules.v4', 5, '-I INPUT -p udp -j DROP'],
  ]);
  expect(new Set(rules.map((r) => r.handle)).size).toBe(2);
  const before = saveText(io, 4);
  for (const [bad, line, what] of [
    ['-A INPUT -j nosuch', 4, "Chain 'nosuch' does not exist"],
    ['-A INPUT --frob', 4, 'unknown option "--frob"'],
    ['-A INPUT -p tcp -m icmp', 4, 'Invalid argument'],
  ] as const) {
    try {
      restoreScript(`*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j ACCEPT\n${bad}\nCOMMIT\n`, { io, file: 'bad.v4' });
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(RestoreError);
      expect((error as RestoreError).line).toBe(line);
      expect((error as RestoreError).stderr).toContain(what);
    }
    expect(saveText(io, 4)).toBe(before);
  }
});

test('a rule that a restore has just replaced is a place for the next one', () => {
  const io = host();
  const restore = (args: readonly string[], stdin: string): number => iptablesRestore(args, { ...io, stdin }).code;
  expect(restore([], '*filter\n-A INPUT -i a\n-A INPUT -i b\nCOMMIT\n')).toBe(0);
  expect(restore(['-n'], '*filter\n-R INPUT 2 -i c\n-I INPUT 2 -i d\nCOMMIT\n')).toBe(0);
  expect(sh(io, '-S INPUT').stdout).toBe('-P INPUT ACCEPT\n-A INPUT -i a\n-A INPUT -i d\n-A INPUT -i c\n');
});

test('what iptables-save prints, iptables-restore loads, and it prints the same again', () => {
  const io = host();
  for (const line of [
    '-N log_drop',
    '-A log_drop -m limit --limit 3/min -j LOG --log-prefix x:',
    '-A INPUT ! -s 10.0.0.0/255.0.0.255 ! -f -p udp -m multiport --dports 53,60:70 -g log_drop',
    '-A INPUT -m conntrack ! --ctstate NEW,INVALID --ctorigdst 1.2.3.0/24 -j ACCEPT',
    '-t nat -A POSTROUTING -o eth+ -p tcp -j MASQUERADE --to-ports 1024-65535 --random',
    '-t mangle -A FORWARD -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu',
    '-t raw -A PREROUTING -j NOTRACK',
  ])
    expect(sh(io, line)).toMatchObject({ code: 0, stderr: '' });
  const saved = iptablesSave(['-c'], io).stdout;
  const second = host();
  expect(iptablesRestore(['-c'], { ...second, stdin: saved })).toMatchObject({ code: 0, stderr: '' });
  expect(iptablesSave(['-c'], second).stdout).toBe(saved);
});

test('IPv4 and IPv6 rules do not mix', () => {
  const io = host();
  ip6tables(['-A', 'INPUT', '-s', 'fd00::/8', '-j', 'DROP'], io);
  expect(saveText(io, 4)).toBe('');
  expect(saveText(io, 6)).toContain('-A INPUT -s fd00::/8 -j DROP');
  expect(iptables(['-A', 'INPUT', '-s', 'fd00::1'], io).code).toBe(2);
});

const data = join(process.env.NETLOOM_SHARED ?? '../shared', 'conformance/netfilter/iptables-oracle');

test.skipIf(!existsSync(data))('rules of tcp, conntrack and DNAT go over netlink as iptables-nft sends them', () => {
  for (const result of run(data, /^lib(xt_tcp|xt_conntrack|ipt_DNAT)\.t/)) expect(result).toMatchObject({ ok: true });
});
