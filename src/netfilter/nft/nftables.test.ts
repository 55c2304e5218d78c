import fc from 'fast-check';
import { expect, test } from 'vitest';
import { EBUSY, EEXIST, EMLINK, ENOENT, KernelError } from '../../core/errno.ts';
import { PKT_TRACE } from '../../core/slab.ts';
import type { TraceEvent } from '../../core/trace.ts';
import { World } from '../../core/world.ts';
import { AttrWriter, attrMap } from '../../wire/netlink/attr.ts';
import { NF_ACCEPT, NF_DROP, NF_INET_PRE_ROUTING, NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { answer, change } from './api/dispatch.ts';
import { BareHost } from './bare-host.ts';
import type { Transaction } from './transaction.ts';

type Fill = (w: AttrWriter) => void;
type Step = { type: number; flags: number; fill: Fill };

const create = NLM_F_CREATE | NLM_F_APPEND;

const table = (name: string): Step => ({
  type: U.NFT_MSG_NEWTABLE,
  flags: create,
  fill: (w) => w.string(U.NFTA_TABLE_NAME, name),
});

const chain = (name: string, policy?: number): Step => ({
  type: U.NFT_MSG_NEWCHAIN,
  flags: create,
  fill(w) {
    w.string(U.NFTA_CHAIN_TABLE, 't').string(U.NFTA_CHAIN_NAME, name);
    if (policy === undefined) return;
    w.nest(U.NFTA_CHAIN_HOOK, (h) => h.beU32(U.NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING).beU32(U.NFTA_HOOK_PRIORITY, 0));
    w.beU32(U.NFTA_CHAIN_POLICY, policy).string(U.NFTA_CHAIN_TYPE, 'filter');
  },
});

const expr = (w: AttrWriter, name: string, data: Fill): AttrWriter =>
  w.nest(U.NFTA_LIST_ELEM, (e) => e.string(U.NFTA_EXPR_NAME, name).nest(U.NFTA_EXPR_DATA, data));

const verdict = (code: number, to?: string): Fill => {
  return (w) =>
    expr(w, 'immediate', (d) =>
      d.beU32(U.NFTA_IMMEDIATE_DREG, 0).nest(U.NFTA_IMMEDIATE_DATA, (v) =>
        v.nest(U.NFTA_DATA_VERDICT, (n) => {
          n.beU32(U.NFTA_VERDICT_CODE, code);
          if (to !== undefined) n.string(U.NFTA_VERDICT_CHAIN, to);
        }),
      ),
    );
};

/** "The byte behind the IPv4 header's TTL field is `protocol`", then `then`. */
const ifProtocol = (protocol: number, then: Fill): Fill => {
  return (w) => {
    expr(w, 'payload', (d) =>
      d
        .beU32(U.NFTA_PAYLOAD_DREG, 1)
        .beU32(U.NFTA_PAYLOAD_BASE, U.NFT_PAYLOAD_NETWORK_HEADER)
        .beU32(U.NFTA_PAYLOAD_OFFSET, 9)
        .beU32(U.NFTA_PAYLOAD_LEN, 1),
    );
    expr(w, 'cmp', (d) =>
      d
        .beU32(U.NFTA_CMP_SREG, 1)
        .beU32(U.NFTA_CMP_OP, U.NFT_CMP_EQ)
        .nest(U.NFTA_CMP_DATA, (v) => v.bytes(U.NFTA_DATA_VALUE, Uint8Array.of(protocol))),
    );
    then(w);
  };
};

const rule = (name: string, ...exprs: Fill[]): Step => ({
  type: U.NFT_MSG_NEWRULE,
  flags: create,
  fill(w) {
    w.string(U.NFTA_RULE_TABLE, 't').string(U.NFTA_RULE_CHAIN, name);
    w.nest(U.NFTA_RULE_EXPRESSIONS, (list) => {
      for (const e of exprs) e(list);
    });
  },
});

const remove = (type: number, fill: Fill): Step => ({ type, flags: 0, fill });

/** A host and a short way to batches. */
class Bench {
  readonly world: World = new World({ slots: 16, largeSlots: 1 });
  readonly host: BareHost = new BareHost(this.world, [{ name: 'lo' }, { name: 'eth0' }]);
  readonly events: TraceEvent[] = [];

  constructor() {
    this.world.tracer = (event): void => {
      this.events.push(event);
    };
  }

  #step(tx: Transaction, s: Step): void {
    const w = new AttrWriter();
    s.fill(w);
    change(this.host.nft, tx, {
      type: s.type,
      flags: s.flags,
      seq: 1,
      family: NFPROTO_IPV4,
      attrs: attrMap(w.finish()),
    });
  }

  /** 0, or the errno for which all of it was taken back. */
  batch(...steps: Step[]): number {
    const tx = this.host.nft.begin();
    try {
      for (const s of steps) this.#step(tx, s);
      this.host.nft.validate();
    } catch (error) {
      tx.abort();
      if (error instanceof KernelError) return error.errno;
      throw error;
    }
    this.host.nft.commit(tx);
    return 0;
  }

  /** Everything that can be asked for, but the generation number. */
  dump(): string {
    const out: string[] = [];
    for (const type of [U.NFT_MSG_GETTABLE, U.NFT_MSG_GETCHAIN, U.NFT_MSG_GETRULE, U.NFT_MSG_GETSET]) {
      const req = { type, flags: NLM_F_DUMP, seq: 1, family: 0, attrs: new Map() };
      for (const m of answer(this.host.nft, req)) out.push(Buffer.from(m.payload.subarray(4)).toString('hex'));
    }
    return out.join('\n');
  }

  /** The verdict of PRE_ROUTING on an IPv4 packet of `protocol`. */
  send(protocol: number): number {
    const packet = Uint8Array.of(0x45, 0, 0, 24, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 1, 2, 3, 4);
    const { slab } = this.world;
    const p = slab.from(packet);
    slab.setNetwork(p, slab.head(p));
    slab.setFlags(p, PKT_TRACE);
    const answer = this.host.hooks.run(NFPROTO_IPV4, NF_INET_PRE_ROUTING, p, 2, 0);
    if (answer === NF_ACCEPT) slab.free(p);
    return answer;
  }
}

test('jump comes back behind itself, goto does not, return ends a chain early', () => {
  const bench = new Bench();
  expect(
    bench.batch(
      table('t'),
      chain('side'),
      chain('away'),
      chain('c', NF_DROP),
      rule('side', ifProtocol(6, verdict(NF_ACCEPT))),
      rule('side', ifProtocol(1, verdict(U.NFT_RETURN))),
      rule('side', ifProtocol(1, verdict(NF_DROP))),
      rule('away', ifProtocol(17, verdict(NF_ACCEPT))),
      rule('c', verdict(U.NFT_JUMP, 'side')),
      rule('c', ifProtocol(1, verdict(NF_ACCEPT))),
      rule('c', verdict(U.NFT_GOTO, 'away')),
      rule('c', verdict(NF_ACCEPT)),
    ),
  ).toBe(0);
  expect(bench.send(6)).toBe(NF_ACCEPT);
  expect(bench.send(1)).toBe(NF_ACCEPT);
  expect(bench.send(17)).toBe(NF_ACCEPT);
  // Behind a goto the base chain's policy follows, not its next rule.
  expect(bench.send(50)).toBe(NF_DROP);
  expect(bench.world.slab.used).toBe(0);
});

test('a traced packet tells which rules matched, in order, and the policy', () => {
  const bench = new Bench();
  bench.batch(table('t'), chain('side'), chain('c', NF_DROP), rule('side', ifProtocol(6, verdict(NF_ACCEPT))));
  bench.batch(rule('c', verdict(U.NFT_JUMP, 'side')));
  bench.send(17);
  const told = bench.events.flatMap((e) =>
    e.kind === 'rule' || e.kind === 'policy' ? [`${e.kind} ${e.table} ${e.chain} ${e.verdict}`] : [],
  );
  expect(told).toEqual(['rule t c jump side', 'policy t c drop']);
  expect(bench.events.at(-1)).toMatchObject({ kind: 'drop' });
});

test('a batch with an error changes nothing', () => {
  const bench = new Bench();
  bench.batch(table('a'), table('t'), chain('x'), chain('c', NF_ACCEPT), rule('c', verdict(U.NFT_JUMP, 'x')));
  const before = bench.dump();
  const missing = rule('c', verdict(U.NFT_JUMP, 'nowhere'));
  expect(
    bench.batch(
      remove(U.NFT_MSG_DELTABLE, () => {}),
      table('n'),
      missing,
    ),
  ).toBe(ENOENT);
  expect(bench.dump()).toBe(before);
  expect(bench.batch(rule('x', verdict(NF_DROP)), chain('y'), rule('y', verdict(U.NFT_GOTO, 'x')), missing)).toBe(
    ENOENT,
  );
  expect(bench.dump()).toBe(before);
  expect(bench.batch({ ...table('t'), flags: NLM_F_CREATE | NLM_F_EXCL })).toBe(EEXIST);
  expect(bench.dump()).toBe(before);
});

test('a chain that is jumped to cannot be deleted', () => {
  const bench = new Bench();
  bench.batch(table('t'), chain('x'), chain('c', NF_ACCEPT), rule('c', verdict(U.NFT_JUMP, 'x')));
  const gone = remove(U.NFT_MSG_DELCHAIN, (w) => w.string(U.NFTA_CHAIN_TABLE, 't').string(U.NFTA_CHAIN_NAME, 'x'));
  expect(bench.batch(gone)).toBe(EBUSY);
  const flush = remove(U.NFT_MSG_DELRULE, (w) => w.string(U.NFTA_RULE_TABLE, 't').string(U.NFTA_RULE_CHAIN, 'c'));
  expect(bench.batch(flush, gone)).toBe(0);
});

test('a circle of jumps that a packet could enter is refused', () => {
  const bench = new Bench();
  const circle = [rule('x', verdict(U.NFT_JUMP, 'y')), rule('y', verdict(U.NFT_JUMP, 'x'))];
  expect(bench.batch(table('t'), chain('x'), chain('y'), ...circle)).toBe(0);
  expect(bench.batch(chain('c', NF_ACCEPT), rule('c', verdict(U.NFT_JUMP, 'x')))).toBe(EMLINK);
  expect(bench.batch(chain('c', NF_ACCEPT))).toBe(0);
});

test('whatever a batch did, an error at its end takes all of it back', () => {
  const name = fc.constantFrom('a', 'b', 'd');
  const step = fc.oneof(
    name.map((n) => chain(n)),
    fc.tuple(name, name).map(([a, b]) => rule(a, verdict(U.NFT_JUMP, b))),
    name.map((n) => rule(n, verdict(NF_DROP))),
    name.map((n) => remove(U.NFT_MSG_DELRULE, (w) => w.string(U.NFTA_RULE_TABLE, 't').string(U.NFTA_RULE_CHAIN, n))),
    name.map((n) => remove(U.NFT_MSG_DELCHAIN, (w) => w.string(U.NFTA_CHAIN_TABLE, 't').string(U.NFTA_CHAIN_NAME, n))),
    fc.constant(remove(U.NFT_MSG_DELTABLE, (w) => w.string(U.NFTA_TABLE_NAME, 't'))),
    fc.constant(table('t')),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 8 }), fc.array(step, { maxLength: 8 }), (first, second) => {
      const bench = new Bench();
      bench.batch(table('t'));
      for (const s of first) bench.batch(s);
      const before = bench.dump();
      const end = remove(U.NFT_MSG_DELTABLE, (w) => w.string(U.NFTA_TABLE_NAME, 'no such table'));
      expect(bench.batch(...second, end)).not.toBe(0);
      expect(bench.dump()).toBe(before);
    }),
    { numRuns: 200 },
  );
});
