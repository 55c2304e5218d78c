/**
 * Kernel expressions of a rule back to statements of the language. Registers are followed through the rule; what a
 * comparison or a lookup ends becomes a match, everything else the statement it is.
 */
import * as U from '../../../wire/uapi/nf-tables.ts';
import type { ElementExpr, Expr, Family, NatStmt, RelOp, SetDecl, Stmt, ValueExpr } from '../ast.ts';
import * as dt from '../datatype.ts';
import type { KernelExpr, Reg, Verdict } from '../expr/types.ts';
import { ctKeys, metaKeys, rtKeys, socketKeys } from '../keys.ts';
import { BASE_TRANSPORT, tunnels } from '../proto.ts';
import { HeaderContext } from './context.ts';
import { fromExthdr } from './exthdr.ts';
import { fibExpr, xfrmExpr } from './keys.ts';
import { rawPayload } from './payload.ts';
import { completeExpr, finish, payloadSet, type Typing, typed } from './relational.ts';
import { rejectStmt, simpleStmt } from './statements.ts';

/** A set as rules refer to it: its declaration, with elements for anonymous ones. */
export type SetView = SetDecl & {
  readonly keyType: dt.Datatype;
  readonly dataType: dt.Datatype | undefined;
  /** Length of the key in bits. */
  readonly keyLen: number;
  readonly elementList: readonly ElementExpr[];
};

export type SetFinder = (name: string) => SetView | undefined;

const NF_DROP = 0;
const NF_ACCEPT = 1;
const NFPROTO_IPV4 = 2;

const word = (reg: Reg): number => (reg <= 4 ? reg * 4 : reg - 8 + 4);

/** Reads one rule. */
export class RuleReader {
  readonly #family: Family;
  readonly #sets: SetFinder;
  readonly #regs = new Map<number, Expr>();
  #stmts: Stmt[] = [];
  readonly #ctx: HeaderContext;

  constructor(family: Family, sets: SetFinder, release?: dt.Release) {
    this.#family = family;
    this.#sets = sets;
    const remove = (stmt: Stmt): void => {
      this.#stmts = this.#stmts.filter((s) => s !== stmt);
    };
    this.#ctx = new HeaderContext(family, remove, release);
  }

  /** The statements of the expressions. */
  read(exprs: readonly KernelExpr[]): Stmt[] {
    for (const e of exprs) this.#one(e);
    return this.#stmts;
  }

  #set(reg: Reg | undefined, e: Expr): void {
    if (reg !== undefined) this.#regs.set(word(reg), e);
  }

  #get(reg: Reg | undefined): Expr | undefined {
    return reg === undefined ? undefined : this.#regs.get(word(reg));
  }

  /** What lies in `len` bits from a register on: one expression, or a concatenation of several. */
  #key(reg: Reg, len: number): Expr | undefined {
    const first = this.#get(reg);
    if (first === undefined || (first.len ?? 0) >= len) return first;
    const parts: Expr[] = [];
    let at = word(reg);
    for (let left = len; left > 0; ) {
      const part = this.#regs.get(at);
      if (part === undefined) return first;
      parts.push(part);
      const bits = ((part.len || 32) + 31) & ~31;
      left -= bits;
      at += bits >> 5;
    }
    return parts.length === 1 ? parts[0] : { kind: 'concat', parts, len };
  }

  #push(stmt: Stmt): void {
    this.#stmts.push(stmt);
    if (stmt.kind !== 'expr') this.#ctx.fence();
  }

  /** A match: field names, types and the context's lessons are worked out here. */
  #match(left: Expr, op: RelOp, right: Expr): void {
    const typing: Typing = { ctx: this.#ctx.of(left), sets: this.#sets };
    for (const { stmt, learn } of finish(typing, left, op, right, this.#stmts)) {
      this.#push(stmt);
      learn?.(stmt);
    }
  }

  #complete(e: Expr): Expr {
    return completeExpr({ ctx: this.#ctx.of(e), sets: this.#sets }, e);
  }

  #one(e: KernelExpr): void {
    switch (e.name) {
      case 'immediate':
        if ('verdict' in e.data) this.#push({ kind: 'verdict', expr: verdictExpr(e.data.verdict) });
        else this.#set(e.dreg, constant(e.data.value));
        return;
      case 'payload':
        this.#payload(e);
        return;
      case 'exthdr':
        this.#exthdr(e);
        return;
      case 'inner':
        this.#inner(e);
        return;
      case 'meta':
        this.#meta(e);
        return;
      case 'ct':
        this.#ct(e);
        return;
      case 'rt': {
        const key = rtKeys.find((k) => k.key === e.key);
        this.#set(e.dreg, { kind: 'rt', key: e.key, type: key?.type, byteorder: key?.byteorder, len: key?.len });
        return;
      }
      case 'socket': {
        const key = socketKeys.find((k) => k.key === e.key);
        this.#set(e.dreg, {
          kind: 'socket',
          key: e.key,
          level: e.level,
          type: key?.type,
          byteorder: key?.byteorder,
          len: key?.len,
        });
        return;
      }
      case 'fib':
        this.#set(e.dreg, fibExpr(e.result, e.flags));
        return;
      case 'osf':
        this.#set(e.dreg, {
          kind: 'osf',
          ttl: e.ttl,
          version: (e.flags & 1) !== 0,
          type: dt.stringType,
          byteorder: 'host',
          len: 128,
        });
        return;
      case 'xfrm':
        this.#set(e.dreg, xfrmExpr(e.key, e.dir, e.spnum));
        return;
      case 'numgen':
        this.#set(e.dreg, {
          kind: 'numgen',
          mode: e.type,
          mod: e.modulus,
          offset: e.offset,
          type: dt.integerType,
          byteorder: 'host',
          len: 32,
        });
        return;
      case 'hash': {
        const operand = e.sreg === undefined ? undefined : this.#key(e.sreg, (e.len ?? 0) * 8);
        this.#set(e.dreg, {
          kind: 'hash',
          mode: e.type,
          operand: operand && this.#complete(operand),
          mod: e.modulus,
          seed: e.seed,
          offset: e.offset,
          type: dt.integerType,
          byteorder: 'host',
          len: 32,
        });
        return;
      }
      case 'bitwise':
        this.#bitwise(e);
        return;
      case 'byteorder': {
        const arg = this.#get(e.sreg);
        if (arg) this.#set(e.dreg, { ...arg, byteorder: e.op === U.NFT_BYTEORDER_HTON ? 'big' : 'host' } as Expr);
        return;
      }
      case 'cmp': {
        const left = this.#key(e.sreg, e.data.length * 8);
        if (left === undefined) return;
        this.#match(left, OPS[e.op] ?? '==', valueFor(left, e.data));
        return;
      }
      case 'range': {
        const left = this.#key(e.sreg, e.from.length * 8);
        if (left === undefined) return;
        const range: Expr = { kind: 'range', left: valueFor(left, e.from), right: valueFor(left, e.to) };
        this.#match(left, e.op === U.NFT_RANGE_NEQ ? '!=' : 'implicit', range);
        return;
      }
      case 'lookup':
        this.#lookup(e);
        return;
      case 'dynset':
        this.#dynset(e);
        return;
      case 'objref':
        this.#objref(e);
        return;
      case 'nat':
      case 'masq':
      case 'redir':
        this.#nat(e);
        return;
      case 'tproxy': {
        const addr = this.#get(e.addr);
        const port = this.#get(e.port);
        this.#push({
          kind: 'tproxy',
          family: e.family,
          addr: addr && typed(addr, e.family === NFPROTO_IPV4 ? dt.ipaddrType : dt.ip6addrType),
          port: port && typed(port, dt.inetServiceType),
        });
        return;
      }
      case 'queue': {
        const from = this.#get(e.sreg);
        const queue: Expr | undefined = from
          ? this.#complete(from)
          : e.total !== undefined && e.total > 1
            ? { kind: 'range', left: number(e.num ?? 0, 16), right: number((e.num ?? 0) + e.total - 1, 16) }
            : number(e.num ?? 0, 16);
        this.#push({ kind: 'queue', queue, flags: e.flags });
        return;
      }
      case 'dup': {
        const to = this.#get(e.addr);
        const dev = this.#get(e.dev);
        const address = this.#family === 'ip6' ? dt.ip6addrType : dt.ipaddrType;
        if (to) this.#push({ kind: 'dup', to: typed(to, address), dev: dev && typed(dev, dt.ifindexType) });
        else if (dev) this.#push({ kind: 'dup', to: typed(dev, dt.ifindexType) });
        return;
      }
      case 'fwd': {
        const dev = this.#get(e.dev);
        const addr = this.#get(e.addr);
        if (dev) {
          const address = e.nfproto === NFPROTO_IPV4 ? dt.ipaddrType : dt.ip6addrType;
          this.#push({
            kind: 'fwd',
            dev: typed(dev, dt.ifindexType),
            addr: addr && typed(addr, address),
            family: e.nfproto,
          });
        }
        return;
      }
      default: {
        const stmt = this.#reject(e) ?? simpleStmt(e);
        if (stmt) this.#push(stmt);
      }
    }
  }

  /** A load from the packet in a tunnel: the field belongs to that packet. */
  #inner(e: Extract<KernelExpr, { name: 'inner' }>): void {
    const tunnel = tunnels.find((desc) => desc.inner?.type === e.type);
    const { expr } = e;
    this.#one(expr);
    if (tunnel === undefined || (expr.name !== 'payload' && expr.name !== 'meta') || expr.dreg === undefined) return;
    const loaded = this.#get(expr.dreg);
    if (loaded?.kind !== 'payload' && loaded?.kind !== 'meta') return;
    this.#set(expr.dreg, { ...loaded, tunnel });
    this.#ctx.kill(BASE_TRANSPORT, true);
  }

  #payload(e: Extract<KernelExpr, { name: 'payload' }>): void {
    const target = rawPayload(e.base + 1, e.offset * 8, e.len * 8);
    if (e.dreg !== undefined) {
      this.#set(e.dreg, target);
      return;
    }
    const value = this.#get((e as { readonly sreg: Reg }).sreg);
    if (value === undefined) return;
    this.#push(payloadSet({ ctx: this.#ctx, sets: this.#sets }, target, value));
  }

  #exthdr(e: Extract<KernelExpr, { name: 'exthdr' }>): void {
    const target = fromExthdr(e);
    if (e.dreg !== undefined) {
      this.#set(e.dreg, target);
      return;
    }
    if (e.sreg === undefined) {
      this.#push({ kind: 'optstrip', target });
      return;
    }
    const value = this.#get(e.sreg);
    if (value)
      this.#push({
        kind: 'exthdrset',
        target,
        expr: typed(this.#complete(value), target.type ?? dt.integerType, 'big'),
      });
  }

  #meta(e: Extract<KernelExpr, { name: 'meta' }>): void {
    const key = metaKeys.find((k) => k.key === e.key);
    const type = key?.type ?? dt.integerType;
    if (e.dreg !== undefined) {
      this.#set(e.dreg, { kind: 'meta', key: e.key, type, byteorder: key?.byteorder, len: key?.len });
      return;
    }
    const value = this.#get(e.sreg);
    if (value) this.#push({ kind: 'metaset', key: e.key, expr: typed(this.#complete(value), type, key?.byteorder) });
  }

  #ct(e: Extract<KernelExpr, { name: 'ct' }>): void {
    const key = ctKeys.find((k) => k.key === e.key);
    const type = key?.type ?? dt.integerType;
    if (e.dreg !== undefined) {
      this.#set(e.dreg, {
        kind: 'ct',
        key: e.key,
        direction: e.direction,
        type,
        byteorder: key?.byteorder,
        len: key?.len,
      });
      return;
    }
    const value = this.#get(e.sreg);
    if (value) {
      this.#push({
        kind: 'ctset',
        key: e.key,
        direction: e.direction,
        expr: typed(this.#complete(value), type, key?.byteorder),
      });
    }
  }

  #bitwise(e: Extract<KernelExpr, { name: 'bitwise' }>): void {
    const left = this.#key(e.sreg, e.len * 8);
    if (left === undefined) return;
    const len = e.len * 8;
    const of = (value: bigint): ValueExpr => ({
      kind: 'value',
      value,
      type: left.type,
      byteorder: left.byteorder,
      len,
    });
    const common = { type: left.type, byteorder: left.byteorder, len: left.len } as const;
    if (e.op !== 0) {
      const shift = dt.importValue(e.data ?? new Uint8Array(4), 'host');
      const right: ValueExpr = { kind: 'value', value: shift, type: dt.integerType, byteorder: 'host', len: 32 };
      // What was shifted is a number of the host.
      const op = e.op === U.NFT_BITWISE_LSHIFT ? '<<' : '>>';
      this.#set(e.dreg, { kind: 'binary', op, left, right, ...common, byteorder: 'host' });
      return;
    }
    const order = left.byteorder === 'big' ? 'big' : 'host';
    const mask = dt.importValue(e.mask ?? new Uint8Array(0), order);
    const xor = dt.importValue(e.xor ?? new Uint8Array(0), order);
    const all = (1n << BigInt(len)) - 1n;
    // (x & mask) ^ xor, told apart into or, and, xor.
    const or = ~mask & all & xor;
    const flip = xor & mask;
    const and = (mask | or) & all;
    let out: Expr = left;
    if (and !== all) out = { kind: 'binary', op: '&', left: out, right: of(and), ...common };
    if (flip !== 0n) out = { kind: 'binary', op: '^', left: out, right: of(flip), ...common };
    if (or !== 0n) out = { kind: 'binary', op: '|', left: out, right: of(or), ...common };
    this.#set(e.dreg, out);
  }

  #lookup(e: Extract<KernelExpr, { name: 'lookup' }>): void {
    const set = this.#sets(e.set);
    const left = this.#key(e.sreg, set?.keyLen ?? 0);
    if (left === undefined) return;
    const right: Expr =
      set && set.flags & U.NFT_SET_ANONYMOUS
        ? { kind: 'set', elements: set.elementList, type: set.keyType, len: set.keyLen }
        : { kind: 'setref', name: e.set, type: set?.keyType, len: set?.keyLen };
    if (e.dreg === undefined) {
      this.#match(left, e.flags & U.NFT_LOOKUP_F_INV ? '!=' : 'implicit', right);
      return;
    }
    const typing: Typing = { ctx: this.#ctx.of(left), sets: this.#sets };
    const key = completeExpr(typing, left);
    const map: Expr = {
      kind: 'map',
      key,
      mappings: right,
      vmap: e.dreg === 0,
      type: set?.dataType,
      byteorder: set?.dataType?.byteorder,
      len: set?.dataType?.size,
    };
    if (e.dreg === 0) this.#push({ kind: 'verdict', expr: map });
    else this.#set(e.dreg, map);
  }

  #dynset(e: Extract<KernelExpr, { name: 'dynset' }>): void {
    const set = this.#sets(e.set);
    const key = this.#key(e.sregKey, set?.keyLen ?? 0);
    if (key === undefined) return;
    const data = e.sregData === undefined ? undefined : this.#key(e.sregData, set?.dataType?.size ?? 0);
    const stmts = e.exprs.flatMap((x) => simpleStmt(x) ?? []);
    const op = e.op === U.NFT_DYNSET_OP_ADD ? 'add' : e.op === U.NFT_DYNSET_OP_UPDATE ? 'update' : 'delete';
    const done = this.#complete(key);
    // A set without a declaration of its own: a meter.
    if (set && (set.flags & U.NFT_SET_ANONYMOUS) !== 0 && stmts.length > 0) {
      this.#push({
        kind: 'meter',
        name: set.name,
        size: set.size,
        key: typed(done, set.keyType),
        timeout: e.timeout ? Number(e.timeout) : undefined,
        stmt: stmts[0],
      });
      return;
    }
    this.#push({
      kind: 'dynset',
      op,
      set: { kind: 'setref', name: e.set },
      key: set ? typed(done, set.keyType) : done,
      data: data && set?.dataType ? typed(this.#complete(data), set.dataType) : data,
      timeout: e.timeout ? Number(e.timeout) : undefined,
      stmts,
    });
  }

  #objref(e: Extract<KernelExpr, { name: 'objref' }>): void {
    if (e.object !== undefined) {
      this.#push({ kind: 'objref', type: e.type ?? 0, expr: { kind: 'symbol', text: e.object, quoted: true } });
      return;
    }
    const set = this.#sets(e.set ?? '');
    const key = e.sreg === undefined ? undefined : this.#key(e.sreg, set?.keyLen ?? 0);
    if (key === undefined || set === undefined) return;
    const mappings: Expr =
      set.flags & U.NFT_SET_ANONYMOUS
        ? { kind: 'set', elements: set.elementList, type: set.keyType }
        : { kind: 'setref', name: set.name };
    this.#push({ kind: 'objref', type: set.objType ?? 0, expr: { kind: 'map', key: this.#complete(key), mappings } });
  }

  #nat(e: Extract<KernelExpr, { name: 'nat' | 'masq' | 'redir' }>): void {
    const family = e.name === 'nat' ? e.family : this.#family === 'ip6' ? 10 : 2;
    const address = family === NFPROTO_IPV4 ? dt.ipaddrType : dt.ip6addrType;
    let addr = e.name === 'nat' ? this.#get(e.addrMin) : undefined;
    // A map of "address . port" fills both registers at once.
    const both = addr?.kind === 'map' && (addr.type?.parts?.length ?? 0) > 1;
    const ranges = addr?.kind === 'map' && e.name === 'nat' && e.addrMax !== undefined && e.addrMax !== e.addrMin;
    if (addr && !both) addr = typed(this.#complete(addr), address);
    const addrMax =
      e.name === 'nat' && e.addrMax !== undefined && e.addrMax !== e.addrMin ? this.#get(e.addrMax) : undefined;
    if (addr && addrMax && addr.kind !== 'map') addr = rangeOrPrefix(addr, typed(addrMax, address), address);
    let proto = both ? undefined : this.#get(e.protoMin);
    if (proto) proto = typed(this.#complete(proto), dt.inetServiceType);
    const protoMax = !both && e.protoMax !== undefined && e.protoMax !== e.protoMin ? this.#get(e.protoMax) : undefined;
    if (proto && protoMax)
      proto = { kind: 'range', left: proto, right: typed(protoMax, dt.inetServiceType), type: dt.inetServiceType };
    const RANGE_FLAGS = 3; // addresses or ports are given: known from the registers
    const NETMAP = 64;
    const nat: NatStmt['nat'] = e.name === 'nat' ? (e.type === U.NFT_NAT_SNAT ? 'snat' : 'dnat') : e.name;
    this.#push({
      kind: 'nat',
      nat,
      family,
      familyWritten: e.name === 'nat' && addr !== undefined && (this.#family === 'inet' || both || ranges),
      addr,
      proto,
      flags: e.flags & ~(RANGE_FLAGS | NETMAP),
      typeFlags: (e.flags & NETMAP ? 1 : 0) | (both ? 2 : 0),
    });
  }

  #reject(e: KernelExpr): Stmt | undefined {
    if (e.name !== 'reject') return undefined;
    return rejectStmt(this.#ctx, e.type, e.code);
  }
}

/** First and last address; a whole net is written as one. */
function rangeOrPrefix(left: Expr, right: Expr, type: dt.Datatype): Expr {
  const range: Expr = { kind: 'range', left, right, type };
  if (left.kind !== 'value' || right.kind !== 'value') return range;
  const size = right.value - left.value + 1n;
  if (size < 2n || (size & (size - 1n)) !== 0n || left.value % size !== 0n) return range;
  return { kind: 'prefix', expr: left, prefix: type.size - (size.toString(2).length - 1), type };
}

const OPS: readonly RelOp[] = ['==', '!=', '<', '<=', '>', '>='];

function number(value: number, len: number): ValueExpr {
  return { kind: 'value', value: BigInt(value), type: dt.integerType, byteorder: 'host', len };
}

function constant(bytes: Uint8Array): ValueExpr {
  return { kind: 'value', value: dt.importValue(bytes, 'big'), byteorder: 'big', len: bytes.length * 8 };
}

/** A constant beside `left`: its bytes in the order of what they are compared with. */
function valueFor(left: Expr, bytes: Uint8Array): Expr {
  if (left.kind === 'concat') {
    let at = 0;
    const parts = left.parts.map((part) => {
      const size = ((part.len ?? 32) + 7) >> 3;
      const value = valueFor(part, bytes.subarray(at, at + size));
      at += (size + 3) & ~3;
      return value;
    });
    return { kind: 'concat', parts, len: bytes.length * 8 };
  }
  const order = left.byteorder === 'big' ? 'big' : 'host';
  return {
    kind: 'value',
    value: dt.importValue(bytes, order),
    type: left.type,
    byteorder: order,
    len: bytes.length * 8,
  };
}

/** A verdict as an expression. */
export function verdictExpr(v: Verdict): Expr {
  const chain = v.chain === undefined ? undefined : ({ kind: 'symbol', text: v.chain } as const);
  switch (v.code) {
    case U.NFT_CONTINUE:
      return { kind: 'verdict', verdict: 'continue' };
    case U.NFT_BREAK:
      return { kind: 'verdict', verdict: 'break' };
    case U.NFT_JUMP:
      return { kind: 'verdict', verdict: 'jump', chain };
    case U.NFT_GOTO:
      return { kind: 'verdict', verdict: 'goto', chain };
    case U.NFT_RETURN:
      return { kind: 'verdict', verdict: 'return' };
    default:
      return {
        kind: 'verdict',
        verdict: (v.code & 255) === NF_ACCEPT ? 'accept' : (v.code & 255) === NF_DROP ? 'drop' : 'accept',
      };
  }
}

/** The statements of a rule's expressions. */
export function delinearizeRule(
  exprs: readonly KernelExpr[],
  env: { readonly family: Family; readonly set: SetFinder },
): Stmt[] {
  return new RuleReader(env.family, env.set).read(exprs);
}
