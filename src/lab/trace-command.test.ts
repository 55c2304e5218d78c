import { expect, test } from 'vitest';
import type { LabIo } from './commands.ts';
import { runTrace } from './trace-command.ts';

const LAB = `name: two
topology:
  nodes:
    a: { exec: ["ip addr add 10.0.0.1/24 dev eth1"] }
    b: { exec: ["ip addr add 10.0.0.2/24 dev eth1"] }
  links:
    - endpoints: ["a:eth1", "b:eth1"]
`;

function trace(...argv: string[]): { code: number; out: string; err: string } {
  let out = '';
  let err = '';
  const files: Record<string, string> = { 'lab.yml': LAB, 'icmp.bt': 'icmp_rcv { @[host] = count(); }' };
  const io: LabIo = {
    readFile: (path) => {
      if (files[path] === undefined) throw new Error('no such file');
      return files[path];
    },
    writeFile: () => undefined,
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
  };
  return { code: runTrace(argv, io), out, err };
}

test('a program sees what a command causes on every host', () => {
  const program = 'ip_rcv { printf("%s %s -> %s\\n", host, saddr(args.skb), daddr(args.skb)); }';
  expect(trace(program, 'lab.yml', 'a', '--', 'ping', '-c', '1', '10.0.0.2')).toEqual({
    code: 0,
    out: 'b 10.0.0.1 -> 10.0.0.2\na 10.0.0.2 -> 10.0.0.1\n',
    err: '',
  });
});

test('or on one host only', () => {
  const { out } = trace('-f', 'icmp.bt', 'lab.yml', '--on', 'b', 'a', '--', 'ping', '-c', '2', '10.0.0.2');
  expect(out).toBe('@[b]: 2\n');
});

test('the exit code is that of the command', () => {
  expect(trace('BEGIN { }', 'lab.yml', 'a', '--', 'ping', '-c', '1', '-W', '1', '10.0.0.9').code).toBe(1);
});

test('the points are listed with their arguments', () => {
  const { code, out } = trace('-l');
  expect(code).toBe(0);
  expect(out).toContain(
    'tracepoint:skb:kfree_skb(struct sk_buff *skb, void *location, enum skb_drop_reason reason, struct sock *rx_sk)\n',
  );
  expect(out).toContain('fentry:ip_rcv(struct sk_buff *skb, struct net_device *dev)\n');
});

test('what is wrong is pointed out', () => {
  expect(trace('kfree_skb { @ = args.nothing }', 'lab.yml')).toMatchObject({
    code: 2,
    err: `program:1:17: there is no argument nothing here (there is skb, location, reason, rx_sk)
  kfree_skb { @ = args.nothing }
                  ^
`,
  });
  expect(trace('tcp_probe { }', 'lab.yml').err).toBe('netloom: netloom does not hit the tracing point tcp_probe yet\n');
  expect(trace('BEGIN { }').code).toBe(2);
  expect(trace('BEGIN { }', 'lab.yml', '--on', 'c').err).toBe('netloom: there is no node "c" (known: a, b)\n');
  expect(trace('-f', 'none.bt', 'lab.yml').err).toBe('netloom: cannot read none.bt: no such file\n');
});
