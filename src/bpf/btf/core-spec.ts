/**
 * CO-RE, first half: what a relocation's access string ("0:3:1") means in one BTF, and the same access found again in
 * another (Documentation/bpf/llvm_reloc.rst, "CO-RE Relocations"; the rules of matching are libbpf's).
 */
import { type Btf, essentialName } from './btf.ts';
import { CoreError, fieldsCompatible, typesCompatible, typesMatch } from './core-match.ts';
import * as F from './format.ts';

export const BPF_CORE_FIELD_BYTE_OFFSET = 0;
export const BPF_CORE_FIELD_BYTE_SIZE = 1;
export const BPF_CORE_FIELD_EXISTS = 2;
export const BPF_CORE_FIELD_SIGNED = 3;
export const BPF_CORE_FIELD_LSHIFT_U64 = 4;
export const BPF_CORE_FIELD_RSHIFT_U64 = 5;
export const BPF_CORE_TYPE_ID_LOCAL = 6;
export const BPF_CORE_TYPE_ID_TARGET = 7;
export const BPF_CORE_TYPE_EXISTS = 8;
export const BPF_CORE_TYPE_SIZE = 9;
export const BPF_CORE_ENUMVAL_EXISTS = 10;
export const BPF_CORE_ENUMVAL_VALUE = 11;
export const BPF_CORE_TYPE_MATCHES = 12;

/** Names as libbpf prints them. */
export const CORE_RELO_NAMES: readonly string[] = [
  'byte_off',
  'byte_sz',
  'field_exists',
  'signed',
  'lshift_u64',
  'rshift_u64',
  'local_type_id',
  'target_type_id',
  'type_exists',
  'type_size',
  'enumval_exists',
  'enumval_value',
  'type_matches',
];

export const isFieldRelo = (kind: number): boolean => kind <= BPF_CORE_FIELD_RSHIFT_U64;
export const isEnumRelo = (kind: number): boolean =>
  kind === BPF_CORE_ENUMVAL_EXISTS || kind === BPF_CORE_ENUMVAL_VALUE;

export const isExistenceRelo = (kind: number): boolean =>
  kind === BPF_CORE_FIELD_EXISTS ||
  kind === BPF_CORE_TYPE_EXISTS ||
  kind === BPF_CORE_TYPE_MATCHES ||
  kind === BPF_CORE_ENUMVAL_EXISTS;

/** Steps of an access, at most. */
const MAX_STEPS = 64;

/** One step: member or enumerator `index` of a type (with its name), or element `index` of an array. */
export type CoreStep = { readonly typeId: number; readonly index: number; readonly name?: string };

export type CoreSpec = {
  readonly btf: Btf;
  readonly rootType: number;
  readonly steps: readonly CoreStep[];
  readonly bitOffset: number;
};

/** Reads an access string against the program's own BTF. */
export function parseSpec(btf: Btf, typeId: number, access: string, kind: number): CoreSpec {
  if (!/^\d+(:\d+)*$/.test(access)) throw new CoreError(`access string "${access}" is not numbers between colons`);
  const raw = access.split(':').map(Number);
  if (raw.length > MAX_STEPS) throw new CoreError(`access string of ${raw.length} steps; ${MAX_STEPS} are the most`);
  if (!isFieldRelo(kind) && !isEnumRelo(kind)) {
    if (access !== '0') throw new CoreError(`access string "${access}" of a type relocation is not "0"`);
    return { btf, rootType: typeId, steps: [], bitOffset: 0 };
  }
  let id = btf.resolve(typeId);
  if (isEnumRelo(kind)) {
    if (!F.isAnyEnum(btf.kind(id)) || raw.length > 1 || raw[0] >= btf.vlen(id))
      throw new CoreError(`access string "${access}" names no enumerator of type ${typeId}`);
    const { name } = btf.enumerator(id, raw[0]);
    return { btf, rootType: typeId, steps: [{ typeId: id, index: raw[0], name }], bitOffset: 0 };
  }
  const steps: CoreStep[] = [{ typeId: id, index: raw[0] }];
  let bitOffset = raw[0] * sized(btf, id) * 8;
  for (const index of raw.slice(1)) {
    id = btf.resolve(id);
    const kindOf = btf.kind(id);
    if (F.isComposite(kindOf)) {
      if (index >= btf.vlen(id)) throw new CoreError(`access string "${access}" leaves type ${id}`);
      const member = btf.member(id, index);
      bitOffset += member.bitOffset;
      if (member.name !== '') steps.push({ typeId: id, index, name: member.name });
      id = member.type;
    } else if (kindOf === F.BTF_KIND_ARRAY) {
      const { elem, count } = btf.array(id);
      if (index >= count && !isFlexible(btf, steps.at(-1)!, count))
        throw new CoreError(`access string "${access}" leaves array ${id}`);
      id = btf.resolve(elem);
      steps.push({ typeId: id, index });
      bitOffset += index * sized(btf, id) * 8;
    } else {
      throw new CoreError(`access string "${access}" steps into type ${id}, a ${F.BTF_KIND_NAMES[kindOf]}`);
    }
  }
  return { btf, rootType: typeId, steps, bitOffset };
}

function sized(btf: Btf, id: number): number {
  const size = btf.sizeOf(id);
  if (size === undefined) throw new CoreError(`type ${id} has no size`);
  return size;
}

/** A flexible array is the last member of a struct and has no elements by itself. */
function isFlexible(btf: Btf, step: CoreStep, count: number): boolean {
  return step.name !== undefined && count === 0 && step.index === btf.vlen(step.typeId) - 1;
}

/** The local access found in type `targetId` of another BTF; undefined when it is not there. */
export function matchSpec(local: CoreSpec, target: Btf, targetId: number, kind: number): CoreSpec | undefined {
  const found = (steps: readonly CoreStep[], bitOffset: number): CoreSpec => ({
    btf: target,
    rootType: targetId,
    steps,
    bitOffset,
  });
  if (!isFieldRelo(kind) && !isEnumRelo(kind)) {
    const same =
      kind === BPF_CORE_TYPE_MATCHES
        ? typesMatch(local.btf, local.rootType, target, targetId)
        : typesCompatible(local.btf, local.rootType, target, targetId);
    return same ? found([], 0) : undefined;
  }
  if (isEnumRelo(kind)) {
    const id = target.resolve(targetId);
    if (!F.isAnyEnum(target.kind(id))) return undefined;
    const wanted = essentialName(local.steps[0].name!);
    const index = target.enumerators(id).findIndex((e) => essentialName(e.name) === wanted);
    return index < 0 ? undefined : found([{ typeId: id, index, name: target.enumerator(id, index).name }], 0);
  }
  const steps: CoreStep[] = [];
  let bitOffset = 0;
  let id = targetId;
  for (const [i, step] of local.steps.entries()) {
    id = target.resolve(id);
    if (step.name !== undefined) {
      const member = matchMember(local.btf, step, target, id, new Set());
      if (member === undefined) return undefined;
      steps.push(member.step);
      bitOffset += member.bitOffset;
      id = member.type;
      continue;
    }
    if (i > 0) {
      if (target.kind(id) !== F.BTF_KIND_ARRAY) return undefined;
      const { elem, count } = target.array(id);
      if (step.index >= count && !isFlexible(target, steps.at(-1)!, count)) return undefined;
      id = target.resolve(elem);
    }
    steps.push({ typeId: id, index: step.index });
    bitOffset += step.index * sized(target, id) * 8;
  }
  return found(steps, bitOffset);
}

type FoundMember = { readonly step: CoreStep; readonly bitOffset: number; readonly type: number };

/** The member of that name and a compatible type, also inside anonymous structs and unions. */
function matchMember(
  btf: Btf,
  step: CoreStep,
  target: Btf,
  targetId: number,
  without: Set<number>,
): FoundMember | undefined {
  const id = target.resolve(targetId);
  if (!F.isComposite(target.kind(id)) || without.has(id)) return undefined;
  const type = btf.member(step.typeId, step.index).type;
  for (let index = 0; index < target.vlen(id); index++) {
    const member = target.member(id, index);
    if (member.name === '') {
      const inner = matchMember(btf, step, target, member.type, without);
      if (inner !== undefined) return { ...inner, bitOffset: inner.bitOffset + member.bitOffset };
    } else if (member.name === step.name) {
      if (!fieldsCompatible(btf, type, target, member.type)) return undefined;
      return { step: { typeId: id, index, name: member.name }, bitOffset: member.bitOffset, type: member.type };
    }
  }
  // Each anonymous type is searched once, however often it occurs.
  without.add(id);
  return undefined;
}
