/**
 * Linking: a program is its own function and, behind it, every function it calls, each once, in the order of the first
 * call; calls, callbacks, maps and what .BTF.ext says of each function are moved along.
 */
import type { Btf } from '../btf/btf.ts';
import type { BtfExt, ExtFunc, ExtLine } from '../btf/ext.ts';
import * as I from '../insn.ts';
import { LoadError } from '../load-error.ts';
import type { FuncInfo, LineInfo } from '../program.ts';
import type { CodeFunction, CodeSection, Reference } from './code.ts';

/** Call numbers from here on mark weak kernel functions that are not there, as libbpf does. */
const POISON_KFUNC = 2002000000;

export type Linked = {
  readonly insns: readonly I.Insn[];
  readonly funcInfo: readonly FuncInfo[];
  readonly lineInfo: readonly LineInfo[];
  /** Instructions whose CO-RE relocation found nothing, and what was looked for. */
  readonly unresolved: ReadonlyMap<number, string>;
};

type Records = {
  readonly funcs: ReadonlyMap<number, readonly ExtFunc[]>;
  readonly lines: ReadonlyMap<number, readonly ExtLine[]>;
  readonly unresolved: ReadonlyMap<number, readonly { readonly offset: number; readonly what: string }[]>;
};

/** Links programs from the functions of an object; one linker may put out only so many instructions. */
export class Linker {
  readonly #functions: Map<string, CodeFunction> = new Map();
  readonly #btf: Btf | undefined;
  readonly #ext: BtfExt | undefined;
  readonly #codes: ReadonlyMap<number, CodeSection>;
  readonly #recordsOf: Map<number, Records> = new Map();
  /** First instructions of functions by section, sorted. */
  readonly #starts: Map<number, number[]> = new Map();
  readonly #sites: Map<CodeFunction, readonly number[]> = new Map();
  #left = 4 * I.BPF_COMPLEXITY_LIMIT_INSNS;

  constructor(
    codes: ReadonlyMap<number, CodeSection>,
    functions: readonly CodeFunction[],
    btf: Btf | undefined,
    ext: BtfExt | undefined,
  ) {
    this.#codes = codes;
    this.#btf = btf;
    this.#ext = ext;
    for (const f of functions) {
      const { index } = f.code.section;
      this.#functions.set(`${index} ${f.start}`, f);
      const starts = this.#starts.get(index);
      if (starts === undefined) this.#starts.set(index, [f.start]);
      else starts.push(f.start);
    }
    for (const starts of this.#starts.values()) starts.sort((a, b) => a - b);
  }

  /** The program that starts with `main`; throws LoadError. */
  link(main: CodeFunction): Linked {
    const out: I.Insn[] = [];
    const places = new Map<CodeFunction, number>();
    const append = (f: CodeFunction): number => {
      const base = out.length;
      this.#left -= f.length;
      if (base + f.length > I.BPF_COMPLEXITY_LIMIT_INSNS || this.#left < 0)
        throw new LoadError(f.code.section.name, f.start * 8, `program '${main.name}' has too many instructions`);
      places.set(f, base);
      for (let i = 0; i < f.length; i++) out.push(f.code.insns[f.start + i]);
      return base;
    };
    const stack = [{ f: main, base: append(main), next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1];
      const i = this.#sitesOf(top.f)[top.next++];
      if (i === undefined) {
        stack.pop();
        continue;
      }
      const at = top.base + i;
      const reference = top.f.code.references.get(top.f.start + i);
      const callee = this.#callee(top.f, i, reference);
      if (callee === undefined) {
        if (reference !== undefined) apply(out, at, reference);
        continue;
      }
      let base = places.get(callee);
      if (base === undefined) {
        base = append(callee);
        stack.push({ f: callee, base, next: 0 });
      }
      const insn = out[at];
      const imm = base - at - 1;
      out[at] = I.isLdImm64(insn) ? { ...insn, src: I.BPF_PSEUDO_FUNC, imm } : { ...insn, imm };
      if (I.isLdImm64(insn)) out[at + 1] = { ...out[at + 1], imm: 0 };
    }
    return { insns: out, ...this.#info(places) };
  }

  /** Instructions of a function that refer to something, or may. */
  #sitesOf(f: CodeFunction): readonly number[] {
    const known = this.#sites.get(f);
    if (known !== undefined) return known;
    const sites: number[] = [];
    for (let i = 0; i < f.length; i++) {
      const insn = f.code.insns[f.start + i];
      const call = insn.code === (I.BPF_JMP | I.BPF_CALL) && insn.src === I.BPF_PSEUDO_CALL;
      const address = I.isLdImm64(insn) && insn.src === I.BPF_PSEUDO_FUNC;
      if (call || address || f.code.references.has(f.start + i)) sites.push(i);
    }
    this.#sites.set(f, sites);
    return sites;
  }

  /** The function that instruction `i` of `f` calls or takes the address of. */
  #callee(f: CodeFunction, i: number, reference: Reference | undefined): CodeFunction | undefined {
    const insn = f.code.insns[f.start + i];
    const place = f.start + i;
    let section = f.code.section.index;
    let to: number;
    let name = '';
    if (reference?.kind === 'function') {
      ({ section, insn: to, name } = reference);
    } else {
      if (reference !== undefined) return undefined;
      to = place + insn.imm + 1;
    }
    const callee = this.#functions.get(`${section} ${to}`);
    if (callee === undefined) {
      const where = this.#codes.get(section)?.section.name ?? `section ${section}`;
      throw new LoadError(
        f.code.section.name,
        place * 8,
        `${name === '' ? 'call' : `'${name}'`} leads to instruction ${to} of '${where}', where no function starts`,
      );
    }
    return callee;
  }

  /** Records of a section by the function they belong to, by its first instruction. */
  #group<T extends { readonly offset: number }>(section: number, records: readonly T[]): Map<number, T[]> {
    const starts = this.#starts.get(section) ?? [];
    const groups = new Map<number, T[]>();
    for (const record of records) {
      const at = record.offset / 8;
      let [low, high] = [0, starts.length];
      while (low < high) {
        const middle = (low + high) >> 1;
        if (starts[middle] <= at) low = middle + 1;
        else high = middle;
      }
      const owner = starts[low - 1];
      if (owner === undefined || !Number.isInteger(at)) continue;
      const list = groups.get(owner);
      if (list === undefined) groups.set(owner, [record]);
      else list.push(record);
    }
    return groups;
  }

  /** What .BTF.ext says of a section, by function. */
  #records(code: CodeSection): Records {
    const { index, name } = code.section;
    let records = this.#recordsOf.get(index);
    if (records === undefined) {
      records = {
        funcs: this.#group(index, this.#ext?.funcs.get(name) ?? []),
        lines: this.#group(index, this.#ext?.lines.get(name) ?? []),
        unresolved: this.#group(
          index,
          [...code.unresolved].map(([insn, what]) => ({ offset: insn * 8, what })),
        ),
      };
      this.#recordsOf.set(index, records);
    }
    return records;
  }

  #info(places: ReadonlyMap<CodeFunction, number>): Omit<Linked, 'insns'> {
    const funcInfo: FuncInfo[] = [];
    const lineInfo: LineInfo[] = [];
    const unresolved = new Map<number, string>();
    const btf = this.#btf;
    if (btf === undefined) return { funcInfo, lineInfo, unresolved };
    for (const [f, base] of places) {
      const move = (offset: number): number => offset / 8 - f.start + base;
      const within = ({ offset }: { readonly offset: number }): boolean => offset / 8 < f.start + f.length;
      const { funcs, lines, unresolved: missing } = this.#records(f.code);
      for (const r of (funcs.get(f.start) ?? []).filter(within))
        funcInfo.push({ insn: move(r.offset), typeId: r.typeId });
      for (const r of (lines.get(f.start) ?? []).filter(within)) {
        const { line, column } = r;
        lineInfo.push({ insn: move(r.offset), file: btf.string(r.file), text: btf.string(r.text), line, column });
      }
      for (const r of (missing.get(f.start) ?? []).filter(within)) unresolved.set(move(r.offset), r.what);
    }
    return { funcInfo, lineInfo, unresolved };
  }
}

/** Writes what is not a call into instruction `at`. */
function apply(out: I.Insn[], at: number, reference: Reference): void {
  const insn = out[at];
  switch (reference.kind) {
    case 'problem':
      throw reference.error;
    case 'map':
      out[at] = { ...insn, src: I.BPF_PSEUDO_MAP_FD, imm: reference.map };
      out[at + 1] = { ...out[at + 1], imm: 0 };
      return;
    case 'value':
      out[at] = { ...insn, src: I.BPF_PSEUDO_MAP_VALUE, imm: reference.map };
      out[at + 1] = { ...out[at + 1], imm: reference.offset };
      return;
    case 'kfunc': {
      const { id, order } = reference;
      if (id === undefined)
        out[at] = { code: I.BPF_JMP | I.BPF_CALL, dst: 0, src: 0, off: 0, imm: POISON_KFUNC + order };
      else out[at] = { ...insn, src: I.BPF_PSEUDO_KFUNC_CALL, off: 0, imm: id };
      return;
    }
    case 'type':
      out[at] = { ...insn, src: I.BPF_PSEUDO_BTF_ID, imm: reference.typeId };
      out[at + 1] = { ...out[at + 1], imm: 0 };
      return;
    case 'constant':
      out[at] = { ...insn, imm: Number(BigInt.asIntN(32, reference.value)) };
      out[at + 1] = { ...out[at + 1], imm: Number(BigInt.asIntN(32, reference.value >> 32n)) };
      return;
  }
}
