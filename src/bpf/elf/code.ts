/**
 * Code sections: instructions with what each of them refers to, before programs are linked from them. A reference that
 * cannot be resolved is kept as a problem of its instruction, so that other programs of the object still load.
 */
import type { Btf } from '../btf/btf.ts';
import { CoreError } from '../btf/core-match.ts';
import {
  type CoreOptions,
  type CoreResult,
  describeCore,
  POISON_HELPER,
  patchCore,
  resolveCore,
} from '../btf/core-relo.ts';
import type { BtfExt, ExtRelo } from '../btf/ext.ts';
import * as I from '../insn.ts';
import { LoadError } from '../load-error.ts';
import * as E from './elf.ts';
import {
  type Elf,
  type ElfRelocation,
  type ElfSection,
  type ElfSymbol,
  R_BPF_64_32,
  R_BPF_64_64,
  STT_FUNC,
} from './elf.ts';
import type { Externs } from './externs.ts';

/** What an instruction refers to. */
export type Reference =
  | { readonly kind: 'map'; readonly map: number }
  | { readonly kind: 'value'; readonly map: number; readonly offset: number }
  /** A function: section and number of its first instruction there. */
  | { readonly kind: 'function'; readonly section: number; readonly insn: number; readonly name: string }
  | { readonly kind: 'kfunc'; readonly id: number | undefined; readonly order: number }
  | { readonly kind: 'type'; readonly typeId: number }
  | { readonly kind: 'constant'; readonly value: bigint }
  | { readonly kind: 'problem'; readonly error: LoadError };

export type CodeSection = {
  readonly section: ElfSection;
  readonly insns: readonly I.Insn[];
  readonly references: ReadonlyMap<number, Reference>;
  /** Instructions whose CO-RE relocation found nothing, and what was looked for. */
  readonly unresolved: ReadonlyMap<number, string>;
};

/** A function in a code section. */
export type CodeFunction = {
  readonly name: string;
  readonly code: CodeSection;
  /** First instruction in the section, and how many. */
  readonly start: number;
  readonly length: number;
  /** It has no symbol: there to be called only. */
  readonly anonymous?: boolean;
};

/** Finds the map that a symbol of a data or map section means. */
export type MapFinder = (symbol: ElfSymbol, offset: number) => Reference | string;

export type CodeContext = {
  readonly elf: Elf;
  readonly externs: Externs;
  readonly findMap: MapFinder;
  readonly btf: Btf | undefined;
  readonly ext: BtfExt | undefined;
  readonly target: Btf | undefined;
  readonly core: CoreOptions;
};

export const isCode = (s: ElfSection): boolean =>
  s.type === E.SHT_PROGBITS && (s.flags & E.SHF_EXECINSTR) !== 0 && s.size > 0;

/** Decodes a section and resolves its relocations, CO-RE ones included. */
export function readCode(section: ElfSection, context: CodeContext): CodeSection {
  if (section.size % 8 !== 0)
    throw new LoadError(section.name, section.size, `${section.size} bytes of code are no multiple of 8`);
  const insns = I.decodeInsns(section.bytes, context.elf.littleEndian);
  const references = new Map<number, Reference>();
  const unresolved = new Map<number, string>();
  const problem = (insn: number, text: string): void => {
    references.set(insn, { kind: 'problem', error: new LoadError(section.name, insn * 8, text) });
  };
  for (const relo of context.elf.relocations.get(section.index) ?? []) {
    const at = relo.offset / 8;
    if (!Number.isInteger(at) || at >= insns.length)
      throw new LoadError(
        relo.from,
        relo.at,
        `relocation at ${relo.offset}, where no instruction of '${section.name}' is`,
      );
    const found = reference(relo, insns, at, context);
    if (typeof found === 'string') problem(at, found);
    else references.set(at, found);
  }
  const results = new Map<string, CoreResult>();
  for (const relo of context.ext?.relos.get(section.name) ?? []) {
    const at = relo.offset / 8;
    if (!Number.isInteger(at) || at >= insns.length)
      throw new LoadError(
        '.BTF.ext',
        0,
        `CO-RE relocation at ${relo.offset}, where no instruction of '${section.name}' is`,
      );
    const failed = relocateCore(relo, insns, at, context, unresolved, results);
    if (failed !== undefined) problem(at, failed);
  }
  return { section, insns, references, unresolved };
}

function relocateCore(
  relo: ExtRelo,
  insns: I.Insn[],
  at: number,
  { btf, target, core }: CodeContext,
  unresolved: Map<number, string>,
  results: Map<string, CoreResult>,
): string | undefined {
  if (btf === undefined || target === undefined) return undefined;
  const { typeId, kind } = relo;
  const wanted = { typeId, kind, access: btf.string(relo.access) };
  try {
    const key = `${typeId} ${kind} ${relo.access}`;
    const result = results.get(key) ?? resolveCore(wanted, btf, target, core);
    results.set(key, result);
    patchCore(insns, at, result);
    if (insns[at].imm === POISON_HELPER) unresolved.set(at, describeCore(wanted, btf));
    return undefined;
  } catch (error) {
    if (!(error instanceof CoreError)) throw error;
    return `${describeCore(wanted, btf)}: ${error.message}`;
  }
}

/** What a relocated instruction refers to, or what is wrong with it. */
function reference(
  relo: ElfRelocation,
  insns: readonly I.Insn[],
  at: number,
  context: CodeContext,
): Reference | string {
  const { symbol, type } = relo;
  const insn = insns[at];
  const imm = insn.imm;
  const { sections } = context.elf;
  if (insn.code === (I.BPF_JMP | I.BPF_CALL)) {
    if (type !== R_BPF_64_32 && type !== R_BPF_64_64) return `relocation type ${type} for a call`;
    if (symbol.section === 0) {
      const found = context.externs.byName.get(symbol.name);
      if (found === undefined) return `call of '${symbol.name}', which is not defined`;
      if (found.kind !== 'kfunc') return `call of '${symbol.name}', which is no function`;
      if (found.problem !== undefined) return found.problem;
      return { kind: 'kfunc', id: found.id, order: found.order };
    }
    if (insn.src !== I.BPF_PSEUDO_CALL) return `relocation of a call to a helper`;
    if (sections[symbol.section] === undefined || !isCode(sections[symbol.section]))
      return `call into '${symbol.name}', which is no code`;
    const to = (symbol.value + relo.addend) / 8 + imm + 1;
    return { kind: 'function', section: symbol.section, insn: to, name: symbol.name };
  }
  if (!I.isLdImm64(insn) || at + 1 >= insns.length)
    return `relocation against '${symbol.name}' of an instruction with opcode 0x${insn.code.toString(16)}`;
  if (type !== R_BPF_64_64) return `relocation type ${type} for a 64-bit constant`;
  if (symbol.section === 0) {
    const found = context.externs.byName.get(symbol.name);
    if (found === undefined) return `'${symbol.name}' is not defined`;
    if (found.problem !== undefined) return found.problem;
    if (found.kind === 'kconfig') {
      const place = context.findMap({ ...symbol, name: '.kconfig' }, found.offset);
      return typeof place !== 'string' && place.kind === 'value' ? { ...place, offset: found.offset + imm } : place;
    }
    // Whether a weak function is there is all that its address is asked for.
    if (found.kind === 'kfunc') return { kind: 'constant', value: BigInt(found.id ?? 0) };
    if (found.typeId !== undefined) return { kind: 'type', typeId: found.typeId };
    return { kind: 'constant', value: found.address };
  }
  const section = sections[symbol.section];
  if (section === undefined) return `'${symbol.name}' is in no section`;
  if (isCode(section))
    return {
      kind: 'function',
      section: symbol.section,
      insn: (symbol.value + relo.addend + imm) / 8,
      name: symbol.name,
    };
  return context.findMap(symbol, symbol.value + relo.addend + imm);
}

/** The functions of a code section, by the symbol table; old compilers did not mark them as functions. */
export function functionsOf(elf: Elf, code: CodeSection): CodeFunction[] {
  const { section } = code;
  const inside = (elf.symbolsOf.get(section.index) ?? []).filter((s) => s.name !== '');
  let marked = inside.filter((s) => s.type === STT_FUNC);
  if (marked.length === 0) marked = inside.filter((s) => s.type === E.STT_NOTYPE && s.bind !== E.STB_LOCAL);
  // A static function of old clang has no symbol but its section's.
  if (marked.length === 0) return [{ name: section.name, code, start: 0, length: section.size / 8, anonymous: true }];
  // Without a size a function reaches to the next one.
  const starts = [...new Set(marked.map((s) => s.value))].sort((a, b) => a - b);
  const ends = new Map(starts.map((start, i) => [start, starts[i + 1] ?? section.size]));
  return marked.map((symbol): CodeFunction => {
    const { name, value } = symbol;
    const size = symbol.size > 0 ? symbol.size : ends.get(value)! - value;
    if (value % 8 !== 0 || size % 8 !== 0 || size <= 0 || value + size > section.size)
      throw new LoadError(section.name, value, `function '${name}' of ${size} bytes does not lie in the section`);
    return { name, code, start: value / 8, length: size / 8 };
  });
}
