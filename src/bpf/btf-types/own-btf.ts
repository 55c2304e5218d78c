/**
 * The BTF that netloom shows instead of /sys/kernel/btf/vmlinux: its structs, drop reasons, tracing points and records,
 * for CO-RE relocations, for `bpftool btf dump`-like listings and for finding a point by its BTF number.
 */
import { DROP } from '../../core/drop.ts';
import type { Btf } from '../btf/btf.ts';
import { BtfBuilder } from '../btf/build.ts';
import { INTEGERS, type Member, type StructLayout, type TypeRef } from './declaration.ts';
import { TRACE_POINTS } from './points.ts';
import { STRUCTS } from './structs.ts';

const ENCODING_SIGNED = 1;
const ENCODING_CHAR = 2;
const ENCODING_BOOL = 4;

/** Builds the BTF; callers keep it. */
export function buildOwnBtf(): Btf {
  const builder = new BtfBuilder();
  const integers = new Map<string, number>();
  for (const [btf, size, signed] of Object.values(INTEGERS)) {
    if (integers.has(btf)) continue;
    const encoding = btf === '_Bool' ? ENCODING_BOOL : btf === 'char' ? ENCODING_CHAR : signed ? ENCODING_SIGNED : 0;
    integers.set(btf, builder.int(btf, size, encoding));
  }
  for (const [alias, [btf]] of Object.entries(ALIASES)) builder.typedef(alias, integers.get(btf)!);
  const dropReasons = builder.enum('skb_drop_reason', [
    { name: 'SKB_NOT_DROPPED_YET', value: 0 },
    ...Object.entries(DROP).map(([name, value]) => ({ name: `SKB_DROP_REASON_${name}`, value })),
  ]);

  // Structs point to each other, so their numbers are known before they are written: pointers and arrays come first.
  const layouts = [...STRUCTS.values(), ...records()];
  const derived = derivedTypes(layouts);
  const firstDerived = builder.next;
  const firstStruct = firstDerived + derived.size;
  const structs = new Map(layouts.map((s, i) => [s.name, firstStruct + i]));
  const ids = new Map([...derived.keys()].map((key, i) => [key, firstDerived + i]));
  const idOf = (type: TypeRef | undefined): number => {
    if (type === undefined) return 0;
    switch (type.kind) {
      case 'int':
        return integers.get(INTEGERS[type.name][0])!;
      case 'enum':
        return dropReasons;
      case 'struct':
        return structs.get(type.name)!;
      case 'pointer':
        return ids.get(keyOf(type, 0))!;
    }
  };
  for (const { type, count } of derived.values()) {
    if (count > 0) builder.array(idOf(type), count, integers.get('unsigned int'));
    else builder.ptr(idOf((type as { to: TypeRef | undefined }).to));
  }
  const memberId = (m: Member): number => (m.count > 0 ? ids.get(keyOf(m.type, m.count))! : idOf(m.type));
  for (const s of layouts) {
    builder.struct(
      s.name,
      s.size,
      s.members.map((m) => ({ name: m.name, type: memberId(m), bitOffset: m.offset * 8 })),
    );
  }
  // Tracepoints as Linux has them: typedef void (*btf_trace_NAME)(void *, ...).
  for (const point of TRACE_POINTS.values()) {
    const params = point.args.map((arg) => ({ name: arg.name, type: idOf(arg.type) }));
    if (point.group === '') builder.func(point.name, builder.funcProto(idOf(point.returns), params));
    else {
      const data = { name: '__data', type: ids.get(keyOf(VOID_POINTER, 0))! };
      builder.typedef(`btf_trace_${point.name}`, builder.ptr(builder.funcProto(0, [data, ...params])));
    }
  }
  return builder.build();
}

/** Names under which programs know the integers. */
const ALIASES: Readonly<Record<string, readonly [btf: string]>> = {
  __u8: ['unsigned char'],
  __u16: ['unsigned short'],
  __u32: ['unsigned int'],
  __u64: ['unsigned long long'],
  __s32: ['int'],
  __s64: ['long long'],
  __be16: ['unsigned short'],
  __be32: ['unsigned int'],
  u8: ['unsigned char'],
  u16: ['unsigned short'],
  u32: ['unsigned int'],
  u64: ['unsigned long long'],
  s32: ['int'],
  s64: ['long long'],
  bool: ['_Bool'],
};

const VOID_POINTER: TypeRef = { kind: 'pointer', to: undefined };

/** Records of `tp` programs. */
function records(): StructLayout[] {
  return [...TRACE_POINTS.values()].flatMap((p) => (p.record === undefined ? [] : [p.record]));
}

const keyOf = (type: TypeRef, count: number): string => `${count} ${JSON.stringify(type)}`;

/** Every pointer and array type that members and arguments need; a pointer's target may come later, an array's too. */
function derivedTypes(layouts: readonly StructLayout[]): Map<string, { type: TypeRef; count: number }> {
  const out = new Map<string, { type: TypeRef; count: number }>();
  const add = (type: TypeRef | undefined, count: number): void => {
    if (type === undefined) return;
    if (type.kind === 'pointer') {
      add(type.to, 0);
      out.set(keyOf(type, 0), { type, count: 0 });
    }
    if (count > 0) out.set(keyOf(type, count), { type, count });
  };
  add(VOID_POINTER, 0);
  for (const s of layouts) for (const m of s.members) add(m.type, m.count);
  for (const point of TRACE_POINTS.values()) for (const arg of point.args) add(arg.type, 0);
  return out;
}
