import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { optimize } from '../tools/nft/index.ts';
import { compare, loadSide } from './diff.ts';
import { Machine } from './machine.ts';
import { BadInput } from './problem.ts';
import { Firewall } from './try.ts';

const port = fc.constantFrom('22', 'ssh', '23', '20-22', '80', '{ 22, 90-99 }', '443');
const address = fc.constantFrom(
  '10.0.0.1',
  '10.0.0.2',
  '10.0.0.0/24',
  '192.0.2.1-192.0.2.9',
  '{ 10.0.0.1, 192.0.2.5 }',
);
const state = fc.constantFrom('new', 'established,related', 'invalid');
const field = fc.oneof(
  port.map((value) => ['tcp dport', value]),
  port.map((value) => ['udp dport', value]),
  address.map((value) => ['ip saddr', value]),
  address.map((value) => ['ip daddr', value]),
  state.map((value) => ['ct state', value]),
  fc.constantFrom('tcp', 'udp').map((value) => ['meta l4proto', value]),
  fc.constantFrom('1', '2', '3').map((value) => ['meta mark', value]),
);
const head = fc
  .uniqueArray(field, { minLength: 1, maxLength: 3, selector: ([name]) => name })
  .map((fields) => fields.map(([name, value]) => `${name} ${value}`).join(' '));
const verdict = fc.constantFrom(
  'accept',
  'drop',
  'jump other',
  'goto other',
  'return',
  'reject',
  'meta mark set 2',
  '',
);
const middle = fc.constantFrom('', '', 'counter', 'log', 'limit rate 3/second');

/** Several rules that look at the same fields, in which rules that can be merged are likely. */
const group = fc
  .record({
    names: fc.uniqueArray(fc.constantFrom('tcp dport', 'ip saddr', 'ip daddr', 'ct state', 'meta mark'), {
      minLength: 1,
      maxLength: 2,
    }),
    middle,
    rows: fc.array(fc.record({ port, address, state, mark: fc.constantFrom('1', '2', '3'), verdict }), {
      minLength: 2,
      maxLength: 5,
    }),
    same: fc.option(verdict),
  })
  .map(({ names, middle, rows, same }) =>
    rows.map((row) => {
      const values: Readonly<Record<string, string>> = {
        'tcp dport': row.port,
        'ip saddr': row.address,
        'ip daddr': row.address,
        'ct state': row.state,
        'meta mark': row.mark,
      };
      return `${names.map((name) => `${name} ${values[name]}`).join(' ')} ${middle} ${same ?? row.verdict}`;
    }),
  );
const single = fc.tuple(head, middle, verdict).map((parts) => [parts.join(' ')]);
const rules = fc.array(fc.oneof(group, single), { minLength: 1, maxLength: 4 }).map((groups) => groups.flat());

const script = (list: readonly string[], writes: boolean): string => `table inet x {
	chain other {
		${writes ? 'meta mark set 3' : ''}
		udp dport 53 drop
	}
	chain y {
		type filter hook input priority filter; policy drop;
${list.map((rule) => `\t\t${rule}\n`).join('')}	}
}
`;

/** Rules of two protocols at once are refused; they are no rulesets. */
function loads(text: string): boolean {
  try {
    loadSide('a', { text, file: 'a.nft', given });
    return true;
  } catch (error) {
    if (error instanceof BadInput) return false;
    throw error;
  }
}

const given = { ifaces: [], routes: [] };

test('a ruleset whose rules are merged treats every packet as before', () => {
  let merged = 0;
  fc.assert(
    fc.property(rules, fc.boolean(), (list, writes) => {
      const text = script(list, writes);
      fc.pre(loads(text));
      const better = optimize(text);
      if (better.merges.length === 0) return;
      merged++;
      const difference = compare({ text, file: 'a.nft', given }, { text: better.text, file: 'b.nft', given });
      expect([difference.verdict, better.text, difference.classes.map(({ packets }) => packets)]).toEqual([
        'equal',
        better.text,
        [],
      ]);
    }),
    { numRuns: 60 },
  );
  expect(merged).toBeGreaterThan(10);
}, 60_000);

test('merged address translation treats every packet as before', () => {
  const target = fc.constantFrom('10.1.1.1', '10.1.1.2');
  const line = fc.tuple(port, target, fc.constantFrom('80', '81'));
  fc.assert(
    fc.property(
      fc.array(line, { minLength: 2, maxLength: 5 }),
      fc.constantFrom('addr', 'both', 'port'),
      (lines, form) => {
        const text = `table ip x {
	chain y {
		type nat hook prerouting priority dstnat;
${lines
  .map(([at, to, p]) =>
    form === 'port'
      ? `\t\ttcp dport ${at} redirect to :${p}\n`
      : `\t\ttcp dport ${at} dnat to ${to}${form === 'both' ? `:${p}` : ''}\n`,
  )
  .join('')}	}
}
`;
        const better = optimize(text);
        const difference = compare({ text, file: 'a.nft', given }, { text: better.text, file: 'b.nft', given });
        expect([difference.verdict, better.text]).toEqual(['equal', better.text]);
      },
    ),
    { numRuns: 30 },
  );
}, 60_000);

test('packets sent to a host with the merged rules meet the same end', () => {
  const iface = { name: 'lan', addresses: ['10.9.0.1/24'] };
  const bare = { ifaces: [iface], routes: [{ to: 'default', via: '10.9.0.254' }] };
  const packet = fc
    .tuple(
      fc.constantFrom('tcp', 'udp'),
      fc.constantFrom('10.0.0.1', '10.0.0.7', '192.0.2.5', '198.51.100.1'),
      fc.constantFrom(21, 22, 23, 80, 95, 443),
    )
    .map(([protocol, from, to]) => `lan ${protocol} ${from}:40000 -> local:${to}`);
  fc.assert(
    fc.property(rules, fc.boolean(), fc.array(packet, { minLength: 1, maxLength: 3 }), (list, writes, packets) => {
      const text = script(list, writes);
      const better = optimize(text).text;
      fc.pre(better !== text && loads(text));
      const ends = (rules: string): string[] =>
        packets.map((each) => new Firewall({ text: rules, file: 'fw.nft', given: bare }).ask(each).verdict);
      expect(ends(better)).toEqual(ends(text));
    }),
    { numRuns: 25 },
  );
}, 60_000);

const oracle = spawnSync('unshare', ['-n', 'nft', '--version'], { encoding: 'utf8' });
const missing = oracle.stdout?.includes('v1.0.6') ? undefined : 'nft 1.0.6 in a network namespace is not to be had';
if (missing !== undefined) console.log(`skipped: listings of the real tool (${missing})`);

// 1.0.6 loses counters of verdict maps and targets of address translation; they are not asked for here.
test.skipIf(missing !== undefined)('nft -o loads what the real tool loads', () => {
  const text = `table ip x {
	chain c1 {
		udp dport 51820 iifname "foo" accept
		udp dport { 67, 514 } iifname "bar" accept
	}
	chain y {
		ip daddr 192.168.0.1 counter accept comment "first"
		ip daddr 192.168.0.2 counter accept
		iifname "eth1" ip saddr 1.1.1.1 ip daddr 2.2.2.3 accept
		iifname "eth1" ip saddr 1.1.1.2 ip daddr 2.2.3.0/24 accept
		ct state established,related accept
		ct state invalid drop
		tcp dport 1 accept
		tcp dport 2-3 drop
		tcp dport 7 log prefix "a " reject
		tcp dport 8 log prefix "a " reject
	}
}
`;
  const real = spawnSync('unshare', ['-n', 'sh', '-c', 'nft -o -f - >/dev/null 2>&1; nft list ruleset'], {
    input: text,
    encoding: 'utf8',
  });
  const machine = new Machine([]);
  expect(machine.run('nft', ['-c', '-o', '-f', '-'], { stdin: text })).toMatchObject({ code: 0, stdout: '' });
  expect(machine.run('nft', ['list', 'ruleset']).stdout).toBe('');
  const { code, stderr } = machine.run('nft', ['-o', '-f', '-'], { stdin: text });
  expect([code, stderr.split('Merging:\n').length - 1]).toEqual([0, 6]);
  expect(machine.run('nft', ['list', 'ruleset']).stdout).toBe(real.stdout);
});
