/**
 * What a loader hands to the verifier: a program before verification, and the maps it names.
 */
import type { Insn } from './insn.ts';

/** How a map is made (`union bpf_attr` of BPF_MAP_CREATE, linux/bpf.h). */
export type MapSpec = {
  readonly name: string;
  /** BPF_MAP_TYPE_*. */
  readonly type: number;
  /** Bytes of a key and of a value. */
  readonly keySize: number;
  readonly valueSize: number;
  readonly maxEntries: number;
  /** BPF_F_*. */
  readonly flags: number;
  readonly mapExtra?: bigint;
  /** What the value's BTF says about fields that the kernel manages. */
  readonly record?: MapRecord;
  /** Array/hash of maps: the shape of the maps inside. */
  readonly inner?: MapSpec;
  /** Contents put in before the map is frozen or used: pairs of key and value. */
  readonly initial?: readonly (readonly [key: Uint8Array, value: Uint8Array])[];
  /** No writes from user space after the initial ones. With BPF_F_RDONLY_PROG the verifier may read the contents. */
  readonly frozen?: boolean;
  /** BTF type numbers of key and value, in the object's BTF; 0 for none. */
  readonly btfKeyType?: number;
  readonly btfValueType?: number;
  /** LIBBPF_PIN_BY_NAME: several objects share the map of this name. */
  readonly pinned?: boolean;
};

/** Fields inside a map value that only helpers may touch; offsets in bytes. */
export type MapRecord = {
  readonly spinLock?: number;
  readonly timer?: number;
  readonly workqueue?: number;
  readonly kptrs?: readonly number[];
};

/** One function of a program: instruction index and type number in the program's BTF (func_info). */
export type FuncInfo = { readonly insn: number; readonly typeId: number };

/** Where an instruction came from (line_info of .BTF.ext). */
export type LineInfo = {
  readonly insn: number;
  readonly file: string;
  /** The source text itself. */
  readonly text: string;
  readonly line: number;
  readonly column: number;
};

/** What the verifier needs of a map: its shape, and the contents of a read-only one. `BpfMap` is one. */
export type MapInfo = MapSpec & {
  /** Reads `size` (1, 2, 4, 8) bytes of the first value of a frozen read-only array, little endian. */
  readonly peek?: (offset: number, size: number) => bigint | undefined;
};

/** A program as loaded, before verification. */
export type ProgramSpec = {
  readonly name: string;
  /** ELF section it came from, '' if none. */
  readonly section: string;
  /** BPF_PROG_TYPE_*, and BPF_* attach type (0 if it does not matter). */
  readonly type: number;
  readonly expectedAttachType: number;
  /** BPF_F_*. */
  readonly flags: number;
  /** "GPL" opens the GPL-only helpers. */
  readonly license: string;
  /** LD_IMM64 with source BPF_PSEUDO_MAP_FD or BPF_PSEUDO_MAP_VALUE carries an index into `maps` as imm. */
  readonly insns: readonly Insn[];
  readonly maps: readonly MapSpec[];
  /** The object's BTF; needed for global functions, kfuncs and source lines. */
  readonly btf?: BtfView;
  readonly funcInfo?: readonly FuncInfo[];
  readonly lineInfo?: readonly LineInfo[];
  /** Tracing programs: the point they are for, as behind the slash of a section name ("kfree_skb"). */
  readonly target?: string;
  /** Kernel functions by the `imm` of their call instruction. */
  readonly kfuncs?: ReadonlyMap<number, string>;
};

/** What the verifier asks of BTF; implemented by `btf/btf.ts`. */
export type BtfView = {
  /** Parameters and linkage of a BTF_KIND_FUNC; undefined when `typeId` is not one. */
  func(typeId: number): BtfFunc | undefined;
};

export type BtfFunc = {
  readonly name: string;
  readonly linkage: 'static' | 'global' | 'extern';
  /** 'int' when it returns an integer of any size or an enum, 'void' when nothing. */
  readonly returns: 'void' | 'int' | 'other';
  readonly params: readonly BtfParam[];
};

export type BtfParam = {
  readonly name: string;
  /** int: any integer or enum; ctx: pointer to the program's context struct; mem: pointer to `size` bytes. */
  readonly kind: 'int' | 'ctx' | 'mem' | 'dynptr' | 'arena' | 'other';
  /** Bytes behind a pointer; for `int` its own bytes. */
  readonly size: number;
  /** Type name behind the pointer, without const and struct. */
  readonly pointee: string;
  /** `__arg_nonnull`, `__arg_ctx`... (btf_decl_tag "arg:nonnull"). */
  readonly tags: readonly string[];
};
