import { expect, test } from 'vitest';
import { World } from '../../core/world.ts';
import { hostNetlink } from '../../netlink/host-netlink.ts';
import { Host } from '../../netns/host.ts';
import { nft } from './index.ts';

function start(...argv: string[]) {
  const netlink = hostNetlink(new Host(new World({ slots: 64 }), 'host'));
  let heard = '';
  let stop = (): void => {};
  nft([...argv.filter((word) => word.startsWith('-')), 'monitor', ...argv.filter((word) => !word.startsWith('-'))], {
    netlink,
    follow: (begin) => {
      stop = begin((text) => {
        heard += text;
      });
    },
  });
  const run = (command: string): string => {
    heard = '';
    expect(nft([command], { netlink }).stderr).toBe('');
    return heard;
  };
  return { netlink, run, stop: () => stop() };
}

test('nft monitor tells of what a command changed, and of the generation', () => {
  const { run, stop } = start();
  expect(run('add table ip t')).toBe('add table ip t\n# new generation 2 by process 1 (nft)\n');
  expect(run('create chain ip t c { type filter hook input priority 0; policy drop; }').split('\n')[0]).toBe(
    'create chain ip t c { type filter hook input priority filter; policy drop; }',
  );
  expect(run('add rule ip t c ip saddr { 1.1.1.1, 2.2.2.2 } counter drop').split('\n')[0]).toBe(
    'add rule ip t c ip saddr { 1.1.1.1, 2.2.2.2 } counter packets 0 bytes 0 drop',
  );
  stop();
  expect(run('add table ip t2')).toBe('');
});

test('a rule that takes the place of another is told as one gone and one added behind the one before', () => {
  const { run } = start();
  run('add table ip t; add chain ip t c; add rule ip t c accept; add rule ip t c drop; insert rule ip t c counter');
  expect(run('replace rule ip t c handle 2 tcp dport 1').split('\n').slice(0, 2)).toEqual([
    'delete rule ip t c handle 2',
    'add rule ip t c handle 4 tcp dport 1',
  ]);
});

test('a filter lets through what it names only', () => {
  const { run } = start('new', 'sets');
  expect(run('add table ip t; add set ip t s { type ipv4_addr; elements = { 1.1.1.1 } }').trim()).toBe(
    'add set ip t s { type ipv4_addr; }',
  );
  expect(run('delete set ip t s')).toBe('');
});

test('a refused batch is told to nobody', () => {
  const { netlink, run } = start();
  run('add table ip t');
  let heard = '';
  netlink.open(12).join?.([7], () => {
    heard += '.';
  });
  expect(nft(['add chain ip t c; delete chain ip t nosuch'], { netlink }).code).toBe(1);
  expect(heard).toBe('');
});

test('nft -e echoes what it added, with handles when asked', () => {
  const { netlink } = start();
  nft(['add table ip t; add chain ip t c; add set ip t s { type ipv4_addr; flags interval; }'], { netlink });
  expect(nft(['-e', '-a', 'add rule ip t c accept; add element ip t s { 5.5.5.0/24 }'], { netlink }).stdout).toBe(
    'add rule ip t c accept # handle 3\nadd element ip t s { 5.5.5.0/24 }\n# new generation 3 by process 1 (nft)\n',
  );
});

test('nft -i keeps definitions from line to line', () => {
  const { netlink } = start();
  const stdin = 'add table ip t\nadd chain ip t c\ndefine p = 22\nadd rule ip t c tcp dport $p accept\n';
  expect(nft(['-i'], { netlink, stdin })).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(nft(['list', 'chain', 'ip', 't', 'c'], { netlink }).stdout).toContain('tcp dport 22 accept');
});

test('nft get element shows the members that hold the keys, and refuses an interval that no member holds', () => {
  const { netlink } = start();
  nft(['add table ip t; add set ip t s { type inet_service; flags interval; elements = { 10, 20-30, 40000-65535 } }'], {
    netlink,
  });
  const get = (keys: string): string => {
    const { stdout, stderr } = nft([`get element ip t s { ${keys} }`], { netlink });
    return stderr.split('\n')[0] || (/elements = (.*)/.exec(stdout)?.[1] ?? '');
  };
  expect(get('10, 22-24')).toBe('{ 10, 20-30 }');
  expect(get('50000')).toBe('{ 40000-65535 }');
  expect(get('10-25')).toBe('Error: Could not process rule: No such file or directory');
  expect(get('11')).toBe('Error: Could not process rule: No such file or directory');
});
