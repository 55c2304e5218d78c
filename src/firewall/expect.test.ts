import { expect, test } from 'vitest';
import type { Answer } from './answer.ts';
import { compare, formatExpectFile, isExpectFile, parseExpectFile } from './expect.ts';
import { BadInput } from './problem.ts';
import { toJunit, toTap } from './results.ts';

const answer: Answer = {
  rules: 'fw.nft',
  packet: 'lan 10.0.0.7 -> 203.0.113.9:443',
  notes: [],
  warnings: [],
  request: {
    packet: 'x',
    steps: [],
    outcome: 'forwarded',
    left: 'IP 192.0.2.2.40000 > 203.0.113.9.443: Flags [S], seq 0, win 1, length 0',
    dev: 'wan',
    decided: { chain: 'inet f fwd', verdict: 'accept', rule: 'oif wan accept', file: 'fw.nft', line: 7 },
  },
  reply: { packet: 'y', steps: [], outcome: 'forwarded' },
  verdict: 'allowed',
};

const given = {
  ifaces: [
    { name: 'lan', addresses: ['10.0.0.1/24'] },
    { name: 'wan', addresses: [] },
  ],
  routes: [{ to: 'default', via: '192.0.2.1', dev: 'wan' }],
};

test('answers are written as readable YAML and read back as they were', () => {
  const text = formatExpectFile('fw.nft', undefined, given, [answer]);
  expect(text).toBe(`# Written by \`netloom expect\`; check with \`netloom test\`. Change what you know better.
rules: fw.nft
interfaces:
  lan:
    - 10.0.0.1/24
  wan: []
routes:
  - default via 192.0.2.1 dev wan
expect:
  - packet: lan 10.0.0.7 -> 203.0.113.9:443
    verdict: forwarded
    leaves: wan 192.0.2.2:40000 -> 203.0.113.9:443
    reply: forwarded
    rule: fw.nft:7 oif wan accept
`);
  expect(isExpectFile(text)).toBe(true);
  const file = parseExpectFile(text, 'x.yml');
  expect(file.given).toEqual(given);
  expect(compare(file.expect[0], answer)).toBe('');
});

test('a changed answer is told with the rule that did it', () => {
  const [wanted] = parseExpectFile(formatExpectFile('fw.nft', undefined, given, [answer]), 'x.yml').expect;
  const dropped: Answer = {
    ...answer,
    request: { packet: 'x', steps: [], outcome: 'dropped', decided: { chain: 'inet f fwd', verdict: 'policy drop' } },
  };
  expect(compare(wanted, dropped)).toBe(
    'expected forwarded (by fw.nft:7 oif wan accept), now dropped, by policy drop of inet f fwd',
  );
  expect(compare({ ...wanted, leaves: 'wan 1.1.1.1:1 -> 2.2.2.2:2' }, answer)).toContain('expected to leave as');
  expect(compare({ ...wanted, reply: 'denied' }, answer)).toContain('reply: expected denied, now forwarded');
});

test('mistakes in a file are told with their place', () => {
  const bad = (text: string): string => {
    try {
      parseExpectFile(text, 'x.yml');
    } catch (error) {
      if (error instanceof BadInput) return error.text;
      throw error;
    }
    return '';
  };
  expect(bad('rules: a\nexpct: []\n')).toContain('x.yml:2:1: unknown key "expct"; expected rules, kind');
  expect(bad('rules: a\nexpect:\n  - packet: a -> 1.2.3.4\n    verdict: maybe\n')).toContain(
    'x.yml:3:5: verdict "maybe"',
  );
  expect(bad('rules: [')).toContain('x.yml:1');
  expect(bad('expect: []')).toContain('"rules" is missing');
});

test('results are written as TAP and JUnit', () => {
  const results = [
    { file: 'a.yml', name: 'one', ok: true, problem: '', ms: 2 },
    { file: 'a.yml', name: 'two <b>', ok: false, problem: 'expected x\nnow "y"', ms: 3 },
  ];
  expect(toTap(results)).toBe(
    'TAP version 13\n1..2\nok 1 - a.yml: one\nnot ok 2 - a.yml: two <b>\n  ---\n  message: |\n    expected x\n    now "y"\n  ...\n',
  );
  expect(toJunit(results)).toContain('<testsuite name="a.yml" tests="2" failures="1" time="0.005">');
  expect(toJunit(results)).toContain('name="two &lt;b&gt;"');
});
