/**
 * Evaluated rules to kernel expressions: register allocation, loads, comparisons, lookups. Registers are counted in
 * 4-byte units; a value takes 16 bytes unless it is a concatenation.
 */
import * as uapi from '../../wire/uapi/nf-tables.ts';
import type { Expr, MapExpr, RelationalExpr, Rule, SetRefExpr, Stmt, ValueExpr, VerdictExpr } from './ast.ts';
import * as dt from './datatype.ts';
import { exportValue } from './datatype.ts';
import type { KernelExpr, Verdict } from './expr/types.ts';
import { EXTHDR_OPS } from './exthdr.ts';
import { mergePayloads } from './merge.ts';
import { BASE_NETWORK, type ProtoDesc } from './proto.ts';
import { NftError } from './source.ts';

const UNITS = 16;
const VERDICTS: Readonly<Record<string, number>> = {
  accept: 1,
  drop: 0,
  continue: uapi.NFT_CONTINUE,
  break: uapi.NFT_BREAK,
  jump: uapi.NFT_JUMP,
  goto: uapi.NFT_GOTO,
  return: uapi.NFT_RETURN,
};

/** The kernel's number of a register that starts at a 4-byte unit. */
function register(unit: number): number {
  return unit % 4 === 0 ? uapi.NFT_REG_1 + unit / 4 : uapi.NFT_REG32_00 + unit;
}

const bytesOf = (bits: number): number => (bits + 7) >> 3;
const unitsOf = (bits: number): number => (bits + 31) >> 5;

/** Kernel form of a verdict. */
export function verdictData(expr: VerdictExpr): Verdict {
  const chain = expr.chain;
  const code = VERDICTS[expr.verdict];
  if (chain?.kind === 'symbol') return { code, chain: chain.text };
  return { code };
}

/** Bytes of a constant as they lie in a register or a set element; concatenations are padded to 4 bytes a member. */
export function constantBytes(expr: Expr): Uint8Array {
  if (expr.kind === 'value') return exportValue(expr.value, expr.byteorder ?? 'host', expr.len!);
  if (expr.kind === 'prefix') return constantBytes(expr.expr);
  if (expr.kind === 'concat') {
    const parts = expr.parts.map(constantBytes);
    const out = new Uint8Array(parts.reduce((sum, part) => sum + ((part.length + 3) & ~3), 0));
    let at = 0;
    for (const part of parts) {
      out.set(part, at);
      at += (part.length + 3) & ~3;
    }
    return out;
  }
  throw new NftError(expr.loc, `netloom does not support ${expr.kind} as a constant`);
}

/** A load from the packet that a tunnel carries. */
function inTunnel(tunnel: ProtoDesc | undefined, expr: KernelExpr): KernelExpr {
  return tunnel?.inner === undefined ? expr : { name: 'inner', ...tunnel.inner, expr };
}

class Linearizer {
  readonly out: KernelExpr[] = [];
  #used = 0;

  #take(bits: number): number {
    const unit = this.#used;
    this.#used += unitsOf(bits);
    if (this.#used > UNITS) throw new NftError(undefined, 'register space exhausted');
    return unit;
  }

  /** Registers for an expression; the caller gives them back with `#release`. */
  #takeFor(expr: Expr | undefined): number {
    return this.#take(expr?.kind === 'concat' ? expr.len! : 128);
  }

  #release(unit: number): void {
    this.#used = unit;
  }

  /** Loads `expr` into registers from `unit` on. */
  load(expr: Expr, unit: number): void {
    const dreg = register(unit);
    const out = this.out;
    switch (expr.kind) {
      case 'value':
      case 'prefix':
        out.push({ name: 'immediate', dreg, data: { value: constantBytes(expr) } });
        return;
      case 'payload':
        out.push(
          inTunnel(expr.tunnel, {
            name: 'payload',
            dreg,
            base: expr.base - 1,
            offset: Math.floor(expr.offset / 8),
            len: bytesOf(expr.len!),
          }),
        );
        return;
      case 'exthdr': {
        const op = EXTHDR_OPS.indexOf(expr.op);
        out.push({
          name: 'exthdr',
          dreg,
          type: expr.hdr,
          offset: Math.floor(expr.offset / 8),
          len: bytesOf(expr.len!),
          flags: expr.present ? uapi.NFT_EXTHDR_F_PRESENT : 0,
          op,
        });
        return;
      }
      case 'meta':
        out.push(inTunnel(expr.tunnel, { name: 'meta', key: expr.key, dreg }));
        return;
      case 'ct':
        out.push({
          name: 'ct',
          key: expr.key,
          dreg,
          ...(expr.direction !== undefined && { direction: expr.direction }),
        });
        return;
      case 'rt':
        out.push({ name: 'rt', key: expr.key, dreg });
        return;
      case 'socket':
        out.push({ name: 'socket', key: expr.key, dreg, ...(expr.level !== undefined && { level: expr.level }) });
        return;
      case 'fib':
        out.push({ name: 'fib', dreg, result: expr.result, flags: expr.flags });
        return;
      case 'xfrm':
        out.push({ name: 'xfrm', dreg, key: expr.key, dir: expr.direction, spnum: expr.spnum });
        return;
      case 'osf':
        out.push({ name: 'osf', dreg, ttl: expr.ttl, flags: expr.version ? uapi.NFT_OSF_F_VERSION : 0 });
        return;
      case 'numgen':
        out.push({ name: 'numgen', dreg, modulus: expr.mod, type: expr.mode, offset: expr.offset });
        return;
      case 'hash': {
        const common = { name: 'hash' as const, dreg, type: expr.mode, modulus: expr.mod, offset: expr.offset };
        if (expr.operand === undefined) {
          out.push(common);
          return;
        }
        const from = this.#takeFor(expr.operand);
        this.load(expr.operand, from);
        this.#release(from);
        out.push({
          ...common,
          sreg: register(from),
          len: bytesOf(expr.operand.len!),
          ...(expr.seed !== undefined && { seed: expr.seed }),
        });
        return;
      }
      case 'concat': {
        let at = unit;
        for (const part of expr.parts) {
          this.load(part, at);
          at += unitsOf(part.len!);
        }
        return;
      }
      case 'unary': {
        this.load(expr.arg, unit);
        const bits = expr.arg.len!;
        out.push({
          name: 'byteorder',
          sreg: dreg,
          dreg,
          op: expr.op === 'hton' ? uapi.NFT_BYTEORDER_HTON : uapi.NFT_BYTEORDER_NTOH,
          len: bytesOf(bits),
          size: bits % 64 === 0 && bits === 64 ? 8 : bits % 32 === 0 ? 4 : 2,
        });
        return;
      }
      case 'binary':
        this.#binary(expr, unit);
        return;
      case 'map':
        this.#map(expr, unit);
        return;
      default:
        throw new NftError(expr.loc, `netloom does not support ${expr.kind} here`);
    }
  }

  /** Chains of mask operations become one mask and one xor. */
  #binary(expr: Expr & { kind: 'binary' }, unit: number): void {
    const reg = register(unit);
    const len = bytesOf(expr.len!);
    if (expr.op === '<<' || expr.op === '>>') {
      this.load(expr.left, unit);
      const amount = (expr.right as ValueExpr).value;
      this.out.push({
        name: 'bitwise',
        sreg: reg,
        dreg: reg,
        len,
        op: expr.op === '<<' ? uapi.NFT_BITWISE_LSHIFT : uapi.NFT_BITWISE_RSHIFT,
        data: exportValue(amount, 'host', 32),
      });
      return;
    }
    const chain: (Expr & { kind: 'binary' })[] = [];
    let inner: Expr = expr;
    while (
      inner.kind === 'binary' &&
      (inner.op === '&' || inner.op === '|' || inner.op === '^') &&
      inner.right.kind === 'value'
    ) {
      chain.unshift(inner);
      inner = inner.left;
    }
    this.load(inner, unit);
    const all = (1n << BigInt(len * 8)) - 1n;
    let mask = all;
    let xor = 0n;
    for (const step of chain) {
      const value = (step.right as ValueExpr).value;
      if (step.op === '&') {
        mask &= value;
        xor &= value;
      } else if (step.op === '|') {
        mask &= all ^ value;
        xor = (xor & (all ^ value)) | value;
      } else xor ^= value;
    }
    const order = expr.byteorder ?? 'host';
    this.#bitwise(reg, len, exportValue(mask, order, len * 8), exportValue(xor, order, len * 8));
  }

  #bitwise(reg: number, len: number, mask: Uint8Array, xor: Uint8Array): void {
    this.out.push({ name: 'bitwise', sreg: reg, dreg: reg, len, op: uapi.NFT_BITWISE_MASK_XOR, mask, xor });
  }

  #lookupSet(ref: Expr): { set: string; setId?: number } {
    const { name, set } = ref as SetRefExpr;
    return { set: name, ...(set !== undefined && set.id !== 0 && { setId: set.id }) };
  }

  #map(expr: MapExpr, unit: number | 'verdict'): void {
    let from: number;
    if (unit === 'verdict') {
      from = this.#takeFor(expr.key);
      this.#release(from);
    } else from = unit;
    this.load(expr.key, from);
    this.out.push({
      name: 'lookup',
      ...this.#lookupSet(expr.mappings),
      sreg: register(from),
      dreg: unit === 'verdict' ? 0 : register(unit),
      flags: 0,
    });
  }

  #cmp(unit: number, op: number, data: Uint8Array): void {
    this.out.push({ name: 'cmp', sreg: register(unit), op, data });
  }

  #relational(rel: RelationalExpr): void {
    const { left, right } = rel;
    const unit = this.#takeFor(left);
    const op = rel.op;
    const negate = op === '!=';
    if (right.kind === 'setref') {
      this.load(left, unit);
      this.out.push({
        name: 'lookup',
        ...this.#lookupSet(right),
        sreg: register(unit),
        flags: negate ? uapi.NFT_LOOKUP_F_INV : 0,
      });
    } else if (right.kind === 'range') {
      this.load(left, unit);
      const from = constantBytes(right.left);
      const to = constantBytes(right.right);
      if (negate) this.out.push({ name: 'range', sreg: register(unit), op: uapi.NFT_RANGE_NEQ, from, to });
      else {
        this.#cmp(unit, uapi.NFT_CMP_GTE, from);
        this.#cmp(unit, uapi.NFT_CMP_LTE, to);
      }
    } else if (right.kind === 'prefix') this.#prefix(left, right, unit, negate);
    else if (op === '!' || (op === 'implicit' && dt.isA(right.type, dt.bitmaskType) && right.kind === 'value')) {
      // Flags: some (or with `!` none) of the bits are set.
      this.load(left, unit);
      const len = bytesOf(left.len!);
      const mask = constantBytes({ ...right, len: left.len! } as ValueExpr);
      this.#bitwise(register(unit), len, mask, new Uint8Array(len));
      this.#cmp(unit, op === '!' ? uapi.NFT_CMP_EQ : uapi.NFT_CMP_NEQ, new Uint8Array(len));
    } else {
      this.load(left, unit);
      const code = {
        implicit: uapi.NFT_CMP_EQ,
        '==': uapi.NFT_CMP_EQ,
        '!=': uapi.NFT_CMP_NEQ,
        '<': uapi.NFT_CMP_LT,
        '<=': uapi.NFT_CMP_LTE,
        '>': uapi.NFT_CMP_GT,
        '>=': uapi.NFT_CMP_GTE,
      }[op];
      this.#cmp(unit, code, constantBytes(right));
    }
    this.#release(unit);
  }

  /** Whole bytes of a prefix are compared; other lengths need a mask. */
  #prefix(left: Expr, right: Expr & { kind: 'prefix' }, unit: number, negate: boolean): void {
    const op = negate ? uapi.NFT_CMP_NEQ : uapi.NFT_CMP_EQ;
    const bytes = constantBytes(right.expr);
    const isString = dt.rootType(left.type!) === dt.stringType;
    if (right.prefix > 0 && right.prefix % 8 === 0 && (isString || right.byteorder === 'big')) {
      const len = right.prefix / 8;
      this.load(left.kind === 'payload' ? { ...left, len: right.prefix } : left, unit);
      this.#cmp(unit, op, bytes.subarray(0, len));
      return;
    }
    this.load(left, unit);
    const width = right.len!;
    const all = (1n << BigInt(width)) - 1n;
    const mask = all ^ ((1n << BigInt(width - right.prefix)) - 1n);
    const len = bytesOf(width);
    this.#bitwise(register(unit), len, exportValue(mask, right.byteorder!, width), new Uint8Array(len));
    this.#cmp(unit, op, bytes);
  }

  #verdict(expr: Expr): void {
    if (expr.kind === 'map') {
      this.#map(expr, 'verdict');
      return;
    }
    this.out.push({ name: 'immediate', dreg: 0, data: { verdict: verdictData(expr as VerdictExpr) } });
  }

  #nat(stmt: Stmt & { kind: 'nat' }): void {
    let addrMin: number | undefined;
    let addrMax: number | undefined;
    let protoMin: number | undefined;
    let protoMax: number | undefined;
    const start = this.#used;
    const { addr, proto } = stmt;
    const takeOne = (expr: Expr): number => {
      const unit = this.#take(128);
      this.load(expr, unit);
      return register(unit);
    };
    if (addr !== undefined) {
      if (addr.kind === 'range') {
        const a = this.#take(128);
        const b = this.#take(128);
        this.load(addr.left, a);
        this.load(addr.right, b);
        addrMin = register(a);
        addrMax = register(b);
      } else if (addr.kind === 'prefix') {
        // A whole net: first and last address.
        const low = addr.expr as ValueExpr;
        const high = low.value | ((1n << BigInt(addr.len! - addr.prefix)) - 1n);
        const a = this.#take(128);
        const b = this.#take(128);
        this.load(low, a);
        this.load({ ...low, value: high }, b);
        addrMin = register(a);
        addrMax = register(b);
      } else {
        const width = stmt.family === 10 ? 128 : 32;
        const unit = this.#take(Math.max(128, stmt.typeFlags & 1 ? (addr.len ?? 0) * 2 : 0));
        this.load(addr, unit);
        addrMin = register(unit);
        const step = unitsOf(width);
        if (stmt.typeFlags & 4) {
          protoMin = register(unit + step);
          if (stmt.typeFlags & 1) {
            addrMax = register(unit + step + 1);
            protoMax = register(unit + step * 2 + 1);
          }
        } else if (stmt.typeFlags & 1) addrMax = register(unit + step);
      }
    }
    if (proto !== undefined) {
      if (proto.kind === 'range') {
        const a = this.#take(128);
        const b = this.#take(128);
        this.load(proto.left, a);
        this.load(proto.right, b);
        protoMin = register(a);
        protoMax = register(b);
      } else protoMin = takeOne(proto);
    }
    this.#used = start;
    const ports = { ...(protoMin && { protoMin }), ...(protoMax && { protoMax }) };
    if (stmt.nat === 'masq' || stmt.nat === 'redir') {
      this.out.push({ name: stmt.nat, flags: stmt.flags, ...ports });
      return;
    }
    this.out.push({
      name: 'nat',
      type: stmt.nat === 'snat' ? uapi.NFT_NAT_SNAT : uapi.NFT_NAT_DNAT,
      family: stmt.family ?? 0,
      ...(addrMin && { addrMin }),
      ...(addrMax && { addrMax }),
      ...ports,
      flags: stmt.flags,
    });
  }

  #payloadSet(stmt: Stmt & { kind: 'payloadset' }): void {
    const { target } = stmt;
    const unit = this.#takeFor(stmt.expr);
    this.load(stmt.expr, unit);
    this.#release(unit);
    const desc = target.proto;
    const checksum = desc?.fields.find((field) => field.name === desc.checksum);
    let csumType = 0;
    let csumOffset = 0;
    let csumFlags = 0;
    if (checksum !== undefined && desc !== undefined) {
      csumType = desc.name === 'sctp' ? uapi.NFT_PAYLOAD_CSUM_SCTP : uapi.NFT_PAYLOAD_CSUM_INET;
      csumOffset = checksum.offset / 8;
    }
    const field = target.field === undefined ? undefined : desc?.fields[target.field].name;
    if (target.base === BASE_NETWORK && (field === 'saddr' || field === 'daddr'))
      csumFlags = uapi.NFT_PAYLOAD_L4CSUM_PSEUDOHDR;
    this.out.push({
      name: 'payload',
      sreg: register(unit),
      base: target.base - 1,
      offset: Math.floor(target.offset / 8),
      len: bytesOf(target.len!),
      csumType,
      csumOffset,
      csumFlags,
    });
  }

  /** One value for a statement: loaded, its register given back. */
  #operand(expr: Expr): number {
    const unit = this.#takeFor(expr);
    this.load(expr, unit);
    this.#release(unit);
    return register(unit);
  }

  statement(stmt: Stmt): void {
    const { out } = this;
    switch (stmt.kind) {
      case 'expr':
        this.#relational(stmt.expr as RelationalExpr);
        return;
      case 'verdict':
        this.#verdict(stmt.expr);
        return;
      case 'counter':
        out.push({ name: 'counter', packets: stmt.packets, bytes: stmt.bytes });
        return;
      case 'last':
        out.push({ name: 'last' });
        return;
      case 'connlimit':
        out.push({ name: 'connlimit', count: stmt.count, flags: stmt.over ? uapi.NFT_CONNLIMIT_F_INV : 0 });
        return;
      case 'quota':
        out.push({
          name: 'quota',
          bytes: stmt.bytes,
          consumed: stmt.used,
          flags: stmt.over ? uapi.NFT_QUOTA_F_INV : 0,
        });
        return;
      case 'limit':
        out.push({
          name: 'limit',
          rate: stmt.rate,
          unit: stmt.unit,
          burst: stmt.burst,
          type: stmt.type,
          flags: stmt.over ? uapi.NFT_LIMIT_F_INV : 0,
        });
        return;
      case 'log': {
        const { kind: _, loc: __, prefix, ...rest } = stmt;
        out.push({ name: 'log', ...rest, ...(prefix?.kind === 'symbol' && { prefix: prefix.text }) });
        return;
      }
      case 'reject': {
        const code = stmt.code?.kind === 'value' ? Number(stmt.code.value) : 0;
        out.push({ name: 'reject', type: stmt.type ?? 0, code });
        return;
      }
      case 'nat':
        this.#nat(stmt);
        return;
      case 'tproxy': {
        const start = this.#used;
        const regs: { addr?: number; port?: number } = {};
        if (stmt.addr !== undefined) {
          const unit = this.#take(128);
          this.load(stmt.addr, unit);
          regs.addr = register(unit);
        }
        if (stmt.port !== undefined) {
          const unit = this.#take(128);
          this.load(stmt.port, unit);
          regs.port = register(unit);
        }
        this.#used = start;
        out.push({ name: 'tproxy', family: stmt.family ?? 0, ...regs });
        return;
      }
      case 'synproxy':
        out.push({ name: 'synproxy', mss: stmt.mss, wscale: stmt.wscale, flags: stmt.flags });
        return;
      case 'queue': {
        const { queue, flags } = stmt;
        if (queue === undefined) out.push({ name: 'queue', num: 0, total: 1, flags });
        else if (queue.kind === 'value') out.push({ name: 'queue', num: Number(queue.value), total: 1, flags });
        else if (queue.kind === 'range') {
          const from = Number((queue.left as ValueExpr).value);
          out.push({ name: 'queue', num: from, total: Number((queue.right as ValueExpr).value) - from + 1, flags });
        } else out.push({ name: 'queue', sreg: this.#operand(queue), flags });
        return;
      }
      case 'dup': {
        const start = this.#used;
        const to = this.#take(128);
        this.load(stmt.to, to);
        const toReg = register(to);
        let dev: number | undefined;
        if (stmt.dev !== undefined) {
          const unit = this.#take(128);
          this.load(stmt.dev, unit);
          dev = register(unit);
        }
        this.#used = start;
        // In netdev chains the target is a device.
        if (stmt.to.type === dt.ifindexType) out.push({ name: 'dup', dev: toReg });
        else out.push({ name: 'dup', addr: toReg, ...(dev && { dev }) });
        return;
      }
      case 'fwd': {
        const start = this.#used;
        const dev = this.#take(128);
        this.load(stmt.dev, dev);
        let addr: number | undefined;
        if (stmt.addr !== undefined) {
          const unit = this.#take(128);
          this.load(stmt.addr, unit);
          addr = register(unit);
        }
        this.#used = start;
        out.push({
          name: 'fwd',
          dev: register(dev),
          ...(addr && { addr }),
          ...(addr && stmt.family !== undefined && { nfproto: stmt.family }),
        });
        return;
      }
      case 'notrack':
        out.push({ name: 'notrack' });
        return;
      case 'metaset':
        out.push({ name: 'meta', key: stmt.key, sreg: this.#operand(stmt.expr) });
        return;
      case 'ctset':
        out.push({
          name: 'ct',
          key: stmt.key,
          sreg: this.#operand(stmt.expr),
          ...(stmt.direction !== undefined && { direction: stmt.direction }),
        });
        return;
      case 'payloadset':
        this.#payloadSet(stmt);
        return;
      case 'exthdrset': {
        const { target } = stmt;
        const op = EXTHDR_OPS.indexOf(target.op);
        out.push({
          name: 'exthdr',
          sreg: this.#operand(stmt.expr),
          type: target.hdr,
          offset: Math.floor(target.offset / 8),
          len: bytesOf(target.len!),
          flags: 0,
          op,
        });
        return;
      }
      case 'optstrip':
        out.push({ name: 'exthdr', type: stmt.target.hdr, offset: 0, len: 0, flags: 0, op: uapi.NFT_EXTHDR_OP_TCPOPT });
        return;
      case 'objref': {
        if (stmt.expr.kind === 'map') {
          const unit = this.#takeFor(stmt.expr.key);
          this.load(stmt.expr.key, unit);
          this.#release(unit);
          out.push({ name: 'objref', sreg: register(unit), ...this.#lookupSet(stmt.expr.mappings) });
          return;
        }
        const { value } = stmt.expr as ValueExpr;
        out.push({ name: 'objref', type: stmt.type, object: dt.valueString(value) });
        return;
      }
      case 'dynset': {
        const start = this.#used;
        const key = this.#takeFor(stmt.key);
        this.load(stmt.key, key);
        let data: number | undefined;
        if (stmt.data !== undefined) {
          const unit = this.#takeFor(stmt.data);
          this.load(stmt.data, unit);
          data = register(unit);
        }
        this.#used = start;
        const set = stmt.set.set!;
        out.push({
          name: 'dynset',
          set: set.name,
          ...(set.id !== 0 && { setId: set.id }),
          op: { add: 0, update: 1, delete: 2 }[stmt.op],
          sregKey: register(key),
          ...(data !== undefined && { sregData: data }),
          ...(stmt.timeout !== undefined && { timeout: BigInt(stmt.timeout) }),
          flags: 0,
          exprs: linearizeStatements(stmt.stmts),
        });
        return;
      }
      case 'meter': {
        const unit = this.#takeFor(stmt.key);
        this.load(stmt.key, unit);
        this.#release(unit);
        const set = stmt.set!.set!;
        out.push({
          name: 'dynset',
          set: set.name,
          ...(set.id !== 0 && { setId: set.id }),
          op: stmt.timeout === undefined ? uapi.NFT_DYNSET_OP_ADD : uapi.NFT_DYNSET_OP_UPDATE,
          sregKey: register(unit),
          ...(stmt.timeout !== undefined && { timeout: BigInt(stmt.timeout) }),
          flags: 0,
          exprs: linearizeStatements([stmt.stmt]),
        });
        return;
      }
      case 'flowoffload':
        out.push({ name: 'flow_offload', table: stmt.name });
        return;
      case 'xt':
        out.push({ name: stmt.type, xt: stmt.name, rev: stmt.rev, info: stmt.info });
        return;
      default:
        throw new NftError(stmt.loc, `netloom does not support ${stmt.kind} statements`);
    }
  }
}

/** Kernel expressions of evaluated statements. */
export function linearizeStatements(stmts: readonly Stmt[]): KernelExpr[] {
  const linearizer = new Linearizer();
  for (const stmt of stmts) linearizer.statement(stmt);
  return linearizer.out;
}

/** Kernel expressions of an evaluated rule. */
export function linearizeRule(rule: Rule): KernelExpr[] {
  return linearizeStatements(mergePayloads(rule.stmts));
}
