import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Random } from '../../core/random.ts';
import { World } from '../../core/world.ts';
import { rtnetlinkHost } from '../../netlink/rtnetlink/inet-host.ts';
import { Rtnetlink } from '../../netlink/rtnetlink/rtnetlink.ts';
import { openNetlink } from '../../netlink/socket.ts';
import { Host } from '../../netns/host.ts';
import type { NetlinkTransport } from '../../wire/netlink/message.ts';
import { ip } from './main.ts';

/** A host as `ip` configures it. Duplicate detection is off, so that addresses are valid at once. */
function bareHost(): NetlinkTransport {
  const host = new Host(new World({ slots: 64, largeSlots: 2 }), 'test');
  host.setSysctl('net.ipv6.conf.default.accept_dad', '0');
  return openNetlink({ route: new Rtnetlink(rtnetlinkHost(host)) });
}

const real = spawnSync('unshare', ['-n', 'ip', '-V'], { encoding: 'utf8' });
const oracle = real.status === 0 && real.stdout.includes('iproute2-6.1');
if (!oracle) console.log('ip.test: no `unshare -n ip` of iproute2 6.1 here; comparisons are skipped');

const MARK = '@@@';

/** Runs the same lines with the real tool in a namespace of its own and with netloom's. */
function compare(lines: readonly string[]): void {
  const script = ['echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad']
    .concat(lines.map((line) => `ip ${line.replaceAll('<', '\\<')} 2>&1; echo "${MARK}$?"`))
    .join('\n');
  const run = spawnSync('unshare', ['-n', 'sh', '-c', script], { encoding: 'utf8' });
  const expected = run.stdout.split(/@@@(\d+)\n/);
  const netlink = bareHost();
  const theirs: string[] = [];
  const ours: string[] = [];
  lines.forEach((line, i) => {
    const argv = [...line.matchAll(/"([^"]*)"|(\S+)/g)].map((m) => m[1] ?? m[2]);
    const { code, stdout, stderr } = ip(argv, { netlink });
    ours.push(`$ ip ${line}\n${stdout}${stderr}= ${code}`);
    theirs.push(`$ ip ${line}\n${expected[i * 2]}= ${expected[i * 2 + 1]}`);
  });
  expect(ours.join('\n')).toBe(theirs.join('\n'));
}

const SETUP = [
  'link set lo up',
  'link add d0 address 02:00:00:00:00:10 type veth peer name d1 address 02:00:00:00:00:11',
  'link add e0 address 02:00:00:00:00:20 type veth peer name e1 address 02:00:00:00:00:21',
  'link set d1 up',
  'link set d0 up',
];

test.skipIf(!oracle)('links are added, changed, shown and removed as by iproute2', () => {
  compare([
    'link show lo',
    ...SETUP,
    'link add d0 type veth peer name d9',
    'link set d0 master nope',
    'link set d1 mtu 20',
    'link set d1 mtu 70000',
    'link set d1 mtu 1400',
    'link set d1 address 03:00:00:00:00:01',
    'link set d1 alias "hello world"',
    'link set d1 txqueuelen 55',
    'link set d1 group 7',
    'link set d1 name veryveryverylongname',
    'link set e0 name e0x',
    'link set e0x up',
    'link',
    '-d link show lo',
    '-d link show d0',
    '-br link',
    '-o link',
    '-j link',
    '-j -p link show d1',
    '-j -br link',
    'link show type veth',
    'link show up',
    'link show nope',
    'link show group 7',
    'link del nope',
    'link del lo',
    'link add q type foo',
    'link add',
    'link set',
    'link set d1',
    'link set d1 foo',
    'link set d1 mtu abc',
    'link foo',
    'link del e1',
    'link',
  ]);
});

test.skipIf(!oracle)('addresses are added, shown and removed as by iproute2, with the routes they bring', () => {
  compare([
    ...SETUP,
    'addr add 10.0.0.1/24 dev d1',
    'addr add 10.0.0.1/24 dev d1',
    'addr add 10.0.0.2/24 dev d1',
    'addr add 10.0.1.2/24 brd + dev d1 label d1:x',
    'addr add 10.0.1.3 peer 10.0.1.4 dev d1',
    'addr add 10.0.1.5/32 scope link dev d1',
    'addr add 10.0.0.1/33 dev d1',
    'addr add 999.0.0.1/24 dev d1',
    'addr add 10.0.0.1/24 dev nope',
    'addr add 10.0.0.1/24',
    'addr add 10.7.0.1/24 dev e0 metric 77',
    'addr add 10.8.0.1/31 dev d0',
    'addr add 2001:db8::1/64 dev d1',
    'addr add 2001:db8::1/64 dev d1',
    'addr add 2001:db8::2/64 dev d1 nodad',
    'addr add 2001:db8:1::3/128 dev d0',
    'addr add 2001:db8:2::1/64 dev d0 noprefixroute',
    'addr del 10.99.0.1/24 dev d1',
    'addr del 2001:db8::99/64 dev d1',
    'addr',
    '-br addr',
    '-4 -o addr show dev d1',
    '-6 addr show dev d1',
    '-j addr show dev d1',
    '-j -p addr show dev d0',
    '-d addr show dev d0',
    'addr show dev d1 scope link',
    'addr show to 10.0.0.0/24',
    'addr show secondary',
    'route show table all',
    '-6 route show table all',
    'addr del 10.0.0.1/24 dev d1',
    'addr change 10.0.1.2/24 dev d1 valid_lft 5000 preferred_lft 4000',
    'addr show dev d1',
    'route show table all',
    'addr flush dev d1',
    'addr show dev d1',
    'route show table all',
    'link set d0 down',
    'addr',
    'route show table all',
    'link set d0 up',
    'link set e0 up',
    'link set e1 up',
    'addr',
    'route show table all',
  ]);
});

test.skipIf(!oracle)('routes are added, found, shown and removed as by iproute2', () => {
  compare([
    ...SETUP,
    'addr add 10.0.0.1/24 dev d0',
    'addr add 2001:db8::1/64 dev d0 nodad',
    'r add 10.5.0.0/16 via 1.2.3.4',
    'r add 10.5.0.0/16 via 10.0.0.1',
    'r add 10.5.0.0/16 via 10.0.0.9 dev e0',
    'r add 10.5.0.0/16 dev e0',
    'r add 10.5.0.0/16 dev nope',
    'r add 10.6.0.0/16 via 1.2.3.4 onlink',
    'r add 10.6.0.0/16 via 1.2.3.4 dev e0 onlink',
    'r add 10.6.0.0/16 via 1.2.3.4 dev d0 onlink',
    'r add blackhole 1.0.0.0/8 dev d0',
    'r add blackhole 1.0.0.0/8',
    'r add 2.0.0.0/8 dev d0 src 9.9.9.9',
    'r add 2.0.0.0/8 dev d0 src 10.0.0.1',
    'r add 10.0.0.1/8 dev d0',
    'r add 3.0.0.0/8',
    'r add 3.0.0.0/8 via 10.0.0.255',
    'r add 3.0.0.0/8 via 10.0.0.2 scope link',
    'r add 3.0.0.0/8 dev d0 scope host',
    'r add local 3.0.0.1 dev d0',
    'r add 4.0.0.0/8 nexthop via 10.0.0.2 weight 2 nexthop via 10.0.0.3 dev d0',
    'r add 4.1.0.0/16 nexthop via 10.0.0.2 weight 2 nexthop via 1.0.0.3',
    'r add 5.0.0.0/8 via inet6 fe80::1 dev d0',
    'r add 5.1.0.0/16 via inet6 2001:db8::5',
    'r del 77.0.0.0/8',
    'r add 4.0.0.0/8 via 10.0.0.5',
    'r change 4.9.0.0/16 via 10.0.0.5',
    'r replace 4.9.0.0/16 via 10.0.0.5 mtu 1400 advmss 1300',
    'r add default via 10.0.0.9 metric 50 proto static table 100',
    'r add throw 9.0.0.0/8 table 100',
    'r add prohibit 9.1.0.0/16',
    'r add unreachable 9.2.0.0/16 metric 7',
    'r append 4.9.0.0/16 via 10.0.0.6',
    'r prepend 4.9.0.0/16 via 10.0.0.7',
    'r add 11/8 via 10.0.0.7 tos 0x10',
    '-6 r add 2001:db8:5::/48 via 2001:db8:9::1',
    '-6 r add 2001:db8:5::/48 via 2001:db8::1',
    '-6 r add 2001:db8:5::/48 via fe80::1',
    '-6 r add 2001:db8:5::/48 via fe80::1 dev d0',
    '-6 r add 2001:db8:5::/48 via fe80::1 dev d0',
    '-6 r add 2001:db8:6::/48 dev e0',
    '-6 r add 2001:db8:6::1/48 dev d0',
    '-6 r add 2001:db8:7::/48',
    '-6 r add blackhole 2001:db8:8::/48',
    '-6 r add unreachable 2001:db8:9::/48 metric 5',
    '-6 r add 2001:db8:a::/48 nexthop via 2001:db8::2 nexthop via 2001:db8::3 weight 3',
    '-6 r append 2001:db8:5::/48 via fe80::2 dev d0',
    '-6 r del 2001:db8:77::/48',
    '-6 r',
    '-6 r replace 2001:db8:5::/48 via fe80::3 dev d0',
    '-6 r change 2001:db8:77::/48 via fe80::3 dev d0',
    '-6 r add 2001:db8:b::/48 via 2001:db8::99 src 2001:db8::77',
    '-6 r add 2001:db8:b::/48 via 2001:db8::99 src 2001:db8::1 mtu 1300 proto bgp',
    '-6 r add default via fe80::9 dev d0 metric 5 table 77',
    'r show table all',
    '-6 r show table all',
    '-j r',
    '-j -6 r',
    '-d r',
    '-d -6 r',
    'r get 10.0.0.5',
    'r get 10.0.0.1',
    'r get 10.0.0.255',
    'r get 127.0.0.1',
    'r get 9.1.0.1',
    'r get 9.2.0.1',
    'r get 1.0.0.1',
    'r get 8.8.8.8',
    'r get 255.255.255.255',
    'r get 5.0.0.1',
    'r get 4.9.0.1',
    'r get 2001:db8::5',
    'r get 2001:db8::1',
    'r get 2001:db8:8::1',
    'r get 2001:db8:9::1',
    'r get ff02::1 oif d0',
    'r get ::1',
    'r get 2001:dead::1',
    'r get 10.0.0.5 from 10.0.0.1',
    'r get 10.0.0.5 from 10.0.0.7',
    'r get 10.0.0.5 from 10.0.0.7 iif d0',
    'r get 4.9.0.5 oif d0 mark 5',
    '-j r get 10.0.0.5',
    'r get 4.0.0.5 iif lo',
    'r get fibmatch 4.0.0.5',
    'r show dev d0',
    'r show match 4.9.1.1',
    'r show root 4.0.0.0/8',
    'r show exact 4.9.0.0/16',
    'r show scope link',
    'r show type blackhole',
    'r show via 10.0.0.5',
    'r show proto kernel',
    'r list table 55',
    '-6 r list table 55',
    'r list table 100',
    'r show default',
    '-o r show 4.0.0.0/8',
    'r del 4.9.0.0/16',
    'r del 4.0.0.0/8 via 10.0.0.2',
    'r del 4.0.0.0/8',
    '-6 r del 2001:db8:a::/48 via 2001:db8::2',
    '-6 r show 2001:db8:a::/48',
    '-6 r del 2001:db8:a::/48',
    'r',
    'link set d0 down',
    'r show table all',
    'r flush table 100',
    'r show table 100',
  ]);
});

test.skipIf(!oracle)('rules are added, shown and removed as by iproute2', () => {
  compare([
    ...SETUP,
    'rule add from 10.0.0.0/8 table 100',
    'rule add from 10.0.0.0/8 table 100',
    'rule add to 10.0.0.0/8 lookup main pref 5',
    'rule add fwmark 0x10/0xf0 table 7 priority 1000',
    'rule add fwmark 3 table 7 priority 1001',
    'rule add iif d0 table 8 priority 1002',
    'rule add oif nope table 8 priority 1003',
    'rule add not from 1.2.3.4 table 9 priority 1004',
    'rule add tos 0x10 table 9 priority 1005',
    'rule add ipproto tcp dport 80 table 9 priority 1006',
    'rule add ipproto udp sport 80-90 table 9 priority 1007',
    'rule add from 1.0.0.0/8 prohibit priority 1008',
    'rule add from 1.0.0.0/8 blackhole priority 1009',
    'rule add from 1.0.0.0/8 unreachable priority 1010',
    'rule add from 1.0.0.0/8 goto 32766 priority 1011',
    'rule add from 1.0.0.0/8 goto 2000 priority 1012',
    'rule add table main suppress_prefixlength 0 priority 1013',
    'rule add uidrange 0-100 table 5 priority 1014',
    'rule add from 1.0.0.0/8 nop priority 1015',
    'rule add from 1.0.0.0/8 nop priority 1015',
    'rule',
    '-j rule',
    '-d rule',
    '-6 rule add from 2001:db8::/32 table 100',
    '-6 rule',
    'rule del pref 5',
    'rule del pref 5',
    'rule del from 10.0.0.0/8',
    'rule show pref 1000',
    'rule add table foo',
    'rule add',
    'rule foo',
    'rule flush',
    'rule',
  ]);
});

test.skipIf(!oracle)('neighbours are added, shown and removed as by iproute2', () => {
  compare([
    ...SETUP,
    'addr add 10.0.0.1/24 dev d0',
    'neigh add 10.0.0.5 lladdr 02:00:00:00:00:01 dev d0',
    'neigh add 10.0.0.5 lladdr 02:00:00:00:00:01 dev d0',
    'neigh replace 10.0.0.5 lladdr 02:00:00:00:00:02 dev d0 nud stale',
    'neigh change 10.0.0.9 lladdr 02:00:00:00:00:02 dev d0',
    'neigh add fe80::1 lladdr 02:00:00:00:00:01 dev d0 router',
    'neigh',
    '-j neigh',
    'neigh show dev d0',
    'neigh show 10.0.0.5',
    'neigh get 10.0.0.5 dev d0',
    'neigh del 10.0.0.5 dev d0',
    'neigh del 10.0.0.55 dev d0',
    'neigh add 10.0.0.6 lladdr 02:00:00:00:00:01 dev d0 nud stale',
    'neigh flush dev d0',
    'neigh',
    'neigh add dev d0',
    'neigh add 1.1.1.1 dev d0 lladdr xx',
  ]);
});

test.skipIf(!oracle)('bridges and their ports are shown as by iproute2', () => {
  compare([
    ...SETUP,
    'link add br0 address 02:00:00:00:00:99 type bridge',
    'link add br1 type bridge',
    'link set br1 address 02:00:00:00:00:98',
    'link set d0 master br0',
    'link set d0 master br0',
    'link show br0',
    'link set br0 up',
    'link show master br0',
    'link',
    'link show type bridge',
    'link set br0 down',
    'link set d0 nomaster',
    'link',
    'link set d0 master br1',
    'link del br1',
    'link',
    'link set lo master br0',
    'link set br0 master br0',
  ]);
});

test.skipIf(!oracle)("random routes, rules and questions have the kernel's answers", () => {
  const seed = Number(process.env.NETLOOM_SEED ?? 20260101);
  const random = new Random(seed);
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)];
  const byte = (): number => pick([0, 1, 2, 10, 128, 200, 255]);
  const v4 = (): string => {
    const length = pick([0, 4, 8, 9, 16, 20, 24, 28, 31, 32]);
    const word =
      ((pick([10, 20, 30]) << 24) | (byte() << 16) | (byte() << 8) | byte()) & (length === 0 ? 0 : -1 << (32 - length));
    return `${[24, 16, 8, 0].map((s) => (word >>> s) & 255).join('.')}/${length}`;
  };
  const v6 = (): string =>
    `2001:${pick(['db8', 'dead'])}:${byte().toString(16)}:${byte().toString(16)}::/${pick([0, 16, 32, 48, 64])}`;
  const lines = [
    ...SETUP,
    'addr add 10.0.0.1/24 dev d0',
    'addr add 10.7.0.1/24 dev d1',
    'addr add 2001:db8::1/64 dev d0 nodad',
  ];
  for (let i = 0; i < 80; i++) {
    const table = pick(['', '', '', ' table 100', ' table 101']);
    const metric = pick(['', '', ' metric 5', ' metric 9']);
    const how = pick(['via 10.0.0.2', 'via 10.0.0.9', 'via 10.7.0.9', 'dev d0', 'dev d1', 'dev d0 src 10.0.0.1']);
    const six = pick(['via fe80::1 dev d0', 'via 2001:db8::9', 'dev d1']);
    const verb = pick(['add', 'add', 'add', 'append', 'replace', 'del']);
    const kind = random.below(10);
    if (kind < 6) lines.push(`r ${verb} ${v4()} ${how}${metric}${table}`);
    else if (kind < 8) lines.push(`-6 r ${verb === 'append' ? 'add' : verb} ${v6()} ${six}${metric}${table}`);
    else if (kind < 9)
      lines.push(`r add ${pick(['blackhole', 'unreachable', 'prohibit', 'throw'])} ${v4()}${metric}${table}`);
    else
      lines.push(
        `rule add ${pick(['from 10.0.0.0/8', 'to 20.0.0.0/8', 'fwmark 5', 'iif d0'])} table ${pick([100, 101])} pref ${1000 + i}`,
      );
  }
  for (let i = 0; i < 90; i++) {
    const mark = pick(['', '', ' mark 5']);
    const address = `${pick([10, 20, 30, 40])}.${byte()}.${byte()}.${byte()}`;
    if (i % 4 !== 3) lines.push(`r get ${address}${pick(['', '', ' oif d0'])}${mark}`);
    else lines.push(`-6 r get 2001:${pick(['db8', 'dead'])}:${byte().toString(16)}::${byte().toString(16)}`);
  }
  lines.push('r show table all', '-6 r show table all', 'rule');
  console.log(`ip.test: random routes with NETLOOM_SEED=${seed}`);
  compare(lines);
});

test('a batch stops at its first error unless forced', () => {
  const netlink = bareHost();
  const readFile = (): string => 'link show lo # comment\nfoo\nlink show nope\n';
  const stopped = ip(['-batch', 'b'], { netlink, readFile });
  expect(stopped.stderr).toBe('Object "foo" is unknown, try "ip help".\nCommand failed b:2\n');
  expect(stopped.code).toBe(1);
  const forced = ip(['-force', '-batch', 'b'], { netlink, readFile });
  expect(forced.stderr).toContain('Command failed b:3\n');
});

test('what netloom does not have is refused by name', () => {
  const netlink = bareHost();
  expect(ip(['tunnel', 'add'], { netlink }).stderr).toBe('netloom does not support "ip tunnel".\n');
  expect(ip(['link', 'add', 'm0', 'type', 'macvlan'], { netlink }).stderr).toBe(
    'Error: netloom does not support device type macvlan.\n',
  );
});
