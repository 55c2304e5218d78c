import { expect, test } from 'vitest';
import { BadInput } from './problem.ts';
import { runShell } from './shell.ts';

type Ran = { line: string; stdin?: string };

function ran(text: string, args: readonly string[] = []): { commands: Ran[]; skipped: string[] } {
  const commands: Ran[] = [];
  const skipped = runShell(
    text,
    'fw.sh',
    {
      run: ({ argv, stdin, line }) => {
        if (!['ip', 'iptables', 'ip6tables', 'iptables-restore', 'nft', 'sysctl'].includes(argv[0])) return undefined;
        commands.push({ line: `${line}: ${argv.join('|')}`, ...(stdin !== undefined && { stdin }) });
        return { code: 0, stdout: '' };
      },
      glob: (p) => ['all', 'lan'].map((d) => p.replace('*', d)),
      readFile: (path) => {
        if (path === '/etc/ok') return 'text\n';
        throw new Error('no such file');
      },
    },
    args,
  );
  return { commands, skipped: skipped.map((s) => `${s.line}: ${s.what}`) };
}

const lines = (text: string, args?: readonly string[]): string[] => ran(text, args).commands.map((c) => c.line);

function problem(text: string): string {
  try {
    ran(text);
  } catch (error) {
    expect(error).toBeInstanceOf(BadInput);
    return (error as BadInput).text;
  }
  return 'accepted';
}

test('variables, quotes, continuation lines and folders are understood', () => {
  expect(
    lines(`#!/bin/sh
IPT=/sbin/iptables   # the tool
LAN="10.0.0.0/8"
$IPT -A INPUT -s $LAN \\
  -m comment --comment "from $LAN" -j ACCEPT
\${IPT} -A INPUT -p tcp --dport \${PORT:-22} -j ACCEPT
sudo iptables -A INPUT -m comment --comment 'a $b' -j DROP
`),
  ).toEqual([
    '4: iptables|-A|INPUT|-s|10.0.0.0/8|-m|comment|--comment|from 10.0.0.0/8|-j|ACCEPT',
    '6: iptables|-A|INPUT|-p|tcp|--dport|22|-j|ACCEPT',
    '7: iptables|-A|INPUT|-m|comment|--comment|a $b|-j|DROP',
  ]);
});

test('loops, functions, conditions and cases run', () => {
  expect(
    lines(
      `open() { iptables -A INPUT -p "$1" --dport "$2" -j ACCEPT; }
for port in 22 80; do open tcp $port; done
PORTS="53 123"
for p in $PORTS
do
  if [ "$p" = 53 ]; then open udp $p; elif [ -z "$p" ]; then open no 0; else open tcp $p; fi
done
case "$1" in
  start|restart) ip link set lan up ;;
  *) ip link set lan down ;;
esac
[ -n "$NOTHING" ] && iptables -F
test -f /etc/ok && iptables -X || iptables -Z
for i in {a,b}; do ip link add $i type dummy; done
`,
      ['start'],
    ),
  ).toEqual([
    '1: iptables|-A|INPUT|-p|tcp|--dport|22|-j|ACCEPT',
    '1: iptables|-A|INPUT|-p|tcp|--dport|80|-j|ACCEPT',
    '1: iptables|-A|INPUT|-p|udp|--dport|53|-j|ACCEPT',
    '1: iptables|-A|INPUT|-p|tcp|--dport|123|-j|ACCEPT',
    '9: ip|link|set|lan|up',
    '13: iptables|-X',
    '14: ip|link|add|a|type|dummy',
    '14: ip|link|add|b|type|dummy',
  ]);
});

test('here-documents and text pipes become standard input', () => {
  expect(ran('DEV=lan\nnft -f - <<EOF\ntable inet t { }\n# $DEV\nEOF\nip addr').commands).toEqual([
    { line: '2: nft|-f|-', stdin: 'table inet t { }\n# lan\n' },
    { line: '6: ip|addr' },
  ]);
  expect(ran("iptables-restore <<'X'\n$a\nX\n").commands[0].stdin).toBe('$a\n');
  expect(ran('echo "*filter" | iptables-restore').commands[0].stdin).toBe('*filter\n');
  expect(ran('iptables-restore < /etc/ok').commands[0].stdin).toBe('text\n');
});

test('what is written below /proc/sys is sysctl', () => {
  expect(
    lines(
      'echo 1 > /proc/sys/net/ipv4/ip_forward\nfor f in /proc/sys/net/ipv4/conf/*/rp_filter; do\n echo 1 > $f\ndone',
    ),
  ).toEqual([
    '1: sysctl|-w|net.ipv4.ip_forward=1',
    '3: sysctl|-w|net.ipv4.conf.all.rp_filter=1',
    '3: sysctl|-w|net.ipv4.conf.lan.rp_filter=1',
  ]);
});

test('other commands are passed over and named', () => {
  expect(ran('modprobe nf_nat\ndpkg -l\nip addr >/dev/null 2>&1').skipped).toEqual(['2: dpkg']);
});

test('what is not supported is refused by name and place', () => {
  expect(problem('ip addr | grep x')).toBe('fw.sh:1: netloom does not support pipes in scripts\nip addr | grep x\n');
  expect(problem('A=$(hostname -I)\n')).toContain('does not support the command substitution $(hostname -I)');
  expect(problem('while true; do ip a; done')).toBe(
    'fw.sh:1:1: netloom does not support while in scripts\nwhile true; do ip a; done\n^^^^^\n',
  );
  expect(problem('ip addr &')).toContain('background');
  expect(problem('echo "x')).toContain('quote without its end');
  expect(problem('if true; then ip a')).toContain('expected fi');
  expect(problem('f() { f; }\nf')).toContain('without end');
  expect(problem('x=$((1+1))')).toContain('arithmetic');
  expect(problem('nft -f - <<EOF\n')).toContain('here-document without its end');
});
