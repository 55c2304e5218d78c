/** Variables of a data section: names and types from BTF, places from the symbol table. */
import type { Btf } from '../btf/btf.ts';
import * as F from '../btf/format.ts';
import { LoadError } from '../load-error.ts';
import { type Elf, type ElfSymbol, STB_LOCAL, STT_FUNC, STV_HIDDEN, STV_INTERNAL } from './elf.ts';

export type Variable = {
  readonly name: string;
  readonly type: number;
  readonly offset: number;
  readonly size: number;
  /** BTF_VAR_*. */
  readonly linkage: number;
};

/** Writes into an object's BTF what clang leaves to the loader: sizes of data sections, places of global variables. */
export function completeBtf(btf: Btf, elf: Elf): void {
  const places = new Map<string, ElfSymbol>();
  const hidden = new Set<string>();
  for (const symbol of elf.symbols) {
    if (symbol.bind === STB_LOCAL) continue;
    places.set(symbol.name, symbol);
    if (symbol.type === STT_FUNC && (symbol.visibility === STV_HIDDEN || symbol.visibility === STV_INTERNAL))
      hidden.add(symbol.name);
  }
  const sections = new Map(elf.sections.map((s) => [s.name, s]));
  for (let id = btf.firstId; id < btf.end; id++) {
    const kind = btf.kind(id);
    if (kind === F.BTF_KIND_FUNC && btf.linkage(id) === F.BTF_FUNC_GLOBAL && hidden.has(btf.name(id)))
      btf.setStatic(id);
    if (kind !== F.BTF_KIND_DATASEC) continue;
    const section = sections.get(btf.name(id));
    if (section === undefined || section.size > 0xffffffff) continue;
    const vars = btf.vars(id).map((v) => {
      const symbol = btf.kind(v.type) === F.BTF_KIND_VAR ? places.get(btf.name(v.type)) : undefined;
      return symbol?.section === section.index ? { ...v, offset: symbol.value } : v;
    });
    btf.setVars(
      id,
      section.size,
      vars.sort((a, b) => a.offset - b.offset),
    );
  }
}

/** Variables of the DATASEC of that name, in order of their places. */
export function variables(btf: Btf, section: string): Variable[] {
  const id = btf.find(section, F.BTF_KIND_DATASEC);
  return id === 0 ? [] : variablesOf(btf, id);
}

export function variablesOf(btf: Btf, datasec: number): Variable[] {
  return btf.vars(datasec).map(({ type, offset, size }) => {
    if (btf.kind(type) !== F.BTF_KIND_VAR)
      throw new LoadError('.BTF', 0, `DATASEC ${btf.name(datasec)} holds type ${type}, which is no variable`);
    return { name: btf.name(type), type: btf.target(type), offset, size, linkage: btf.linkage(type) };
  });
}
