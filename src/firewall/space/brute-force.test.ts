/** Reasoning against the interpreter: random small rulesets over small header spaces, every packet of them run. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareSides, type DifferenceClass, loadSide } from '../diff.ts';
import { BadInput } from '../problem.ts';
import { Chains, Natures } from './chains.ts';
import { tracks } from './domain.ts';
import { execute } from './execute.ts';
import { Resources } from './resources.ts';
import type { Side } from './side.ts';
import { Space } from './space.ts';
import { usualPacket, witnessOf } from './witness.ts';
import { type Treatment, treat, type World, worldsOf } from './worlds.ts';

const ADDRESSES = ['10.0.0.1', '10.0.0.2', '10.0.1.1', '192.168.7.9'];
const PORTS = [22, 23, 80, 443];
const IFACES = ['lan', 'wan', 'eth1'];

const given = { ifaces: IFACES.map((name, i) => ({ name, addresses: [`172.16.${i}.1/24`] })), routes: [] };

function side(name: string, text: string, kind: 'nft' | 'iptables-save' = 'nft'): Side {
  return loadSide(name, { text, file: `${name}.nft`, kind, given });
}

/** The ruleset loaded; undefined when it is none (protocols that exclude each other). */
function loaded(name: string, text: string): Side | undefined {
  try {
    return side(name, text);
  } catch (error) {
    if (error instanceof BadInput) return undefined;
    throw error;
  }
}

const pick = <T>(...list: T[]): fc.Arbitrary<T> => fc.constantFrom(...list);
const some = <T>(list: readonly T[]): fc.Arbitrary<T[]> => fc.subarray([...list], { minLength: 1 });

const match = fc.oneof(
  fc
    .tuple(
      pick('saddr', 'daddr'),
      pick('', '!= '),
      pick(...ADDRESSES, '10.0.0.0/24', '10.0.0.0/8', '10.0.0.1-10.0.1.0'),
    )
    .map(([f, op, v]) => `ip ${f} ${op}${v}`),
  fc
    .tuple(pick('saddr', 'daddr'), pick('', '!= '), some([...ADDRESSES.slice(0, 2), '10.0.1.0/24']))
    .map(([f, op, v]) => `ip ${f} ${op}{ ${v.join(', ')} }`),
  fc
    .tuple(pick('tcp', 'udp', 'th'), pick('sport', 'dport'), pick('', '!= ', '< ', '>= '), pick(...PORTS))
    .map(([p, f, op, v]) => (p === 'th' ? `meta l4proto { tcp, udp } th ${f} ${op}${v}` : `${p} ${f} ${op}${v}`)),
  some(PORTS).map((v) => `tcp dport { ${v.join(', ')} }`),
  fc
    .tuple(pick('iifname', 'oifname'), pick('', '!= '), pick('"lan"', '"wan"', '"eth*"', '{ "lan", "eth1" }'))
    .map((w) => `${w[0]} ${w[1]}${w[2]}`),
  fc.tuple(pick('iif', 'oif'), pick('lan', 'wan')).map((w) => w.join(' ')),
  fc.tuple(pick('', '!= '), pick('0x1', '0x2', '0x3')).map((w) => `meta mark ${w.join('')}`),
  fc.tuple(pick('0x1', '0x2'), pick('0x0', '0x2')).map(([m, v]) => `meta mark & ${m} == ${v}`),
  pick(
    'ct state new',
    'ct state established,related',
    'ct state != new',
    'ct mark 0x1',
    'meta l4proto tcp',
    'ip ttl < 64',
    'tcp flags syn',
    'tcp flags & (syn | ack) == syn',
    'ip dscp 0x2',
    'meta length > 30',
    'ip daddr . tcp dport { 10.0.0.1 . 22, 10.0.0.0/24 . 80-443 }',
    'ct direction original',
    'ct original ip daddr 10.0.0.2',
    'ip saddr & 0.0.0.255 == 0.0.0.1',
    'meta nfproto ipv4',
  ),
);
const action = fc.oneof(
  { weight: 4, arbitrary: pick('accept', 'drop') },
  pick(
    'return',
    'reject',
    'jump one',
    'jump two',
    'goto two',
    'continue',
    'counter',
    'meta mark set 0x1',
    'meta mark set meta mark | 0x2',
    'ct mark set 0x1',
    'meta mark set ct mark',
    'ip dscp set 0x2',
    'ip ttl set 63',
  ),
  pick(
    'tcp dport vmap { 22 : accept, 80 : drop, 443 : jump two }',
    'ip saddr vmap { 10.0.0.0/24 : drop, 10.0.1.1 : jump two }',
    'meta mark set ip daddr map { 10.0.0.1 : 0x1, 10.0.0.2 : 0x2 }',
    'iifname vmap { "lan" : jump two, "wan" : drop }',
  ),
);
const NOT_IN: Readonly<Record<string, RegExp>> = { one: /jump one/, two: /jump|goto/ };
const rule = fc.tuple(fc.array(match, { maxLength: 2 }), action).map(([m, a]) => [...m, a].join(' '));

function rules(chain: string, max: number): fc.Arbitrary<string[]> {
  return fc.array(
    rule.filter((r) => !(NOT_IN[chain]?.test(r) ?? false)),
    { maxLength: max },
  );
}

const ruleset = fc
  .record({
    pre: rules('pre', 2).map((l) => l.filter((r) => !/oif|reject/.test(r))),
    one: rules('one', 3),
    two: rules('two', 3),
    forward: rules('forward', 5),
    nat: fc.array(
      pick(
        'tcp dport 80 dnat to 10.0.0.2',
        'ip daddr 10.0.0.1 tcp dport 22 dnat to 10.0.1.1:23',
        'dnat to tcp dport map { 443 : 10.0.0.1, 80 : 10.0.0.2 }',
        'iifname "wan" accept',
      ),
      { maxLength: 2 },
    ),
    policy: pick('accept', 'drop'),
    two_tables: fc.boolean(),
  })
  .map(({ pre, one, two, forward, nat, policy, two_tables }) => {
    const chain = (name: string, base: string, list: readonly string[]): string =>
      `chain ${name} { ${base} ${list.join('; ')}; }\n`;
    return `table inet t {\n${chain(
      'two',
      '',
      two.filter((r) => !/reject/.test(r)),
    )}${chain(
      'one',
      '',
      one.filter((r) => !/reject/.test(r)),
    )}
      ${chain(
        'pre',
        'type filter hook prerouting priority mangle;',
        pre.filter((r) => !/jump|goto/.test(r)),
      )}
      ${chain('fwd', `type filter hook forward priority 0; policy ${policy};`, forward)} }
      ${nat.length > 0 ? `table ip n { ${chain('pre', 'type nat hook prerouting priority dstnat;', nat)} }` : ''}
      ${two_tables ? 'table ip u { chain f { type filter hook forward priority 10; tcp dport 23 drop; meta mark 0x2 ip daddr 10.0.0.2 drop; } }' : ''}`;
  });

type Reasoned = { readonly space: Space; readonly world: World; readonly treatments: readonly Treatment[] };

function reason(sides: readonly Side[], name: string): Reasoned | undefined {
  const space = new Space(sides);
  const natures = new Natures(space.reader);
  const world = worldsOf(sides).find((w) => w.name === name);
  if (world === undefined) return undefined;
  const chains = new Chains(natures);
  return { space, world, treatments: sides.map((s, i) => treat(space, chains, new Resources(String(i)), s, world)) };
}

type Small = { readonly values: ReadonlyMap<string, bigint> };

function address(text: string): bigint {
  return text.split('.').reduce((sum, part) => sum * 256n + BigInt(part), 0n);
}

/** Every packet of a small header space. */
function* packets(space: Space): Iterable<Small> {
  for (const state of [0n, 1n])
    for (const saddr of ADDRESSES)
      for (const daddr of ADDRESSES.slice(0, 3))
        for (const protocol of [6n, 17n])
          for (const dport of PORTS.slice(0, 3))
            for (const iif of ['lan', 'wan'])
              yield {
                values: new Map([
                  ['ct state', state],
                  ['ip saddr', address(saddr)],
                  ['ip daddr', address(daddr)],
                  ['protocol', protocol],
                  ['dport', BigInt(dport)],
                  ['sport', 23n],
                  ['iifname', BigInt(Math.max(0, space.ifaces.names.indexOf(iif)))],
                  ['ct mark', state],
                ]),
              };
}

function pointOf(space: Space, { values }: Small): Map<number, boolean> {
  const point = new Map<number, boolean>();
  for (const [name, value] of values) {
    const { first, width } = space.fields.field(name);
    for (let i = 0; i < width; i++) point.set(first + i, ((value >> BigInt(width - 1 - i)) & 1n) === 1n);
  }
  return point;
}

/** Runs every packet of the small space through a ruleset, and compares with what was reasoned. */
function check(text: string): void {
  const one = loaded('old', text);
  fc.pre(one !== undefined);
  if (one === undefined) return;
  const reasoned = reason([one], 'ip forward');
  if (reasoned === undefined) return;
  const { space, world, treatments } = reasoned;
  const [treatment] = treatments;
  const usual = usualPacket(space, world);
  for (const small of packets(space)) {
    const point = pointOf(space, small);
    const value = (level: number): boolean => point.get(level) ?? usual(level, point);
    const label = space.label(space.bdd.evaluate(treatment.outcome, value));
    const ran = execute(one, world, witnessOf(space, world, point, usual));
    const told = JSON.stringify([...small.values], (_, v) => (typeof v === 'bigint' ? String(v) : v));
    if (ran.unlike !== undefined) continue;
    expect(ran.accepted, `${text}\n${told} ${label}\n${JSON.stringify(ran.steps)}`).toBe(label === 'accept');
    if (!ran.accepted || ran.bytes === undefined) continue;
    const read = (name: string): number => {
      const { first, width } = space.fields.field(name);
      let out = 0;
      for (let i = 0; i < width; i++) out = out * 2 + space.bdd.evaluate(treatment.state.bit(first + i), value);
      return out;
    };
    const dv = new DataView(ran.bytes.buffer);
    const ctMark = tracks([one], 2) ? ran.ctMark : read('ct mark');
    const got = [ran.mark, ctMark, dv.getUint32(16), dv.getUint16(22)];
    expect(got, `${text}\n${told}`).toEqual([read('mark'), read('ct mark'), read('ip daddr'), read('dport')]);
  }
}

test('what is reasoned about every packet is what the interpreter does with it', () => {
  fc.assert(fc.property(ruleset, check), {
    numRuns: Number(process.env.NETLOOM_RUNS ?? 25),
    seed: Number(process.env.NETLOOM_SEED ?? 4),
  });
});

test('two rulesets are equal exactly when the interpreter treats every packet alike, and examples prove differences', () => {
  fc.assert(
    fc.property(ruleset, ruleset, fc.boolean(), (a, b, same) => {
      const [one, two] = [loaded('old', a), loaded('new', same ? a.replace('10.0.0.0/24', '10.0.0.0-10.0.0.255') : b)];
      fc.pre(one !== undefined && two !== undefined);
      if (one === undefined || two === undefined) return;
      const difference = compareSides(one, two, 'old', 'new');
      expect(difference.verdict).not.toBe('limit');
      for (const each of difference.classes)
        expect(wrong(each), `${a}\n--\n${b}\n${JSON.stringify(each, null, 1)}`).toBe(false);
      const world = worldsOf([one, two]).find((w) => w.name === 'ip forward');
      if (world === undefined) return;
      const space = new Space([one, two]);
      const usual = usualPacket(space, world);
      let unlike = false;
      for (const small of packets(space)) {
        const witness = witnessOf(space, world, pointOf(space, small), usual);
        const [x, y] = [execute(one, world, witness), execute(two, world, witness)];
        if (x.unlike !== undefined || y.unlike !== undefined) continue;
        unlike ||=
          x.accepted !== y.accepted || (x.accepted && (x.mark !== y.mark || x.bytes?.join() !== y.bytes?.join()));
      }
      if (unlike) expect(difference.verdict, `${a}\n--\n${b}`).toBe('different');
      if (same) expect(difference.verdict, a).toBe('equal');
    }),
    { numRuns: Number(process.env.NETLOOM_RUNS ?? 12), seed: Number(process.env.NETLOOM_SEED ?? 5) },
  );
});

/** An example that was run and did not show the difference, for no reason. */
function wrong({ example }: DifferenceClass): boolean {
  return !example.confirmed && !/cannot be made|no such connection|rests on/.test(example.why ?? '');
}
