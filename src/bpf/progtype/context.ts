/** What a program may do with its context and with the kernel objects its pointers lead to. */
import {
  baseType,
  PTR_TO_FLOW_KEYS,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
} from '../verifier/reg.ts';
import { CGROUP_TYPES } from './cgroup.ts';
import { type Field, fieldAt, reaches, type Struct } from './layout.ts';
import { effectiveAttachType } from './load.ts';
import { NFT_CHAIN_TYPES } from './nft-chain.ts';
import type { ContextRules, Fields, Mode } from './rules.ts';
import { SKB_TYPES } from './sk-buff.ts';
import { SK_LOOKUP_TYPES } from './sk-lookup.ts';
import { SK_MSG_TYPES } from './sk-msg.ts';
import { SK_REUSEPORT_TYPES } from './sk-reuseport.ts';
import {
  BPF_FLOW_KEYS,
  BPF_SOCK,
  BPF_TCP_SOCK,
  BPF_XDP_SOCK,
  SOCK_COMMON_FIELDS,
  SOCK_TYPES,
  SOCKET_FIELDS,
} from './sock.ts';
import { SOCK_ADDR_TYPES } from './sock-addr.ts';
import { SOCK_OPS_TYPES } from './sock-ops.ts';
import { TRACING_TYPES } from './tracing.ts';
import { XDP_TYPES } from './xdp.ts';

const RULES: ReadonlyMap<number, ContextRules> = new Map([
  ...SKB_TYPES,
  ...XDP_TYPES,
  ...SOCK_TYPES,
  ...SOCK_ADDR_TYPES,
  ...SOCK_OPS_TYPES,
  ...SK_MSG_TYPES,
  ...SK_REUSEPORT_TYPES,
  ...SK_LOOKUP_TYPES,
  ...CGROUP_TYPES,
  ...TRACING_TYPES,
  ...NFT_CHAIN_TYPES,
]);

export type AccessOp = 'read' | 'write' | 'writeImm';

/** An access that is allowed. */
export type ContextAccess = {
  readonly field: Field;
  /** Type of the register after a load: SCALAR_VALUE, or a pointer type with its flags (a sign-extending load of one is refused). */
  readonly regType: number;
  /** PTR_TO_BTF_ID: name of the kernel struct. */
  readonly btfName: string;
};

/**
 * Whether a program of `type` and `attach`, loaded in `mode`, may access `size` bytes at `offset` of its context, and
 * what a load gives; undefined: "invalid bpf_context access".
 */
export function checkContextAccess(
  type: number,
  attach: number,
  mode: Mode,
  op: AccessOp,
  offset: number,
  size: number,
): ContextAccess | undefined {
  const rules = RULES.get(type);
  if (rules === undefined) return undefined;
  const field = fieldAt(rules.struct, offset);
  if (field === undefined) return undefined;
  const kind = op === 'read' ? 'read' : 'write';
  const env = { type, attach: effectiveAttachType(type, attach), mode };
  if (!rules[kind](env).has(field.name) || !reaches(field, kind, offset, size)) return undefined;
  return { field, regType: field.regType, btfName: field.btfName };
}

/**
 * Whether what a program loads of its context (`Verdict.ctxRead`) lies inside a context of `size` bytes. Program types
 * whose context has no fixed size (tracepoint, raw_tracepoint, syscall) are accepted without knowing, so whatever attaches
 * or runs one asks this first.
 */
export function contextFits(offsets: Iterable<number>, size: number): boolean {
  for (const offset of offsets) if (offset < 0 || offset >= size) return false;
  return true;
}

/** The context struct of a program type: its size and where its fields lie. */
export const contextLayout = (type: number): Struct | undefined => RULES.get(type)?.struct;

const OBJECTS: ReadonlyMap<number, { readonly struct: Struct; readonly fields?: Fields }> = new Map([
  [PTR_TO_SOCK_COMMON, { struct: BPF_SOCK, fields: SOCK_COMMON_FIELDS }],
  [PTR_TO_SOCKET, { struct: BPF_SOCK, fields: SOCKET_FIELDS }],
  [PTR_TO_TCP_SOCK, { struct: BPF_TCP_SOCK }],
  [PTR_TO_XDP_SOCK, { struct: BPF_XDP_SOCK }],
  [PTR_TO_FLOW_KEYS, { struct: BPF_FLOW_KEYS }],
]);

/**
 * Whether `size` bytes at `offset` behind a pointer of `regType` (PTR_TO_SOCK_COMMON, _SOCKET, _TCP_SOCK, _XDP_SOCK,
 * _FLOW_KEYS) may be loaded, or stored to (only flow keys may).
 */
export function checkObjectAccess(regType: number, op: 'read' | 'write', offset: number, size: number): boolean {
  const object = OBJECTS.get(baseType(regType));
  if (object === undefined || offset < 0) return false;
  if (object.struct === BPF_FLOW_KEYS) return offset + size <= BPF_FLOW_KEYS.size;
  if (op === 'write') return false;
  const field = fieldAt(object.struct, offset);
  if (field === undefined || object.fields?.has(field.name) === false) return false;
  return reaches(field, 'read', offset, size);
}
