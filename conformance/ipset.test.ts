/** The same ipset commands on a host of netloom and, in a network namespace, on this machine's kernel with its own ipset. */
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { Machine } from '../src/firewall/machine.ts';
import { splitCommand } from '../src/tools/words.ts';

const COMMANDS = `create a hash:ip timeout 300 counters comment skbinfo netmask 24 hashsize 64 maxelem 100
add a 10.0.0.77 timeout 100 packets 3 bytes 4 comment "x y" skbmark 0x11/0xff skbprio 1:10 skbqueue 3
add a 10.0.0.1
-! add a 10.0.0.1 timeout 0
list a -s
create a hash:ip
create a hash:net
-! create a hash:ip
create b hash:ip,port,net
add b 10.0.0.1,tcp:80-82,192.168.0.0/24 nomatch
add b 10.0.0.1-10.0.0.3,udp:53,192.168.0.0/24
add b 10.0.0.1,icmp:8/0,192.168.0.0/24
add b 10.0.0.1,80
add b 10.0.0.1,80,1.1.1.1,9
test b 10.0.0.1,tcp:81,192.168.0.0/24
test b 10.0.0.1,tcp:81,192.168.0.0/24 nomatch
test b 10.0.0.2,udp:53,192.168.0.9
list b -s
del b 10.0.0.1,udp:53,192.168.0.0/24
del b 10.0.0.1,udp:53,192.168.0.0/24
-! del b 10.0.0.1,udp:53,192.168.0.0/24
create n hash:net
add n 10.0.0.0-10.0.2.255
add n 10.0.0.0/0
add n 0.0.0.0/0
add n 1.1.1.1
test n 10.0.1.7
test n 10.0.3.7
test n 10.0.0.0/24
list n -s
create i hash:net,iface
add i 10.0.0.0/24,physdev:eth0
add i 10.0.0.0/24,eth0
add i 10.0.0.0/24,eth wildcard
list i -s
create six hash:ip family inet6
add six 2001:db8::1
add six 1.1.1.1
add six 2001:db8::/64
list six
create p bitmap:port range 10-20
add p 12-14
add p 21
add p tcp:15
test p 13
list p
create m bitmap:ip,mac range 10.0.0.0/28
add m 10.0.0.1,02:00:00:00:00:01
add m 10.0.0.2
add m 10.0.1.2
test m 10.0.0.1,02:00:00:00:00:02
test m 10.0.0.1
list m
create bi bitmap:ip range 10.0.0.0-10.0.0.255 timeout 60
add bi 10.0.0.5-10.0.0.6 timeout 0
del bi 10.0.0.5
list bi
create l list:set size 4
add l a
add l b before a
add l n after b
add l l
add l nothing
add l i before six
list l
test l n
test l six
del l n after a
del l n
list l
destroy a
rename a z
rename six z
rename z b
swap n i
swap n a
create n2 hash:net
add n2 9.9.9.0/24
swap n n2
save n
flush n2
list n2 -t
destroy z
list z
create q hash:ip maxelem 2
add q 1.1.1.1
add q 1.1.1.2
add q 1.1.1.3
add q 0.0.0.0
add q 1.1.1.1 timeout 5
add q 1.1.1.1 packets 5
add q 1.1.1.1 comment x
add q 1.1.1.1/33
add q 1.1.1.1,2
add q nonsense
create r hash:ip bogus
create r bogus
create r
create
create r hash:ip timeout -5
create r bitmap:ip range 10.0.0.0/8
frobnicate
list -n
destroy
version`.split('\n');

const real = ['ipset', 'unshare'].every((tool) => spawnSync(tool, ['--version']).error === undefined);
const missing = process.getuid?.() !== 0 || !real ? 'needs root, unshare and ipset' : undefined;
if (missing !== undefined) console.warn(`skipped: ${missing}`);

type Said = { readonly command: string; readonly code: number; readonly text: string };

/** Without what differs from run to run: sizes, seeds, seconds that have passed. */
function steady(text: string): string {
  return text
    .replace(/Size in memory: \d+/g, 'Size in memory: N')
    .replace(/initval 0x[0-9a-f]+/g, 'initval N')
    .replace(/hashsize \d+/g, 'hashsize N')
    .replace(/ timeout (?:99|100|59|60|299|300|298)\b/g, ' timeout T')
    .trim();
}

/** Members in one order: a hash has none, and -s sorts by more than the text. */
function sorted(command: string, text: string): string {
  if (!command.endsWith(' -s')) return text;
  const [head, members = ''] = text.split('Members:\n');
  return `${head}Members:\n${members.split('\n').sort().join('\n')}`;
}

test.skipIf(missing !== undefined)('ipset says and does the same on netloom and on this kernel', () => {
  const script = COMMANDS.map((line) => `ipset ${line} 2>&1; echo "@@@ $?"`).join('\n');
  const child = spawnSync('unshare', ['-n', 'sh'], { input: script, encoding: 'utf8' });
  const parts = child.stdout.split(/@@@ (\d+)\n/);
  const kernel = COMMANDS.map(
    (command, i): Said => ({
      command,
      code: Number(parts[i * 2 + 1]),
      text: sorted(command, steady(parts[i * 2] ?? '')),
    }),
  );
  const machine = new Machine([]);
  const netloom = COMMANDS.map((command): Said => {
    const { code, stdout, stderr } = machine.run('ipset', splitCommand(command).words);
    return { command, code, text: sorted(command, steady(stdout + stderr)) };
  });
  expect(netloom).toEqual(kernel);
});
