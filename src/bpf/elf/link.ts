/**
 * Linking: a program is its own function and, behind it, every function it calls, each once, in the order of the first
 * call; calls, callbacks, maps and what .BTF.ext says of each function are moved along.
 */
import type { Btf } from '../btf/btf.ts';
import type { BtfExt } from '../btf/ext.ts';
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

/** Links programs from the functions of an object; one linker may put out only so many instructions. */
export class Linker {
  readonly #functions: Map<string, CodeFunction> = new Map();
  readonly #btf: Btf | undefined;
  readonly #ext: BtfExt | undefined;
  readonly #codes: ReadonlyMap<number, CodeSection>;
  #left = 16 * I.BPF_COMPLEXITY_LIMIT_INSNS;

  constructor(
    codes: ReadonlyMap<number, CodeSection>,
    functions: readonly CodeFunction[],
    btf: Btf | undefined,
    ext: BtfExt | undefined,
  ) {
    this.#codes = codes;
    this.#btf = btf;
    this.#ext = ext;
    for (const f of functions) this.#functions.set(`${f.code.section.index} ${f.start}`, f);
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
      if (top.next >= top.f.length) {
        stack.pop();
        continue;
      }
      const i = top.next++;
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
    const unresolved = new Map<number, string>();
    for (const [f, base] of places)
      for (const [at, what] of f.code.unresolved)
        if (at >= f.start && at < f.start + f.length) unresolved.set(at - f.start + base, what);
    return { insns: out, unresolved, ...this.#info(places) };
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
      const call = insn.code === (I.BPF_JMP | I.BPF_CALL) && insn.src === I.BPF_PSEUDO_CALL;
      const address = I.isLdImm64(insn) && insn.src === I.BPF_PSEUDO_FUNC;
      if (reference !== undefined || !(call || address)) return undefined;
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

  #info(places: ReadonlyMap<CodeFunction, number>): Pick<Linked, 'funcInfo' | 'lineInfo'> {
    const funcInfo: FuncInfo[] = [];
    const lineInfo: LineInfo[] = [];
    const [btf, ext] = [this.#btf, this.#ext];
    if (btf === undefined || ext === undefined) return { funcInfo, lineInfo };
    for (const [f, base] of places) {
      const { name } = f.code.section;
      const within = (offset: number): boolean =>
        offset % 8 === 0 && offset / 8 >= f.start && offset / 8 < f.start + f.length;
      for (const { offset, typeId } of ext.funcs.get(name) ?? [])
        if (within(offset)) funcInfo.push({ insn: offset / 8 - f.start + base, typeId });
      for (const { offset, file, text, line, column } of ext.lines.get(name) ?? []) {
        if (!within(offset)) continue;
        const insn = offset / 8 - f.start + base;
        lineInfo.push({ insn, file: btf.string(file), text: btf.string(text), line, column });
      }
    }
    return { funcInfo, lineInfo };
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
