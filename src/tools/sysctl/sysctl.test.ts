import { expect, test } from 'vitest';
import { EINVAL } from '../../core/errno.ts';
import type { ToolIo, ToolResult } from '../io.ts';
import { sysctl } from './sysctl.ts';

function tool(files: Record<string, string> = {}): (...argv: string[]) => ToolResult {
  const values = new Map([
    ['net.ipv4.conf.eth0/5.rp_filter', '1'],
    ['net.ipv4.ip_default_ttl', '64'],
    ['net.ipv4.ip_forward', '0'],
  ]);
  const io: ToolIo = {
    netlink: { open: () => ({ send: () => [] }) },
    sysctl: {
      read: (name) => values.get(name),
      write(name, value): number {
        if (!/^\d+$/.test(value)) return EINVAL;
        values.set(name, value);
        return 0;
      },
      names: () => [...values.keys()],
    },
    readFile: (path) => {
      if (files[path] === undefined) throw new Error('missing');
      return files[path];
    },
  };
  return (...argv) => sysctl(argv, io);
}

test('values are shown and set as procps does', () => {
  const run = tool();
  expect(run('net.ipv4.ip_forward')).toEqual({ code: 0, stdout: 'net.ipv4.ip_forward = 0\n', stderr: '' });
  expect(run('-w', 'net.ipv4.ip_forward=1').stdout).toBe('net.ipv4.ip_forward = 1\n');
  expect(run('-n', 'net/ipv4/ip_forward').stdout).toBe('1\n');
  expect(run('net/ipv4/conf/eth0.5/rp_filter').stdout).toBe('net.ipv4.conf.eth0/5.rp_filter = 1\n');
  expect(run('-q', '-w', 'net.ipv4.ip_forward=0').stdout).toBe('');
  expect(run('-a', '-r', 'ip_f').stdout).toBe('net.ipv4.ip_forward = 0\n');
});

test('unknown names and values are refused in its words', () => {
  const run = tool();
  expect(run('net.ipv4.nope')).toEqual({
    code: 1,
    stdout: '',
    stderr: 'sysctl: cannot stat /proc/sys/net/ipv4/nope: No such file or directory\n',
  });
  expect(run('-e', '-w', 'net.ipv4.nope=1')).toEqual({ code: 0, stdout: '', stderr: '' });
  expect(run('-w', 'net.ipv4.ip_forward=abc').stderr).toBe(
    'sysctl: setting key "net.ipv4.ip_forward": Invalid argument\n',
  );
  expect(run('-w', 'net.ipv4.ip_forward').stderr).toBe('sysctl: command line(0): invalid syntax, continuing...\n');
});

test('a file is read line by line; a wrong line does not stop the rest', () => {
  const run = tool({ '/s': '# c\nbad\nnet.ipv4.ip_forward = 1\n' });
  const result = run('-p', '/s');
  expect(result.stdout).toBe('net.ipv4.ip_forward = 1\n');
  expect(result.stderr).toBe('sysctl: /s(2): invalid syntax, continuing...\n');
  expect(run('-p', '/none').stderr).toBe('sysctl: cannot open "/none": No such file or directory\n');
});
