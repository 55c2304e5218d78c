/** Numbers of the BPF type format (Documentation/bpf/btf.rst). */

export const BTF_MAGIC = 0xeb9f;
export const BTF_VERSION = 1;
/** Bytes of the header every writer makes, and of `struct btf_type`. */
export const BTF_HEADER_LEN = 24;
export const BTF_TYPE_LEN = 12;

export const BTF_KIND_UNKN = 0;
export const BTF_KIND_INT = 1;
export const BTF_KIND_PTR = 2;
export const BTF_KIND_ARRAY = 3;
export const BTF_KIND_STRUCT = 4;
export const BTF_KIND_UNION = 5;
export const BTF_KIND_ENUM = 6;
export const BTF_KIND_FWD = 7;
export const BTF_KIND_TYPEDEF = 8;
export const BTF_KIND_VOLATILE = 9;
export const BTF_KIND_CONST = 10;
export const BTF_KIND_RESTRICT = 11;
export const BTF_KIND_FUNC = 12;
export const BTF_KIND_FUNC_PROTO = 13;
export const BTF_KIND_VAR = 14;
export const BTF_KIND_DATASEC = 15;
export const BTF_KIND_FLOAT = 16;
export const BTF_KIND_DECL_TAG = 17;
export const BTF_KIND_TYPE_TAG = 18;
export const BTF_KIND_ENUM64 = 19;
export const NR_BTF_KINDS = 20;

export const BTF_INT_SIGNED = 1;
export const BTF_INT_CHAR = 2;
export const BTF_INT_BOOL = 4;

export const BTF_VAR_STATIC = 0;
export const BTF_VAR_GLOBAL_ALLOCATED = 1;
export const BTF_VAR_GLOBAL_EXTERN = 2;

export const BTF_FUNC_STATIC = 0;
export const BTF_FUNC_GLOBAL = 1;
export const BTF_FUNC_EXTERN = 2;

/** The kernel's limit (BTF_MAX_TYPE is one less than this, and ids above it mean nothing). */
export const BTF_MAX_TYPE = 0xfffff;

/** Names of the kinds as `bpftool btf dump` prints them. */
export const BTF_KIND_NAMES: readonly string[] = [
  'UNKNOWN',
  'INT',
  'PTR',
  'ARRAY',
  'STRUCT',
  'UNION',
  'ENUM',
  'FWD',
  'TYPEDEF',
  'VOLATILE',
  'CONST',
  'RESTRICT',
  'FUNC',
  'FUNC_PROTO',
  'VAR',
  'DATASEC',
  'FLOAT',
  'DECL_TAG',
  'TYPE_TAG',
  'ENUM64',
];

/** Bytes behind `struct btf_type` for this kind: a fixed part and a part for each of `vlen` entries. */
export function btfExtraLen(kind: number, vlen: number): number {
  switch (kind) {
    case BTF_KIND_INT:
    case BTF_KIND_VAR:
    case BTF_KIND_DECL_TAG:
      return 4;
    case BTF_KIND_ARRAY:
      return 12;
    case BTF_KIND_ENUM:
    case BTF_KIND_FUNC_PROTO:
      return vlen * 8;
    case BTF_KIND_STRUCT:
    case BTF_KIND_UNION:
    case BTF_KIND_DATASEC:
    case BTF_KIND_ENUM64:
      return vlen * 12;
    default:
      return 0;
  }
}

/** Kinds whose third word is a type. */
export const refersToType = (kind: number): boolean =>
  kind === BTF_KIND_PTR ||
  (kind >= BTF_KIND_TYPEDEF && kind <= BTF_KIND_VAR) ||
  kind === BTF_KIND_DECL_TAG ||
  kind === BTF_KIND_TYPE_TAG;

/** const, volatile, restrict, type tags: what a type may wear without changing. */
export const isModifier = (kind: number): boolean =>
  (kind >= BTF_KIND_VOLATILE && kind <= BTF_KIND_RESTRICT) || kind === BTF_KIND_TYPE_TAG;

export const isComposite = (kind: number): boolean => kind === BTF_KIND_STRUCT || kind === BTF_KIND_UNION;
export const isAnyEnum = (kind: number): boolean => kind === BTF_KIND_ENUM || kind === BTF_KIND_ENUM64;
