/** What each kernel expression means for all packets at once; the kinds of expressions that decide, write or share state. */
import type { Expr } from '../../netfilter/nft/expr.ts';
import type { Chain } from '../../netfilter/nft/model.ts';
import type { NftSet } from '../../netfilter/nft/set/set.ts';
import { NFPROTO_IPV4 } from '../../wire/uapi/netfilter.ts';
import * as U from '../../wire/uapi/nf-tables.ts';
import { FALSE, type Node, TRUE } from './bdd.ts';
import { ctLoad, ctStore, hasEntry, notrack } from './conntrack.ts';
import { isIp, type RuleRun } from './context.ts';
import { exthdrLoad, fibLoad, metaLoad, payloadBits, payloadLoad, payloadThere, unknownLoad } from './expr-load.ts';
import { masqExpr, natExpr, redirExpr } from './nat.ts';
import { effect, rejectLabel } from './outcomes.ts';
import type { ExprData } from './read.ts';
import { lookupIn, memberOf } from './sets.ts';
import { above, between, equals, swapped } from './vector.ts';
import { xtMatch } from './xt-match.ts';
import { xtTarget } from './xt-target.ts';

/** Goes on with the packets of a verdict: made by the chain evaluator. */
export type VerdictOf = (code: number, chain: Chain | undefined) => Node;

type Handler = (run: RuleRun, data: ExprData, expr: Expr, verdict: VerdictOf) => void;

function cmp(run: RuleRun, data: ExprData): void {
  const { bdd } = run.space;
  const value = data.value(U.NFTA_CMP_DATA);
  const vec = run.read(data.register(U.NFTA_CMP_SREG), value.length);
  switch (data.u32(U.NFTA_CMP_OP)) {
    case U.NFT_CMP_EQ:
      return run.require(equals(bdd, vec, value));
    case U.NFT_CMP_NEQ:
      return run.require(bdd.not(equals(bdd, vec, value)));
    case U.NFT_CMP_LT:
      return run.require(bdd.not(above(bdd, vec, value)));
    case U.NFT_CMP_LTE:
      return run.require(bdd.not(above(bdd, vec, value, true)));
    case U.NFT_CMP_GT:
      return run.require(above(bdd, vec, value, true));
    default:
      return run.require(above(bdd, vec, value));
  }
}

function range(run: RuleRun, data: ExprData): void {
  const low = data.value(U.NFTA_RANGE_FROM_DATA);
  const inside = between(
    run.space.bdd,
    run.read(data.register(U.NFTA_RANGE_SREG), low.length),
    low,
    data.value(U.NFTA_RANGE_TO_DATA),
  );
  run.require(data.u32(U.NFTA_RANGE_OP) === U.NFT_RANGE_NEQ ? run.space.bdd.not(inside) : inside);
}

function bitwise(run: RuleRun, data: ExprData): void {
  const { bdd } = run.space;
  const length = data.u32(U.NFTA_BITWISE_LEN);
  const vec = run.read(data.register(U.NFTA_BITWISE_SREG), length);
  const to = data.register(U.NFTA_BITWISE_DREG);
  const op = data.u32(U.NFTA_BITWISE_OP);
  if (op === 0) {
    const mask = data.value(U.NFTA_BITWISE_MASK);
    const xor = data.value(U.NFTA_BITWISE_XOR);
    const bit = (bytes: Uint8Array, i: number): boolean => ((bytes[i >> 3] >> (7 - (i & 7))) & 1) === 1;
    const out = vec.map((node, i) => {
      const masked = bit(mask, i) ? node : FALSE;
      return bit(xor, i) ? bdd.not(masked) : masked;
    });
    store(run, to, out);
    return;
  }
  const amount = data.value(U.NFTA_BITWISE_DATA);
  if ((op !== U.NFT_BITWISE_LSHIFT && op !== U.NFT_BITWISE_RSHIFT) || amount.length !== 4) {
    unknownLoad(run, data, U.NFTA_BITWISE_DREG, length, 'bitwise operations on two registers');
    return;
  }
  // Words are in host order, the first word being the most significant one.
  const shift = new DataView(amount.buffer, amount.byteOffset).getUint32(0, true);
  const flat: Node[] = [];
  for (let at = 0; at < vec.length; at += 32) flat.push(...swapped(vec.slice(at, at + 32)));
  const moved = flat.map((_, i) => flat[op === U.NFT_BITWISE_LSHIFT ? i + shift : i - shift] ?? FALSE);
  const out: Node[] = [];
  for (let at = 0; at < moved.length; at += 32) out.push(...swapped(moved.slice(at, at + 32)));
  store(run, to, out);
}

/** Writes to a register without touching what lies behind. */
function store(run: RuleRun, to: number, vec: readonly Node[]): void {
  const padded = (32 - (vec.length % 32)) % 32;
  if (padded === 0) run.load(to, vec);
  else run.load(to, [...vec, ...run.read(to + vec.length / 8, padded / 8)]);
}

function byteorder(run: RuleRun, data: ExprData): void {
  const length = data.u32(U.NFTA_BYTEORDER_LEN);
  const size = data.u32(U.NFTA_BYTEORDER_SIZE);
  const vec = run.read(data.register(U.NFTA_BYTEORDER_SREG), length);
  const out: Node[] = [];
  for (let at = 0; at + size <= length; at += size) out.push(...swapped(vec.slice(at * 8, (at + size) * 8)));
  store(run, data.register(U.NFTA_BYTEORDER_DREG), [...out, ...vec.slice(out.length)]);
}

function immediate(run: RuleRun, data: ExprData, _expr: Expr, verdict: VerdictOf): void {
  const to = data.register(U.NFTA_IMMEDIATE_DREG);
  if (to >= 0) {
    const value = data.value(U.NFTA_IMMEDIATE_DATA);
    run.load(
      to,
      Array.from({ length: value.length * 8 }, (_, i) => (((value[i >> 3] >> (7 - (i & 7))) & 1) === 1 ? TRUE : FALSE)),
    );
    return;
  }
  const v = data.verdict(U.NFTA_IMMEDIATE_DATA, run.chain.table);
  if (v === undefined) return;
  if (v.code === U.NFT_BREAK) run.require(FALSE);
  else if (v.code !== U.NFT_CONTINUE) {
    run.decide(verdict(v.code, v.chain));
    run.require(FALSE);
  }
}

/** Expressions that answer from state which packets change. */
const STATEFUL: readonly string[] = ['limit', 'quota', 'connlimit', 'numgen', 'dynset'];

export function isStateful(name: string): boolean {
  return STATEFUL.includes(name);
}

/** Elements that packets put in or take out, or that have limits of their own. */
export function isDynamic(set: NftSet): boolean {
  if (set.exprs.some((e) => isStateful(e.name))) return true;
  for (const element of set.backend.elements()) {
    if (element.exprs.some((e) => isStateful(e.name))) return true;
    if (element.exprs.length === 0) break;
  }
  return (set.flags & U.NFT_SET_EVAL) !== 0;
}

function lookup(run: RuleRun, data: ExprData, _expr: Expr, verdict: VerdictOf): void {
  const { space, chain } = run;
  const { bdd, none } = space;
  const set = chain.table.sets.get(data.text(U.NFTA_LOOKUP_SET));
  if (set === undefined) return;
  const key = run.read(data.register(U.NFTA_LOOKUP_SREG), set.keyLength);
  const invert = (data.u32(U.NFTA_LOOKUP_FLAGS) & U.NFT_LOOKUP_F_INV) !== 0;
  const to = data.register(U.NFTA_LOOKUP_DREG);
  if (isDynamic(set)) {
    dynamicLookup(run, set, key, invert, to, data);
    return;
  }
  if (!data.has(U.NFTA_LOOKUP_DREG)) {
    const member = memberOf(space, set, key);
    run.require(invert ? bdd.not(member) : member);
    return;
  }
  if (to < 0) {
    // A verdict map: one choice per verdict, then what each verdict does.
    const choices: { code: number; chain: Chain | undefined }[] = [];
    const chosen = lookupIn(
      space,
      set,
      key,
      ({ verdict: v }) => {
        const { code, chain: target } = v ?? { code: U.NFT_CONTINUE, chain: undefined };
        let at = choices.findIndex((c) => c.code === code && c.chain === target);
        if (at < 0) at = choices.push({ code, chain: target }) - 1;
        return space.local(at);
      },
      none,
    );
    run.require(bdd.not(bdd.is(chosen, none)));
    const whole = run.match;
    let through: Node = FALSE;
    choices.forEach(({ code, chain: target }, n) => {
      const here = bdd.and(whole, bdd.is(chosen, space.local(n)));
      if (code === U.NFT_CONTINUE) {
        through = bdd.or(through, here);
        return;
      }
      if (code === U.NFT_BREAK) return;
      run.match = here;
      run.decide(verdict(code, target));
    });
    run.match = through;
    return;
  }
  mapData(run, set, key, to);
}

/** The data of a map: each bit is a function of the key. */
function mapData(run: RuleRun, set: NftSet, key: readonly Node[], to: number): void {
  const { space } = run;
  const { bdd, none } = space;
  const values: Uint8Array[] = [];
  const numbers = new Map<string, number>();
  const chosen = lookupIn(
    space,
    set,
    key,
    ({ data }) => {
      const bytes = data ?? new Uint8Array(set.dataLength);
      const text = bytes.join();
      let n = numbers.get(text);
      if (n === undefined) {
        n = values.push(bytes) - 1;
        numbers.set(text, n);
      }
      return space.local(n);
    },
    none,
  );
  run.require(bdd.not(bdd.is(chosen, none)));
  const index = new Map(values.map((_, n) => [space.local(n), n]));
  run.load(
    to,
    Array.from({ length: set.dataLength * 8 }, (_, bit) =>
      bdd.map(chosen, (t) => {
        const n = index.get(t);
        return n !== undefined && ((values[n][bit >> 3] >> (7 - (bit & 7))) & 1) === 1 ? TRUE : FALSE;
      }),
    ),
  );
}

/** What a set is, apart from its name. */
function setSettings(set: NftSet): string {
  const elements = [...set.backend.elements()].map(
    (e) => `${e.key.join()}-${e.keyEnd?.join() ?? ''}=${e.data?.join() ?? ''}`,
  );
  return `set ${set.flags} ${set.keyLength} ${set.timeoutMs} ${set.maxSize} ${set.exprs.map((e) => e.name).join()} ${elements.sort().join(';')}`;
}

/** Asks a set that packets change. */
function dynamicLookup(
  run: RuleRun,
  set: NftSet,
  key: readonly Node[],
  invert: boolean,
  to: number,
  data: ExprData,
): void {
  const { space, place } = run;
  const use = `lookup ${space.intern(key)} ${place.world}`;
  const name = place.resources.use(space, set, `set ${set.name}`, setSettings(set), use, run.here());
  const why = `set ${set.name}, which packets change`;
  const member = space.opaqueFlag(name, `in set @${set.name}`, why);
  run.require(invert ? space.bdd.not(member) : member);
  if (to >= 0) run.load(to, space.opaque(`${name} data`, `data of map @${set.name}`, set.dataLength * 8, why));
  else if (data.has(U.NFTA_LOOKUP_DREG)) {
    run.decide(space.outcome(`what map @${set.name} says`));
  }
}

function dynset(run: RuleRun, data: ExprData): void {
  const { space, place } = run;
  const set = run.chain.table.sets.get(data.text(U.NFTA_DYNSET_SET_NAME));
  if (set === undefined) return;
  const key = run.read(data.register(U.NFTA_DYNSET_SREG_KEY), set.keyLength);
  // The dump without the set's name: two sets may differ in that.
  const parts = [...data.attrs].filter(([type]) => type !== U.NFTA_DYNSET_SET_NAME).map(([, a]) => a.payload.join());
  const use = `dynset ${parts.join(';')} ${space.intern(key)} ${place.world}`;
  const name = place.resources.use(space, set, `set ${set.name}`, setSettings(set), use, run.here());
  run.require(space.opaqueFlag(name, `@${set.name} took the element`, `set ${set.name}, which packets change`));
}

const UNITS: ReadonlyMap<number, string> = new Map([
  [1, 'second'],
  [60, 'minute'],
  [3600, 'hour'],
  [86400, 'day'],
  [604800, 'week'],
]);

/** limit, quota, connlimit: passes or not, by what came before. */
function stateful(run: RuleRun, data: ExprData, expr: Expr): void {
  const { space, place } = run;
  const label =
    data.name === 'limit' && data.u32(U.NFTA_LIMIT_TYPE) === 0
      ? `limit rate ${data.u32(U.NFTA_LIMIT_FLAGS) & 1 ? 'over ' : ''}${big(data.bytes(U.NFTA_LIMIT_RATE))}/${UNITS.get(big(data.bytes(U.NFTA_LIMIT_UNIT))) ?? 'time'} passes`
      : `${data.name} passes`;
  const name = place.resources.use(space, expr, data.name, settingsOf(data), place.world, run.here());
  run.require(space.opaqueFlag(name, label, `${data.name}: it depends on the packets before`));
}

/** What a stateful expression was made with, without what it has counted. */
function settingsOf(data: ExprData): string {
  const skip = data.name === 'quota' ? [U.NFTA_QUOTA_CONSUMED] : [];
  return [
    data.name,
    ...[...data.attrs].filter(([t]) => !skip.includes(t)).map(([t, a]) => `${t}=${a.payload.join()}`),
  ].join(' ');
}

function big(bytes: Uint8Array): number {
  return bytes.reduce((sum, b) => sum * 256 + b, 0);
}

function numgen(run: RuleRun, data: ExprData, expr: Expr): void {
  const { space, place } = run;
  const name = place.resources.use(space, expr, 'numgen', settingsOf(data), place.world, run.here());
  const vec = space.opaque(name, 'numgen', 32, 'numgen: counters and random numbers', 'number');
  run.load(data.register(U.NFTA_NG_DREG), swapped(vec));
}

/** A named object used by name or by a map: limits and quotas answer, others do something to the connection. */
function objref(run: RuleRun, data: ExprData): void {
  const { space, place, chain } = run;
  const type = data.u32(U.NFTA_OBJREF_IMM_TYPE);
  if (data.has(U.NFTA_OBJREF_SET_SREG)) {
    const set = chain.table.sets.get(data.text(U.NFTA_OBJREF_SET_NAME));
    if (set === undefined) return;
    const key = run.read(data.register(U.NFTA_OBJREF_SET_SREG), set.keyLength);
    run.require(memberOf(space, set, key));
    if (set.objectType === 1) return;
    effect(run, `objects of map @${set.name} ${setSettings(set)}`);
    return;
  }
  const object = [...chain.table.objects.values()].find(
    (o) => o.type === type && o.name === data.text(U.NFTA_OBJREF_IMM_NAME),
  );
  if (object === undefined || type === 1) return;
  const settings = space.reader.read(object.impl);
  if (isStateful(object.impl.name)) {
    const name = place.resources.use(space, object, object.name, settingsOf(settings), place.world, run.here());
    run.require(
      space.opaqueFlag(
        name,
        `${object.impl.name} "${object.name}" passes`,
        `${object.impl.name}: it depends on the packets before`,
      ),
    );
    return;
  }
  run.state = run.state.set(
    space.bdd.and(run.here(), hasEntry(place, run.state)),
    space.fields.written(`effect ${object.impl.name} ${settings.key}`),
    [TRUE],
  );
}

function payload(run: RuleRun, data: ExprData): void {
  if (!data.has(U.NFTA_PAYLOAD_SREG)) {
    payloadLoad(run, data);
    return;
  }
  const base = data.u32(U.NFTA_PAYLOAD_BASE);
  const offset = data.u32(U.NFTA_PAYLOAD_OFFSET);
  const length = data.u32(U.NFTA_PAYLOAD_LEN);
  const bits = payloadBits(run, base, offset, length);
  const value = run.read(data.register(U.NFTA_PAYLOAD_SREG), length);
  run.require(payloadThere(run, base, offset, length, false));
  if (bits === undefined || bits.some((b) => b < 0)) {
    effect(run, `payload set ${base},${offset * 8},${length * 8} to ${run.space.intern(value)}`);
    return;
  }
  run.state = run.state.write(run.here(), bits, value);
}

function meta(run: RuleRun, data: ExprData): void {
  if (!data.has(U.NFTA_META_SREG)) {
    metaLoad(run, data);
    return;
  }
  const { fields } = run.space;
  const key = data.u32(U.NFTA_META_KEY);
  const from = data.register(U.NFTA_META_SREG);
  const here = run.here();
  if (key === U.NFT_META_MARK) run.state = run.state.set(here, fields.field('mark'), swapped(run.read(from, 4)));
  else if (key === U.NFT_META_PRIORITY)
    run.state = run.state.set(here, fields.field('priority'), swapped(run.read(from, 4)));
  else if (key === U.NFT_META_PKTTYPE)
    run.state = run.state.set(here, fields.written('pkttype set', 8, 'number'), run.read(from, 1));
  else if (key !== U.NFT_META_NFTRACE)
    run.state = run.state.set(here, fields.written(`meta ${key}`, 32, 'hex'), run.read(from, 4));
}

function exthdr(run: RuleRun, data: ExprData): void {
  if (data.has(U.NFTA_EXTHDR_DREG)) {
    exthdrLoad(run, data);
    return;
  }
  const { space } = run;
  const name = `tcp option ${data.u8(U.NFTA_EXTHDR_TYPE)}`;
  const from = data.register(U.NFTA_EXTHDR_SREG);
  const value =
    from < 0
      ? 'reset'
      : `${data.u32(U.NFTA_EXTHDR_OFFSET)} ${space.intern(run.read(from, data.u32(U.NFTA_EXTHDR_LEN)))}`;
  effect(run, `${name} set ${value}`);
  run.state = run.state.set(run.here(), space.fields.written(`changed ${name}`), [TRUE]);
}

const ICMPX4: readonly number[] = [0, 3, 1, 13];
const ICMPX6: readonly number[] = [0, 4, 3, 1];

function reject(run: RuleRun, data: ExprData): void {
  const { space, place } = run;
  const type = data.u32(U.NFTA_REJECT_TYPE);
  const code = data.u8(U.NFTA_REJECT_ICMP_CODE);
  if (!isIp(place)) {
    run.decide(space.drop);
    return;
  }
  const mapped = type === U.NFT_REJECT_ICMPX_UNREACH ? (place.l3 === NFPROTO_IPV4 ? ICMPX4 : ICMPX6)[code] : code;
  run.decide(space.outcome(rejectLabel(place.l3, type === U.NFT_REJECT_TCP_RST, mapped)));
}

function queue(run: RuleRun, data: ExprData): void {
  run.decide(run.space.outcome(`queue ${data.key.slice(6)}`));
}

const nothing: Handler = () => {};

/** Takes the packet away from its path: the outcome names what it was made with. */
function takes(run: RuleRun, data: ExprData): void {
  const registers = [U.NFTA_FWD_SREG_DEV, U.NFTA_FWD_SREG_ADDR].map((r) => data.register(r)).filter((r) => r >= 0);
  const values = registers.map((r) => run.space.intern(run.read(r, 4))).join(' ');
  if (data.name === 'fwd') run.decide(run.space.outcome(`fwd ${values}`));
  else effect(run, `${data.name} ${values}`);
}

const HANDLERS: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ['cmp', cmp],
  ['range', range],
  ['bitwise', bitwise],
  ['byteorder', byteorder],
  ['immediate', immediate],
  ['lookup', lookup],
  ['payload', payload],
  ['meta', meta],
  ['ct', (run, data) => (data.has(U.NFTA_CT_SREG) ? ctStore(run, data) : ctLoad(run, data))],
  ['fib', fibLoad],
  ['exthdr', exthdr],
  ['counter', nothing],
  ['last', nothing],
  ['log', nothing],
  ['limit', stateful],
  ['quota', stateful],
  ['connlimit', stateful],
  ['numgen', numgen],
  ['dynset', dynset],
  ['objref', objref],
  ['reject', reject],
  ['queue', queue],
  ['notrack', notrack],
  ['nat', natExpr],
  ['masq', masqExpr],
  ['redir', redirExpr],
  ['match', xtMatch],
  ['target', xtTarget],
  ['dup', takes],
  ['fwd', takes],
  ['socket', (run, data) => unknownLoad(run, data, U.NFTA_SOCKET_DREG, 4, 'which sockets a host has')],
  ['rt', (run, data) => unknownLoad(run, data, U.NFTA_RT_DREG, 16, 'routes')],
  ['osf', (run, data) => unknownLoad(run, data, U.NFTA_OSF_DREG, 16, 'operating system fingerprints')],
  ['xfrm', (run, data) => unknownLoad(run, data, U.NFTA_XFRM_DREG, 16, 'IPsec states')],
  ['hash', hash],
]);

/** A hash is a function of its key, whatever it is. */
function hash(run: RuleRun, data: ExprData): void {
  const { space } = run;
  const from = data.register(U.NFTA_HASH_SREG);
  const key = from < 0 ? space.stateKey(run.state) : space.intern(run.read(from, data.u32(U.NFTA_HASH_LEN)));
  const rest = [...data.attrs]
    .filter(([t]) => t !== U.NFTA_HASH_SREG && t !== U.NFTA_HASH_DREG)
    .map(([t, a]) => `${t}=${a.payload.join()}`);
  run.load(
    data.register(U.NFTA_HASH_DREG),
    swapped(space.opaque(`hash ${rest.join()} ${key}`, 'hash', 32, 'values of hash functions', 'number')),
  );
}

/** Runs one expression of a rule. */
export function evaluate(run: RuleRun, data: ExprData, expr: Expr, verdict: VerdictOf): void {
  const handler = HANDLERS.get(data.name);
  if (handler !== undefined) {
    handler(run, data, expr, verdict);
    return;
  }
  // Unknown: it matches or not, by what it was made with and what the packet is; and it may do something.
  const { space, place } = run;
  const name = place.resources.use(
    space,
    expr,
    data.name,
    data.key,
    `${place.world} ${space.stateKey(run.state)}`,
    run.here(),
  );
  run.require(space.opaqueFlag(name, `${data.name} matches`, `${data.name} is not modelled`));
  effect(run, data.key);
}
