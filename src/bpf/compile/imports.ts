/**
 * What a compiled program imports: the memory, the table of programs for tail calls, and JavaScript functions for helpers.
 * All of them take and give 32-bit numbers: a 64-bit number would become a BigInt on the way.
 */
import { F64, I32, I64, type WasmModule } from '../../core/wasm.ts';
import { HELPER_NAMES } from '../../wire/uapi/bpf.ts';
import { BPF_ABS, BPF_CALL, BPF_IND, BPF_JMP, BPF_LD, BPF_PSEUDO_KFUNC_CALL, classOf, isLdImm64 } from '../insn.ts';
import { type CompileInput, type HelperAbi, NotCompiled } from './input.ts';

export const BPF_FUNC_TAIL_CALL = 12;
/** bpf_redirect, redirect_map, redirect_neigh, redirect_peer, sk_assign: what they ask for is in the `Run`. */
const LEAVES_BEHIND: ReadonlySet<number> = new Set([23, 51, 124, 152, 155]);

/** A helper as an import. */
export type ImportedHelper = HelperAbi & { readonly func: number };

export type Imports = {
  /** Helpers by number, kernel functions by the `imm` of their call. */
  readonly helpers: ReadonlyMap<number, ImportedHelper>;
  readonly kfuncs: ReadonlyMap<number, ImportedHelper>;
  /** `ld(offset, size) -> f64`, below 0 when the packet is too short; -1 when not used. */
  readonly load: number;
  /** `check(low, high, size, write, base)`; -1 when not checking. */
  readonly check: number;
  /** `after(packet number, verdict)` in a batch; -1 when nothing but the verdict is left behind. */
  readonly after: number;
  /** The shared table, -1 when the program makes no tail call and goes to no other chain; and the type of what is in it. */
  readonly programs: number;
  readonly mainType: number;
  readonly subType: number;
  readonly tailCalls: boolean;
};

/** Name of a helper's import: its own where it has one. */
export function helperName(id: number): string {
  const name = HELPER_NAMES[id];
  return name === undefined || name === '' ? `helper_${id}` : `bpf_${name.replace(/^bpf_/, '')}`;
}

/** Declares the imports of a module for everything that the program may call. */
export function declareImports(m: WasmModule, input: CompileInput, seen: (pc: number) => boolean): Imports {
  const { insns, kfuncs: names } = input.spec;
  const mainType = m.type([I32, I32], [I64]);
  const subType = m.type([I64, I64, I64, I64, I64, I32], [I64]);
  m.importMemory('env', 'memory', input.pages, input.pages);
  const helpers = new Map<number, ImportedHelper>();
  const kfuncs = new Map<number, ImportedHelper>();
  const args = [I32, I32, I32, I32, I32];
  let loads = false;
  let tailCalls = false;
  let chains = false;
  for (let pc = 0; pc < insns.length; pc++) {
    const insn = insns[pc];
    if (isLdImm64(insn)) {
      pc++;
      continue;
    }
    if (!seen(pc)) continue;
    if (classOf(insn) === BPF_LD && [BPF_ABS, BPF_IND].includes(insn.code & 0xe0)) loads = true;
    if (insn.code !== (BPF_JMP | BPF_CALL)) continue;
    if (insn.src === 0 && insn.imm === BPF_FUNC_TAIL_CALL) tailCalls = true;
    else if (insn.src === 0 && !helpers.has(insn.imm)) {
      const abi = input.helper(insn.imm);
      if (abi === undefined) throw new NotCompiled(`helper ${helperName(insn.imm)}, which it does not have`, pc);
      helpers.set(insn.imm, { ...abi, func: m.importFunc('helper', helperName(insn.imm), args, [I32]) });
    } else if (insn.src === BPF_PSEUDO_KFUNC_CALL && !kfuncs.has(insn.imm)) {
      const name = names?.get(insn.imm) ?? String(insn.imm);
      if (name === 'nft_jump' || name === 'nft_goto') {
        chains = true;
        continue;
      }
      const abi = input.kfunc?.(name);
      if (abi === undefined) throw new NotCompiled(`kernel function ${name}, which it does not have`, pc);
      kfuncs.set(insn.imm, { ...abi, func: m.importFunc('kfunc', name, args, [I32]) });
    }
  }
  const load = loads ? m.importFunc('env', 'load', [I32, I32], [F64]) : -1;
  const check = input.checking ? m.importFunc('env', 'check', [I32, I32, I32, I32, I32], []) : -1;
  const behind = tailCalls || [...helpers.keys()].some((id) => LEAVES_BEHIND.has(id));
  const after = behind && !input.noBatch ? m.importFunc('env', 'after', [I32, I32], []) : -1;
  const programs = tailCalls || chains ? m.importTable('env', 'programs', 0) : -1;
  return { helpers, kfuncs, load, check, after, programs, mainType, subType, tailCalls };
}
