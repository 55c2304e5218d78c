import { expect, test } from 'vitest';
import { readCapture } from '../wire/capture.ts';
import { type LabIo, runRun, runUp } from './commands.ts';

const LAB = `name: two
topology:
  nodes:
    a: { startup-config: a.sh }
    b: { exec: ["ip addr add 10.0.0.2/24 dev eth1"] }
  links:
    - endpoints: ["a:eth1", "b:eth1"]
checks:
  - { node: a, ping: 10.0.0.2 }
`;

function world(lab = LAB): { io: LabIo; out: () => string; err: () => string; files: Map<string, Uint8Array> } {
  let out = '';
  let err = '';
  let now = 0;
  const files = new Map<string, Uint8Array>();
  const texts: Record<string, string> = { 'd/lab.yml': lab, 'd/a.sh': '# a\nip addr add 10.0.0.1/24 dev eth1\n' };
  const io: LabIo = {
    readFile: (path) => {
      if (texts[path] === undefined) throw new Error('no such file');
      return texts[path];
    },
    writeFile: (path, bytes) => files.set(path, bytes),
    stdout: (text) => {
      out += text;
    },
    stderr: (text) => {
      err += text;
    },
    clock: {
      nowMs: () => now,
      sleep: (ms) => {
        now += ms;
      },
    },
  };
  return { io, out: () => out, err: () => err, files };
}

test('up brings a lab up, runs its checks and writes captures', () => {
  const { io, out, files } = world();
  expect(runUp(['d/lab.yml', '--capture', 'caps'], io)).toBe(0);
  expect(out()).toBe(`lab two: 2 nodes, 1 link
  a (linux): eth1 10.0.0.1/24
  b (linux): eth1 10.0.0.2/24
ok: 10.0.0.2 is reachable from a
1 of 1 check ok
captures: caps/
`);
  expect([...files.keys()]).toEqual(['caps/a-eth1.pcapng', 'caps/b-eth1.pcapng']);
  expect(readCapture(files.get('caps/a-eth1.pcapng')!).length).toBeGreaterThan(4);
});

test('run runs one command on a node, in virtual and in real time, and ends as it does', () => {
  for (const extra of [[], ['--real-time']]) {
    const { io, out } = world();
    expect(runRun(['d/lab.yml', 'a', ...extra, '--', 'ping', '-c', '2', '10.0.0.2'], io)).toBe(0);
    expect(out()).toContain('2 packets transmitted, 2 received');
  }
  const { io, out } = world();
  expect(runRun(['d/lab.yml', 'a', '--', 'ping', '-c', '1', '-W', '1', '10.0.0.9'], io)).toBe(1);
  expect(out()).toContain('100% packet loss');
});

test('a failing check, a failing command and bad input have exit codes of their own', () => {
  expect(runUp(['d/lab.yml'], world(LAB.replace('ping: 10.0.0.2', 'ping: 10.0.0.3')).io)).toBe(1);
  const failing = world(LAB.replace('10.0.0.2/24', '10.0.0.2/99'));
  expect(runUp(['d/lab.yml'], failing.io)).toBe(1);
  expect(failing.out()).toContain('b: "ip addr add 10.0.0.2/99 dev eth1" ended with 1\n');
  const wrong = world(LAB.replace('nodes:', 'nods:'));
  expect(runUp(['d/lab.yml'], wrong.io)).toBe(2);
  expect(wrong.err()).toMatch(/^d\/lab\.yml:3:3: unknown key "nods" in topology/);
  const none = world();
  expect(runUp(['none.yml'], none.io)).toBe(2);
  expect(none.err()).toBe('netloom: cannot read none.yml: no such file\n');
  expect(runRun(['d/lab.yml', 'z', '--', 'true'], none.io)).toBe(2);
});
