/**
 * CO-RE relocations (compile once, run everywhere; Documentation/bpf/llvm_reloc.rst): an instruction that depends on
 * the layout of a type gets the number that holds in the target's BTF. What cannot be resolved becomes a call of an
 * unknown helper, as libbpf does it: harmless in dead code, refused by the verifier elsewhere.
 */
import * as I from '../insn.ts';
import { type Btf, essentialName } from './btf.ts';
import { CoreError, sameKind } from './core-match.ts';
import * as S from './core-spec.ts';
import * as F from './format.ts';

/** The helper number that marks an instruction whose relocation did not resolve ("bad relo"). */
export const POISON_HELPER = 0xbad2310;

export type CoreOptions = {
  /** What the target does not name at all keeps the layout it was compiled with; questions whether it exists get 0. */
  readonly keepUnknown?: boolean;
};

export type CoreRelo = {
  readonly typeId: number;
  readonly access: string;
  /** BPF_CORE_*. */
  readonly kind: number;
};

/** What the relocated instruction must carry. */
export type CoreResult = {
  readonly poison: boolean;
  /** The number compiled in; checked against the instruction when `validate`. */
  readonly original: bigint;
  readonly value: bigint;
  readonly validate: boolean;
  /** Bytes of the field in the program's BTF and in the target's; 0 if sizes play no part. */
  readonly originalSize: number;
  readonly size: number;
  /** The sizes differ and the types forbid to adjust a load. */
  readonly badSize: boolean;
};

type Value = {
  readonly value: bigint;
  readonly size: number;
  readonly type: number;
  readonly validate: boolean;
};

const POISON = undefined;

const plain = (value: number | bigint, validate = true): Value => ({
  value: BigInt(value),
  size: 0,
  type: 0,
  validate,
});

/** Resolves one relocation of `local` against `target`; throws CoreError when it is malformed or ambiguous. */
export function resolveCore(relo: CoreRelo, local: Btf, target: Btf, options: CoreOptions = {}): CoreResult {
  if (relo.kind >= S.CORE_RELO_NAMES.length) throw new CoreError(`CO-RE relocation of unknown kind ${relo.kind}`);
  const spec = S.parseSpec(local, relo.typeId, relo.access, relo.kind);
  if (relo.kind === S.BPF_CORE_TYPE_ID_LOCAL) {
    const id = BigInt(relo.typeId);
    return { poison: false, original: id, value: id, validate: false, originalSize: 0, size: 0, badSize: false };
  }
  const name = local.name(relo.typeId);
  if (name === '') throw new CoreError(`type ${relo.typeId} has no name; only named types can be relocated`);
  let found: { spec: S.CoreSpec; result: CoreResult } | undefined;
  const namesakes = target.flavours(essentialName(name)).filter((id) => sameKind(local, relo.typeId, target, id));
  if (options.keepUnknown && namesakes.length === 0 && !S.isExistenceRelo(relo.kind))
    return evaluate(relo.kind, spec, spec);
  for (const id of namesakes) {
    const match = S.matchSpec(spec, target, id, relo.kind);
    if (match === undefined) continue;
    const result = evaluate(relo.kind, spec, match);
    if (found === undefined) {
      found = { spec: match, result };
    } else if (
      match.bitOffset !== found.spec.bitOffset ||
      result.poison !== found.result.poison ||
      result.value !== found.result.value
    ) {
      throw new CoreError(
        `${S.CORE_RELO_NAMES[relo.kind]} of ${name} is ambiguous: ` +
          `types ${found.spec.rootType} and ${match.rootType} of the target disagree`,
      );
    }
  }
  return found?.result ?? evaluate(relo.kind, spec, undefined);
}

function evaluate(kind: number, local: S.CoreSpec, target: S.CoreSpec | undefined): CoreResult {
  const before = relocated(kind, local);
  const after = relocated(kind, target);
  const result = {
    poison: before === POISON || after === POISON,
    original: before?.value ?? 0n,
    value: after?.value ?? 0n,
    validate: before?.validate ?? false,
    originalSize: before?.size ?? 0,
    size: after?.size ?? 0,
    badSize: false,
  };
  if (before === undefined || after === undefined || target === undefined || before.size === after.size) return result;
  // Zero extension makes another width of unsigned numbers, and of pointers, read the same; of nothing else.
  const pointers = local.btf.kind(before.type) === F.BTF_KIND_PTR && target.btf.kind(after.type) === F.BTF_KIND_PTR;
  return {
    ...result,
    badSize: !pointers && !(isUnsigned(local.btf, before.type) && isUnsigned(target.btf, after.type)),
  };
}

const isUnsigned = (btf: Btf, id: number): boolean =>
  btf.kind(id) === F.BTF_KIND_INT && btf.int(id).encoding !== F.BTF_INT_SIGNED;

/** The number of a relocation in one BTF; undefined asks for poison. */
function relocated(kind: number, spec: S.CoreSpec | undefined): Value | undefined {
  if (S.isFieldRelo(kind)) return fieldValue(kind, spec);
  switch (kind) {
    case S.BPF_CORE_ENUMVAL_EXISTS:
      return plain(spec === undefined ? 0 : 1);
    case S.BPF_CORE_ENUMVAL_VALUE: {
      if (spec === undefined) return POISON;
      const { typeId, index } = spec.steps[0];
      const { value } = spec.btf.enumerator(typeId, index);
      return plain(BigInt.asUintN(64, spec.btf.kind(typeId) === F.BTF_KIND_ENUM ? BigInt.asIntN(32, value) : value));
    }
    case S.BPF_CORE_TYPE_ID_TARGET:
      return spec === undefined ? plain(0) : plain(spec.rootType, false);
    case S.BPF_CORE_TYPE_SIZE: {
      if (spec === undefined) return plain(0);
      const size = spec.btf.sizeOf(spec.rootType);
      if (size === undefined) throw new CoreError(`type ${spec.rootType} has no size`);
      return plain(size);
    }
    default:
      return plain(spec === undefined ? 0 : 1);
  }
}

function fieldValue(kind: number, spec: S.CoreSpec | undefined): Value | undefined {
  if (kind === S.BPF_CORE_FIELD_EXISTS) return plain(spec === undefined ? 0 : 1);
  if (spec === undefined) return POISON;
  const { btf, bitOffset } = spec;
  const last = spec.steps.at(-1)!;
  if (last.name === undefined) {
    const size = btf.sizeOf(last.typeId) ?? 0;
    if (kind === S.BPF_CORE_FIELD_BYTE_OFFSET)
      return { value: BigInt(Math.floor(bitOffset / 8)), size, type: last.typeId, validate: true };
    if (kind === S.BPF_CORE_FIELD_BYTE_SIZE) return plain(size);
    throw new CoreError(`${S.CORE_RELO_NAMES[kind]} cannot be asked of an array element`);
  }
  const member = btf.member(last.typeId, last.index);
  const type = btf.resolve(member.type);
  const size = btf.sizeOf(type);
  if (size === undefined) throw new CoreError(`field ${last.name} has no size`);
  const field = place(bitOffset, member.bitfieldSize, size, last.name);
  const validate = member.bitfieldSize === 0;
  switch (kind) {
    case S.BPF_CORE_FIELD_BYTE_OFFSET: {
      if (!validate) return plain(field.byte, false);
      // A load of an array's member moves one element.
      let elem = type;
      while (btf.kind(elem) === F.BTF_KIND_ARRAY) elem = btf.resolve(btf.array(elem).elem);
      return { value: BigInt(field.byte), size: btf.sizeOf(elem) ?? 0, type: elem, validate };
    }
    case S.BPF_CORE_FIELD_BYTE_SIZE:
      return plain(field.bytes, validate);
    case S.BPF_CORE_FIELD_SIGNED: {
      const signedEnum = F.isAnyEnum(btf.kind(type)) && btf.kindFlag(type);
      const signedInt = btf.kind(type) === F.BTF_KIND_INT && (btf.int(type).encoding & F.BTF_INT_SIGNED) !== 0;
      return plain(signedEnum || signedInt ? 1 : 0);
    }
    case S.BPF_CORE_FIELD_LSHIFT_U64: {
      const shift = btf.littleEndian
        ? 64 - (bitOffset + field.bits - field.byte * 8)
        : (8 - field.bytes) * 8 + (bitOffset - field.byte * 8);
      return plain(BigInt.asUintN(64, BigInt(shift)), validate);
    }
    default:
      return plain(BigInt.asUintN(64, BigInt(64 - field.bits)));
  }
}

/** Where to load a field from: a bit field lies in the smallest aligned integer that holds all of it. */
function place(
  bitOffset: number,
  bitfieldSize: number,
  size: number,
  name: string,
): { readonly byte: number; readonly bytes: number; readonly bits: number } {
  if (bitfieldSize === 0) return { byte: Math.floor(bitOffset / 8), bytes: size, bits: size * 8 };
  let bytes = Math.max(size, 1);
  let byte = Math.floor(bitOffset / 8 / bytes) * bytes;
  while (bitOffset + bitfieldSize - byte * 8 > bytes * 8) {
    if (bytes >= 8) throw new CoreError(`no load of 8 bytes holds bit field ${name}`);
    bytes *= 2;
    byte = Math.floor(bitOffset / 8 / bytes) * bytes;
  }
  return { byte, bytes, bits: bitfieldSize };
}

/** "byte_off of struct sk_buff, field len": a relocation in words. */
export function describeCore(relo: CoreRelo, local: Btf): string {
  const kind = local.kind(relo.typeId);
  const word =
    F.isComposite(kind) || F.isAnyEnum(kind)
      ? `${(F.BTF_KIND_NAMES[kind] ?? '').replace('64', '').toLowerCase()} `
      : '';
  const what = `${S.CORE_RELO_NAMES[relo.kind]} of ${word}${local.name(relo.typeId)}`;
  try {
    const path = S.parseSpec(local, relo.typeId, relo.access, relo.kind).steps.map((s) => s.name ?? `[${s.index}]`);
    // The first index is that of the pointer: nearly always 0.
    if (path[0] === '[0]') path.shift();
    if (path.length === 0) return what;
    return `${what}, ${S.isEnumRelo(relo.kind) ? 'value' : 'field'} ${path.join('.').replaceAll('.[', '[')}`;
  } catch {
    return what;
  }
}

const poisoned: I.Insn = { code: I.BPF_JMP | I.BPF_CALL, dst: 0, src: 0, off: 0, imm: POISON_HELPER };

const SIZE_BITS: Readonly<Record<number, number>> = { 1: I.BPF_B, 2: I.BPF_H, 4: I.BPF_W, 8: I.BPF_DW };

/** Writes a result into instruction `at` of `insns`. */
export function patchCore(insns: I.Insn[], at: number, result: CoreResult): void {
  const insn = insns[at];
  const wide = I.isLdImm64(insn);
  if (result.poison) {
    insns[at] = poisoned;
    if (wide && at + 1 < insns.length) insns[at + 1] = poisoned;
    return;
  }
  const low = Number(BigInt.asIntN(32, result.value));
  const expect = (value: bigint): void => {
    if (result.validate && BigInt.asUintN(64, value) !== BigInt.asUintN(64, result.original))
      throw new CoreError(`the instruction carries ${value}, its relocation says ${result.original}`);
  };
  switch (I.classOf(insn)) {
    case I.BPF_ALU:
    case I.BPF_ALU64:
      if ((insn.code & 8) !== I.BPF_K) throw new CoreError('the arithmetic instruction has no immediate');
      expect(BigInt(insn.imm));
      insns[at] = { ...insn, imm: low };
      return;
    case I.BPF_LDX:
    case I.BPF_ST:
    case I.BPF_STX: {
      expect(BigInt(insn.off));
      if (result.value > 0x7fffn) throw new CoreError(`offset ${result.value} does not fit in 16 bits`);
      if (result.badSize) {
        insns[at] = poisoned;
        return;
      }
      let { code } = insn;
      if (result.size !== result.originalSize) {
        if (I.sizeOf(code) !== result.originalSize)
          throw new CoreError(`the instruction moves ${I.sizeOf(code)} bytes, its field has ${result.originalSize}`);
        const bits = SIZE_BITS[result.size];
        if (bits === undefined) throw new CoreError(`no load moves ${result.size} bytes`);
        code = (code & ~0x18) | bits;
      }
      insns[at] = { ...insn, code, off: low };
      return;
    }
    case I.BPF_LD: {
      const next = insns[at + 1];
      if (!wide || insn.src !== 0 || insn.off !== 0 || next === undefined || next.code !== 0)
        throw new CoreError('the instruction is no plain LD_IMM64');
      expect((BigInt(next.imm) << 32n) | BigInt(insn.imm >>> 0));
      insns[at] = { ...insn, imm: low };
      insns[at + 1] = { ...next, imm: Number(BigInt.asIntN(32, result.value >> 32n)) };
      return;
    }
    default:
      throw new CoreError(`instruction with opcode 0x${insn.code.toString(16)} cannot be relocated`);
  }
}
