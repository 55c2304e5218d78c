/** References and locks that a program holds: acquired, given back, and none left at the end. */
import { EINVAL } from '../../core/errno.ts';
import type { Verifier } from './env.ts';
import type { Reg } from './reg.ts';
import { STACK_DYNPTR, type StackSlot } from './state.ts';
import { setUnknown } from './values.ts';

/** A new reference, held until released; its id marks every register that stands for the object. */
export function acquireRef(v: Verifier, insn: number): number {
  const id = v.newId();
  v.state.refs.push({ kind: 'ptr', id, insn, owner: undefined });
  return id;
}

export function holdsRef(v: Verifier, id: number): boolean {
  return v.state.refs.some((r) => r.kind === 'ptr' && r.id === id);
}

/** Gives a reference back without touching the registers; false when it is not held. */
export function dropRef(v: Verifier, id: number): boolean {
  const at = v.state.refs.findIndex((r) => r.kind === 'ptr' && r.id === id);
  if (at < 0) return false;
  v.state.refs.splice(at, 1);
  return true;
}

/** Gives a reference back; registers and slots that stood for the object become unknown. */
export function releaseRef(v: Verifier, id: number): boolean {
  if (!dropRef(v, id)) return false;
  forEachReg(v, (reg, slot) => {
    if (reg.refId !== id) return;
    if (slot !== undefined && slot.types >>> 28 === STACK_DYNPTR) return;
    if (v.allowPtrLeaks || slot === undefined) setUnknown(v, reg);
    if (!v.allowPtrLeaks && slot === undefined) reg.type = 0;
  });
  return true;
}

export function acquireLock(v: Verifier, kind: 'lock' | 'res_lock', insn: number, id: number, owner: unknown): void {
  v.state.refs.push({ kind, id, insn, owner });
  v.state.activeLocks++;
}

/** Gives a lock back; false when this one is not held. */
export function releaseLock(v: Verifier, kind: 'lock' | 'res_lock', id: number, owner: unknown): boolean {
  const at = v.state.refs.findLastIndex((r) => r.kind === kind && r.id === id && r.owner === owner);
  if (at < 0) return false;
  v.state.refs.splice(at, 1);
  v.state.activeLocks--;
  return true;
}

/** Visits every register of every frame, and every register spilled to their stacks. */
export function forEachReg(v: Verifier, visit: (reg: Reg, slot: StackSlot | undefined) => void): void {
  for (const frame of v.state.frames) {
    for (const reg of frame.regs) visit(reg, undefined);
    for (const slot of frame.stack) if (slot.reg.type !== 0 && slot.types >>> 28 !== 0) visit(slot.reg, slot);
  }
}

/** `prefix` names the place: "BPF_EXIT instruction in main prog", "tail_call", "BPF_LD_[ABS|IND]". */
export function checkResourceLeak(v: Verifier, prefix: string, checkLocks: boolean): void {
  const { state } = v;
  if (checkLocks && state.activeLocks > 0) v.reject(EINVAL, `${prefix} cannot be used inside bpf_spin_lock-ed region`);
  // What a called function leaves behind is its caller's to give back.
  const leaked = state.depth === 0 ? state.refs.find((r) => r.kind === 'ptr') : undefined;
  if (leaked !== undefined) {
    v.note(`Unreleased reference id=${leaked.id} alloc_insn=${leaked.insn}`);
    v.reject(EINVAL, `${prefix} would lead to reference leak`);
  }
  if (!checkLocks) return;
  if (state.activeIrqId !== 0) v.reject(EINVAL, `${prefix} cannot be used inside bpf_local_irq_save-ed region`);
  if (state.activeRcuLocks > 0) v.reject(EINVAL, `${prefix} cannot be used inside bpf_rcu_read_lock-ed region`);
  if (state.activePreemptLocks > 0) v.reject(EINVAL, `${prefix} cannot be used inside bpf_preempt_disable-ed region`);
}
