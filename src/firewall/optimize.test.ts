import fc from 'fast-check';
import { expect, test } from 'vitest';
import { optimize } from '../tools/nft/index.ts';
import { compare, loadSide } from './diff.ts';
import { BadInput } from './problem.ts';

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
