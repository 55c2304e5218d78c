/** What an expression of the tracing language is. */
import type { Member, TypeRef } from '../btf-types/declaration.ts';
import { STRUCTS, type TracePoint } from '../btf-types/index.ts';
import { type Expr, TraceError } from './ast.ts';
import type { Plan, Shape, Show } from './plan.ts';

export type Type =
  | {
      readonly kind: 'int';
      readonly show: Show /** Bits of a big-endian or other narrow integer. */;
      readonly bits: number;
    }
  /** Bytes that are shown as text or address; they live on the stack. */
  | { readonly kind: 'bytes'; readonly show: 'text' | 'addr'; readonly bytes: number }
  | { readonly kind: 'struct'; readonly name: string; readonly nullable: boolean };

export const INT: Type = { kind: 'int', show: 'unsigned', bits: 64 };
const SIGNED: Type = { kind: 'int', show: 'signed', bits: 64 };
/** Bytes of a string that is read from an address. */
export const TEXT_BYTES = 32;
export const COMM_BYTES = 16;
export const ADDR_BYTES = 24;

const text = (bytes: number): Type => ({ kind: 'bytes', show: 'text', bytes });

/** A C type, loaded. */
export function ofRef(type: TypeRef, nullable: boolean): Type {
  if (type.kind === 'enum') return { kind: 'int', show: 'drop reason', bits: 32 };
  if (type.kind === 'int') return { kind: 'int', show: type.signed ? 'signed' : 'unsigned', bits: type.size * 8 };
  if (type.kind === 'struct') return { kind: 'struct', name: type.name, nullable: false };
  return type.to?.kind === 'struct' ? { kind: 'struct', name: type.to.name, nullable } : INT;
}

export const shapeOf = (type: Type): Shape =>
  type.kind === 'bytes'
    ? { bytes: type.bytes, show: type.show }
    : { bytes: 8, show: type.kind === 'int' ? type.show : 'unsigned' };

export type Scope = {
  readonly point: TracePoint | undefined;
  readonly plan: Plan;
  readonly variables: ReadonlyMap<string, Type>;
};

export function memberOf(expr: Extract<Expr, { kind: 'member' }>, scope: Scope): Member {
  const of = typeOf(expr.of, scope);
  if (of.kind !== 'struct') throw new TraceError(`.${expr.name}: what is before it is no struct`, expr);
  const member = STRUCTS.get(of.name)?.members.find((m) => m.name === expr.name);
  if (member === undefined) {
    const known = STRUCTS.get(of.name)?.members.map((m) => m.name) ?? [];
    throw new TraceError(`struct ${of.name} has no member ${expr.name} (it has ${known.join(', ')})`, expr);
  }
  return member;
}

function ofMember(member: Member): Type {
  if (member.count === 0) return ofRef(member.type, false);
  return text(Math.ceil(member.size / 8) * 8);
}

/** Calls that give a value, with their number of arguments. */
const CALLS: Readonly<Record<string, readonly [args: number, type: Type]>> = {
  str: [1, text(TEXT_BYTES)],
  ntop: [1, { kind: 'int', show: 'ip4', bits: 32 }],
  bswap: [1, INT],
  u8: [1, INT],
  u16: [1, INT],
  u32: [1, INT],
  u64: [1, INT],
  saddr: [1, { kind: 'bytes', show: 'addr', bytes: ADDR_BYTES }],
  daddr: [1, { kind: 'bytes', show: 'addr', bytes: ADDR_BYTES }],
  sport: [1, INT],
  dport: [1, INT],
  protocol: [1, INT],
};

/** The type of an expression; throws TraceError for what does not exist. */
export function typeOf(expr: Expr, scope: Scope): Type {
  switch (expr.kind) {
    case 'number':
      return INT;
    case 'string':
      return text(Math.max(8, Math.ceil((expr.value.length + 1) / 8) * 8));
    case 'name':
      return expr.name === 'comm' || expr.name === 'host' ? text(COMM_BYTES) : INT;
    case 'variable': {
      const type = scope.variables.get(expr.name);
      if (type === undefined) throw new TraceError(`$${expr.name} has no value yet`, expr);
      return type;
    }
    case 'map': {
      const { show, bytes } = scope.plan.maps.get(expr.name)?.value ?? shapeOf(INT);
      return show === 'text' || show === 'addr' ? { kind: 'bytes', show, bytes } : { kind: 'int', show, bits: 64 };
    }
    case 'argument': {
      const arg = scope.point?.args.find((a) => a.name === expr.name);
      if (arg === undefined) {
        const known = scope.point?.args.map((a) => a.name).join(', ') ?? 'none';
        throw new TraceError(`there is no argument ${expr.name} here (there is ${known})`, expr);
      }
      return ofRef(arg.type, arg.nullable);
    }
    case 'member':
      return ofMember(memberOf(expr, scope));
    case 'call': {
      const call = CALLS[expr.name];
      if (call === undefined) throw new TraceError(`there is no function ${expr.name}()`, expr);
      if (expr.args.length !== call[0]) throw new TraceError(`${expr.name}() takes ${call[0]} argument`, expr);
      return call[1];
    }
    case 'unary':
      return expr.op === '!' ? INT : expr.op === '-' ? SIGNED : typeOf(expr.of, scope);
    case 'binary': {
      if (['==', '!=', '<', '>', '<=', '>=', '&&', '||'].includes(expr.op)) return INT;
      const signed = [expr.left, expr.right].some((e) => {
        const type = typeOf(e, scope);
        return type.kind === 'int' && type.show === 'signed';
      });
      return signed ? SIGNED : INT;
    }
    case 'choice':
      return typeOf(expr.yes, scope);
  }
}
