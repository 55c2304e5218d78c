import { expect, test } from 'vitest';
import { World } from '../../core/world.ts';
import { hostNetlink } from '../../netlink/host-netlink.ts';
import { Host } from '../../netns/host.ts';
import { conntrack } from './main.ts';

function shell(): (line: string) => { code: number; stdout: string; stderr: string } {
  const netlink = hostNetlink(new Host(new World({ slots: 16, largeSlots: 1 }), 'gw'));
  return (line) => conntrack(line.split(' '), { netlink });
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
  expect(run(create).stderr).toContain('File exists');
  expect(run('-L -s 1.1.0.0/16 -p tcp --dport 20').stdout).toBe(line);
  expect(run('-L -s 1.2.0.0/16').stdout).toBe('');
  expect(run('-U -s 1.1.1.1 -m 7').stdout).toBe(line.replace('mark=0', 'mark=7'));
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

test('what cannot be done is said by name', () => {
  const run = shell();
  expect(run('-E')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('netloom does not support conntrack -E'),
  });
  expect(run('-L -p foo').stderr).toContain('unsupported protocol');
  expect(run('')).toMatchObject({ code: 2 });
});
