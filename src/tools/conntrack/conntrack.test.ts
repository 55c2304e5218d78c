import { expect, test } from 'vitest';
import { World } from '../../core/world.ts';
import { hostNetlink } from '../../netlink/host-netlink.ts';
import { Host } from '../../netns/host.ts';
import { conntrackEvents } from './events.ts';
import { conntrack } from './main.ts';

function shell(): (line: string, stdin?: string) => { code: number; stdout: string; stderr: string } {
  const netlink = hostNetlink(new Host(new World({ slots: 16, largeSlots: 1 }), 'gw'));
  return (line, stdin) => conntrack(line.split(' '), { netlink, stdin });
}

test('a connection that is created is listed, updated, found by its filters and deleted, as conntrack prints it', () => {
  const run = shell();
  const create = '-I -p tcp -s 1.1.1.1 -d 2.2.2.2 --sport 10 --dport 20 --state SYN_SENT2 -u SEEN_REPLY -t 50';
  expect(run(create).code).toBe(0);
  const line =
    'tcp      6 50 SYN_SENT2 src=1.1.1.1 dst=2.2.2.2 sport=10 dport=20 src=2.2.2.2 dst=1.1.1.1 sport=20 dport=10 mark=0 use=1\n';
  expect(run('-L')).toEqual({
    code: 0,
    stdout: line,
    stderr: 'conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.\n',
  });
  expect(run(create).stderr).toContain('Operation failed: Such conntrack exists, try -U to update');
  expect(run('-L -s 1.1.0.0/16 -p tcp --dport 20').stdout).toBe(line);
  expect(run('-L -s 1.2.0.0/16').stdout).toBe('');
  expect(run('-U -s 1.1.1.1 -m 7').stdout).toBe(line.replace('mark=0', 'mark=7').replace('use=1', 'use=2'));
  expect(run('-C').stdout).toBe('1\n');
  expect(run('-D -m 7').code).toBe(0);
  expect(run('-D -m 7')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.\n',
  });
});

test('protocols, families and zones print as they should', () => {
  const run = shell();
  run('-I -p icmp -s 1.1.1.1 -d 2.2.2.2 --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 30 -w 5');
  run('-I -p udp -s ::1 -d ::2 --sport 1 --dport 2 -t 40');
  run('-I -p 2 -s 0.0.0.0 -d 224.0.0.22 -t 9');
  expect(run('-L').stdout.split('\n').sort()).toEqual([
    '',
    'icmp     1 30 src=1.1.1.1 dst=2.2.2.2 type=8 code=0 id=77 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 type=0 code=0 id=77 mark=0 zone=5 use=1',
    'udp      17 40 src=::1 dst=::2 sport=1 dport=2 [UNREPLIED] src=::2 dst=::1 sport=2 dport=1 mark=0 use=1',
    'unknown  2 9 src=0.0.0.0 dst=224.0.0.22 [UNREPLIED] src=224.0.0.22 dst=0.0.0.0 mark=0 use=1',
  ]);
  expect(run('-L -f ipv6').stdout).toContain('udp');
  expect(run('-F').code).toBe(0);
  expect(run('-C').stdout).toBe('0\n');
});

test('an option that a command does not take, or lacks, is complained of in the tool’s words', () => {
  const run = shell();
  const first = (line: string): string =>
    run(line)
      .stderr.split('\n')[0]
      .replace(/^.*?: /, '');
  expect(first('-L -t 5')).toBe("Illegal option `--timeout' with this command");
  expect(first('-I -p tcp -s 1.1.1.1 -d 2.2.2.2 -t 5 --sport 1 --dport 2')).toBe(
    "You need to supply the `--state' option for this command",
  );
  expect(first('-I -s 1.1.1.1 -d 2.2.2.2 -p tcp --dport 20 --state LISTEN -t 50')).toBe(
    "you have to specify `--sport' and `--dport'",
  );
  expect(first('-L --sport 5 -p tcp')).toBe("unknown option `--sport'");
  expect(first('-L --dst-nat [2001::1]:65536')).toBe("Invalid port `65536'");
  expect(first('-A expect')).toBe("Can't do --add on expectations");
  expect(first('-L -p foo')).toBe("`foo' unsupported protocol");
  expect(run('').stdout).toContain('Usage: conntrack [commands] [options]');
});

test('what -o save writes makes the same connections again from a file', () => {
  const [one, two] = [shell(), shell()];
  one('-I -p tcp -s 1.1.1.1 -d 2.2.2.2 --src-nat 5.5.5.5:100 --sport 1 --dport 2 --state CLOSE -u ASSURED -t 50');
  one('-I -p udp -s ::1 -d ::2 --sport 1 --dport 2 -t 40 -w 7');
  one('-I -p gre -s 1.1.1.1 -d 2.2.2.2 --srckey 0x10 --dstkey 5 -t 9');
  const saved = one('-L -o save').stdout;
  expect(saved).toContain('-A -t 50 -u SEEN_REPLY,ASSURED -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -n 5.5.5.5 -p tcp');
  expect(two('-R -', saved)).toMatchObject({ code: 0, stdout: '', stderr: '' });
  expect(two('-L -o extended').stdout).toBe(one('-L -o extended').stdout);
  expect(two('-L --src-nat 5.5.5.5:100').stdout).toContain('dst=5.5.5.5 sport=2 dport=100 [ASSURED]');
});

test('XML names both directions, and what holds for both', () => {
  const run = shell();
  run('-I -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 40 -m 3');
  expect(run('-L -o xml').stdout.replace(/<id>\d+/, '<id>N')).toBe(`<?xml version="1.0" encoding="utf-8"?>
<conntrack>
<flow><meta direction="original"><layer3 protonum="2" protoname="ipv4"><src>1.1.1.1</src><dst>2.2.2.2</dst></layer3><layer4 protonum="17" protoname="udp"><sport>1</sport><dport>2</dport></layer4></meta><meta direction="reply"><layer3 protonum="2" protoname="ipv4"><src>2.2.2.2</src><dst>1.1.1.1</dst></layer3><layer4 protonum="17" protoname="udp"><sport>2</sport><dport>1</dport></layer4></meta><meta direction="independent"><timeout>40</timeout><mark>3</mark><use>1</use><id>N</id><unreplied/></meta></flow>
</conntrack>
`);
});

test('-E prints events as they happen, and -e chooses among them', () => {
  const netlink = hostNetlink(new Host(new World({ slots: 16, largeSlots: 1 }), 'gw'));
  const io = { netlink };
  const lines: string[] = [];
  const gone: string[] = [];
  const all = conntrackEvents(['-E'], io, (line) => lines.push(line));
  const destroyed = conntrackEvents(['-E', '-e', 'DESTROY', '-o', 'save'], io, (line) => gone.push(line));
  conntrack('-I -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 50 -m 7'.split(' '), io);
  conntrack('-U -s 1.1.1.1 -m 9'.split(' '), io);
  conntrack('-D -p udp'.split(' '), io);
  const flow = 'src=1.1.1.1 dst=2.2.2.2 sport=1 dport=2 [UNREPLIED] src=2.2.2.2 dst=1.1.1.1 sport=2 dport=1';
  expect(lines).toEqual([
    `    [NEW] udp      17 50 ${flow} mark=7`,
    ` [UPDATE] udp      17 50 ${flow} mark=9`,
    `[DESTROY] udp      17 50 ${flow} mark=9`,
  ]);
  expect(gone).toHaveLength(1);
  expect(gone[0]).toContain('-D -t 50');
  expect(all.close().stderr).toBe('conntrack v1.4.7 (conntrack-tools): 3 flow events have been shown.\n');
  destroyed.close();
  conntrack('-I -p udp -s 1.1.1.1 -d 2.2.2.2 --sport 1 --dport 2 -t 50'.split(' '), io);
  expect(lines).toHaveLength(3);
});
