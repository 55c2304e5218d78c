/**
 * What a program on a tracing point may load: its arguments (the context, eight bytes each) and what its pointers lead to.
 */
import { BPF_TRACE_FENTRY, BPF_TRACE_FEXIT, BPF_TRACE_RAW_TP } from '../../wire/uapi/bpf.ts';
import { PTR_MAYBE_NULL, PTR_TO_BTF_ID, PTR_TRUSTED, SCALAR_VALUE } from '../verifier/reg.ts';
import type { Member, StructLayout, TypeRef } from './declaration.ts';
import { TRACE_POINTS, type TracePoint } from './points.ts';
import { STRUCTS } from './structs.ts';

/** What a load gives. */
export type Loaded = {
  readonly regType: number;
  /** PTR_TO_BTF_ID: the struct. */
  readonly btfName: string;
};

const SCALAR: Loaded = { regType: SCALAR_VALUE, btfName: '' };

/** A pointer to a struct of the tables; other pointers are numbers to a program. */
function pointed(type: TypeRef, flags: number): Loaded {
  if (type.kind !== 'pointer' || type.to?.kind !== 'struct') return SCALAR;
  return { regType: PTR_TO_BTF_ID | flags, btfName: type.to.name };
}

/** Where the arguments of a point begin and end for this kind of program: fexit sees the result behind them. */
export const contextBytes = (point: TracePoint, fexit = false): number =>
  (point.args.length + (fexit && point.returns !== undefined ? 1 : 0)) * 8;

/**
 * A load of `size` bytes at `offset` of the context of a tp_btf, fentry or fexit program at `point`; undefined: not
 * allowed. The whole of an argument that points to a struct gives a trusted pointer.
 */
export function checkArgumentAccess(
  point: TracePoint,
  offset: number,
  size: number,
  fexit = false,
): Loaded | undefined {
  if (offset < 0 || offset % size !== 0 || offset + size > contextBytes(point, fexit)) return undefined;
  const arg = point.args[offset >> 3];
  if (arg === undefined || arg.type.kind !== 'pointer') return SCALAR;
  // A pointer is loaded whole or not at all.
  if (size !== 8) return undefined;
  return pointed(arg.type, PTR_TRUSTED | (arg.nullable ? PTR_MAYBE_NULL : 0));
}

/** Why a tracing program cannot be for `target`; '' when it can. */
export function targetProblem(target: string, attach: number): string {
  const point = tracePoint(target);
  if (point === undefined) return `netloom has no tracing point '${target}'`;
  if (attach === BPF_TRACE_RAW_TP) return point.group === '' ? `'${target}' is a function, not a tracepoint` : '';
  if (attach !== BPF_TRACE_FENTRY && attach !== BPF_TRACE_FEXIT) return 'netloom does not support this kind of tracing';
  return point.group === '' ? '' : `'${target}' is a tracepoint, not a function`;
}

/** A load of `size` bytes at `offset` of the context of a tracing program; undefined: not allowed (stores never are). */
export function checkTracingContext(
  target: string,
  attach: number,
  op: string,
  offset: number,
  size: number,
): Loaded | undefined {
  const point = tracePoint(target);
  if (point === undefined || op !== 'read') return undefined;
  return checkArgumentAccess(point, offset, size, attach === BPF_TRACE_FEXIT);
}

/** The member of the innermost struct that holds the byte at `offset`, and where in it the byte lies. */
function memberAt(struct: StructLayout, offset: number): { member: Member; at: number } | undefined {
  const member = struct.members.find((m) => offset >= m.offset && offset < m.offset + m.size);
  if (member === undefined) return undefined;
  const at = offset - member.offset;
  if (member.type.kind !== 'struct') return { member, at };
  const inner = STRUCTS.get(member.type.name);
  return inner === undefined ? undefined : memberAt(inner, at % inner.size);
}

/**
 * A load of `size` bytes at `offset` behind a PTR_TO_BTF_ID to `struct`; undefined: not allowed (nothing is there, or the
 * load reaches over the end of a member). A pointer found inside is not trusted: it may be NULL or gone, and loads
 * through it that fail give zero.
 */
export function checkStructAccess(struct: string, offset: number, size: number): Loaded | undefined {
  const layout = STRUCTS.get(struct);
  if (layout === undefined || offset < 0 || offset + size > layout.size) return undefined;
  const found = memberAt(layout, offset);
  if (found === undefined || found.at + size > found.member.size) return undefined;
  if (found.member.type.kind !== 'pointer') return SCALAR;
  return size === 8 && found.at % 8 === 0 ? pointed(found.member.type, 0) : undefined;
}

/** A load from the record of a `tp` program; undefined: outside of it, or the point has none. */
export function checkRecordAccess(point: TracePoint, offset: number, size: number): boolean {
  const end = point.record?.size ?? 0;
  return offset >= 8 && offset % size === 0 && offset + size <= end;
}

/** The point that a section's target names: "kfree_skb" or, for `tp`, "skb/kfree_skb". */
export function tracePoint(target: string): TracePoint | undefined {
  const slash = target.indexOf('/');
  const point = TRACE_POINTS.get(target.slice(slash + 1));
  return slash < 0 || point?.group === target.slice(0, slash) ? point : undefined;
}
