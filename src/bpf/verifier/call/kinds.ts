/** What the shape of a call instruction says, before any path is walked. */
import { BPF_CALL, BPF_JMP, BPF_PSEUDO_KFUNC_CALL, type Insn } from '../../insn.ts';
import type { ProgramSpec } from '../../program.ts';
import { helperProto } from '../helper-table.ts';

const FOR_EACH_MAP_ELEM = 164;
const TIMER_SET_CALLBACK = 170;
const FIND_VMA = 180;
const LOOP = 181;
const USER_RINGBUF_DRAIN = 209;

const SYNC: ReadonlySet<number> = new Set([FOR_EACH_MAP_ELEM, FIND_VMA, LOOP, USER_RINGBUF_DRAIN]);

export const isHelperCall = (insn: Insn): boolean => insn.code === (BPF_JMP | BPF_CALL) && insn.src === 0;

/** Name of the kernel function called, undefined for other instructions. */
export function kfuncName(insn: Insn, spec: ProgramSpec): string | undefined {
  if (insn.code !== (BPF_JMP | BPF_CALL) || insn.src !== BPF_PSEUDO_KFUNC_CALL) return undefined;
  return spec.kfuncs?.get(insn.imm);
}

/** Calls a function of the program before it returns, any number of times. */
export function callsSyncCallback(insn: Insn, spec: ProgramSpec): boolean {
  if (isHelperCall(insn)) return SYNC.has(insn.imm);
  return kfuncName(insn, spec) === 'bpf_rbtree_add_impl';
}

/** Lets a function of the program be called later. */
export function callsAsyncCallback(insn: Insn, spec: ProgramSpec): boolean {
  if (isHelperCall(insn)) return insn.imm === TIMER_SET_CALLBACK;
  return kfuncName(insn, spec) === 'bpf_wq_set_callback_impl';
}

export function isIterNext(insn: Insn, spec: ProgramSpec): boolean {
  const name = kfuncName(insn, spec);
  return name !== undefined && /^bpf_iter_.*_next$/.test(name);
}

/** Registers R1 to Rn that a helper or kernel function may read. */
export function argumentCount(insn: Insn, spec: ProgramSpec): number {
  if (isHelperCall(insn)) return helperProto(insn.imm, spec.type)?.args.length ?? 5;
  return 5;
}
