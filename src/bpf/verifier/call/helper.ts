/** A call of a helper function: may it be called here, do its arguments fit, what is known afterwards. */
import { EACCES, EFAULT, EINVAL, ENOTSUPP } from '../../../core/errno.ts';
import {
  BPF_F_RDONLY_PROG,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_TRACING,
  HELPER_NAMES,
} from '../../../wire/uapi/bpf.ts';
import type { Insn } from '../../insn.ts';
import { helperAvailable } from '../../progtype/index.ts';
import { dynptrOf, releaseDynptr } from '../dynptr.ts';
import type { InsnInfo, Verifier } from '../env.ts';
import { returnFromFrame } from '../frames.ts';
import { changesPacketData, helperProto } from '../helper-table.ts';
import { clearPacketPointers } from '../invalidate.ts';
import { pushBranch } from '../paths.ts';
import { markPrecise } from '../precision.ts';
import { typeName } from '../print.ts';
import { clearCallerSaved } from '../read.ts';
import { checkResourceLeak, releaseRef } from '../refs.ts';
import { isConst, PTR_TO_MAP_VALUE, SCALAR_VALUE } from '../reg.ts';
import { programFlags } from '../regions.ts';
import { clobberStack } from '../stack.ts';
import { setUnknown } from '../values.ts';
import { checkArg } from './args.ts';
import { findVma, forEachMapElem, loop, timerSetCallback, userRingbufDrain } from './callbacks.ts';
import { isGplCompatible } from './license.ts';
import { checkMapHelper } from './map-compatible.ts';
import { CallMeta } from './meta.ts';
import { setReturn } from './ret.ts';
import { constString, isValidFormat } from './strings.ts';

const TAIL_CALL = 12;
const GET_LOCAL_STORAGE = 81;
const SPIN_UNLOCK = 94;
const KPTR_XCHG = 194;
const FOR_EACH_MAP_ELEM = 164;
const SNPRINTF = 165;
const TIMER_SET_CALLBACK = 170;
const FIND_VMA = 180;
const GET_FUNC_IP = 173;
const LOOP = 181;
const DYNPTR_FROM_MEM = 197;
const DYNPTR_WRITE = 202;
const DYNPTR_DATA = 203;
const USER_RINGBUF_DRAIN = 209;

/** Helpers whose map the compiler wants to know: tail_call, lookup, update, delete, push, pop, peek, for_each, redirect, percpu. */
const RECORDED: ReadonlySet<number> = new Set([TAIL_CALL, 1, 2, 3, 87, 88, 89, FOR_EACH_MAP_ELEM, 51, 195]);
/** Of these, the ones that change the map. */
const CHANGING: ReadonlySet<number> = new Set([2, 3, 87, 88]);

/**
 * Checks the helper call at the current instruction and gives R0 to R5 their contents after it. Returns where the path
 * goes on.
 */
export function checkHelperCall(v: Verifier, insn: Insn): number {
  const id = insn.imm;
  const { spec, state } = v;
  if (state.activeLocks > 0 && id !== SPIN_UNLOCK && id !== KPTR_XCHG)
    v.reject(EINVAL, 'function calls are not allowed while holding a lock');
  const short = HELPER_NAMES[id];
  if (id <= 0 || short === undefined) return v.reject(EINVAL, `invalid func unknown#${id}`);
  const name = `bpf_${short}#${id}`;
  const proto = helperProto(id, spec.type);
  if (proto === undefined || !helperAvailable(spec.type, spec.expectedAttachType, v.mode, id))
    return v.reject(EINVAL, `program of this type cannot use helper ${name}`);
  if (proto.gplOnly && !isGplCompatible(spec.license))
    v.reject(EINVAL, 'cannot call GPL-restricted function from non-GPL compatible program');
  if (proto.mightSleep) {
    if (!state.inSleepable) v.reject(EINVAL, 'helper call might sleep in a non-sleepable prog');
    if (state.activeRcuLocks > 0) v.reject(EINVAL, `sleepable helper ${name} in rcu_read_lock region`);
    if (state.activePreemptLocks > 0) v.reject(EINVAL, `sleepable helper ${name} in non-preemptible region`);
    if (state.activeIrqId !== 0) v.reject(EINVAL, `sleepable helper ${name} in IRQ-disabled region`);
  }
  v.helpers.add(id);

  const meta = new CallMeta(proto, name);
  meta.changesData = changesPacketData(id);
  for (let i = 0; i < proto.args.length; i++) checkArg(v, i, meta);
  recordMap(v, id, meta);
  if (id === TAIL_CALL) recordTailCall(v, meta);
  if (meta.accessSize > 0) clobberStack(v, meta.regno, meta.accessSize);
  release(v, meta);
  special(v, id, meta);

  clearCallerSaved(v, v.regs);
  setReturn(v, meta);
  if (meta.map !== undefined) checkMapHelper(v, meta.map, id);
  if (id === TAIL_CALL) return afterTailCall(v);
  if (meta.changesData) clearPacketPointers(v);
  return v.insn + 1;
}

/**
 * A tail call that fails goes on behind itself. One that succeeds ends the program, or the called function that made it:
 * then its caller finds any result, and a packet that may have changed.
 */
function afterTailCall(v: Verifier): number {
  if (v.state.depth === 0) return v.insn + 1;
  pushBranch(v, v.insn + 1, v.insn);
  clearPacketPointers(v);
  setUnknown(v, v.regs[0]);
  return returnFromFrame(v);
}

function recordMap(v: Verifier, id: number, meta: CallMeta): void {
  const { map } = meta;
  const info = v.info[v.insn];
  if (map === undefined) return;
  const index = v.maps.indexOf(map);
  info.mapIndex = info.mapIndex === -1 || info.mapIndex === index ? index : -2;
  if (index < 0) info.mapIndex = -2;
  if (id !== TAIL_CALL) recordKey(info, meta.constKey);
  if (!RECORDED.has(id)) return;
  if ((programFlags(map) & BPF_F_RDONLY_PROG) !== 0 && CHANGING.has(id)) v.reject(EACCES, 'write into map forbidden');
}

function recordKey(info: InsnInfo, key: bigint): void {
  if (info.mapKeyPoisoned) return;
  if (key < 0n || (info.mapKey !== undefined && info.mapKey !== key)) {
    info.mapKey = undefined;
    info.mapKeyPoisoned = true;
  } else info.mapKey = key;
}

/** A tail call to a slot that is always the same. */
function recordTailCall(v: Verifier, meta: CallMeta): void {
  const info = v.info[v.insn];
  if (meta.map?.type !== BPF_MAP_TYPE_PROG_ARRAY) return v.reject(EINVAL, 'expected prog array map for tail call');
  const slot = v.regs[3];
  if (!isConst(slot) || slot.value >= BigInt(meta.map.maxEntries)) {
    info.mapKey = undefined;
    info.mapKeyPoisoned = true;
    return;
  }
  markPrecise(v, 3);
  recordKey(info, slot.value);
}

/** Gives back the argument that the helper takes over. */
function release(v: Verifier, meta: CallMeta): void {
  if (meta.releaseRegno === 0) return;
  const reg = v.regs[meta.releaseRegno];
  if (meta.proto?.args[meta.releaseRegno - 1].kind === 'dynptr') return releaseDynptr(v, reg);
  const isNull = isConst(reg) && reg.value === 0n;
  const done = meta.refId !== 0 ? releaseRef(v, meta.refId) : isNull;
  if (!done) v.reject(EINVAL, `func ${meta.name} reference has not been acquired before`);
}

/** What single helpers do beside what their prototype says. */
function special(v: Verifier, id: number, meta: CallMeta): void {
  const { regs } = v;
  switch (id) {
    case TAIL_CALL:
      checkResourceLeak(v, 'tail_call', true);
      v.subprogs[v.frame.subprog].hasTailCall = true;
      return;
    case GET_LOCAL_STORAGE:
      if (!isConst(regs[2]) || regs[2].value !== 0n)
        v.reject(EINVAL, "get_local_storage() doesn't support non-zero flags");
      return;
    case FOR_EACH_MAP_ELEM:
      return forEachMapElem(v, meta);
    case TIMER_SET_CALLBACK:
      return timerSetCallback(v, meta);
    case FIND_VMA:
      return findVma(v, meta);
    case LOOP:
      noteLoop(v, meta.subprog);
      // How often is a number; the kernel fails to trace where an address came from.
      if (regs[1].type !== SCALAR_VALUE) v.reject(EFAULT, 'verifier bug: backtracking misuse');
      markPrecise(v, 1);
      return loop(v, meta);
    case USER_RINGBUF_DRAIN:
      return userRingbufDrain(v, meta);
    case GET_FUNC_IP:
      if (v.spec.type !== BPF_PROG_TYPE_KPROBE && v.spec.type !== BPF_PROG_TYPE_TRACING)
        v.reject(ENOTSUPP, `func ${meta.name} not supported for program type ${v.spec.type}`);
      return;
    case SNPRINTF: {
      const length = Number(regs[5].value);
      if (length % 8 !== 0) v.reject(EINVAL, '');
      if (!isValidFormat(constString(regs[3]) ?? [], length / 8)) v.reject(EINVAL, 'Invalid format string');
      return;
    }
    case DYNPTR_FROM_MEM:
      if (regs[1].type !== PTR_TO_MAP_VALUE)
        v.reject(EACCES, `Unsupported reg type ${typeName(regs[1].type)} for bpf_dynptr_from_mem data`);
      return;
    case DYNPTR_DATA: {
      const dynptr = dynptrOf(v, regs[1]);
      meta.dynptrId = dynptr.id;
      meta.refId = dynptr.refId;
      return;
    }
    case DYNPTR_WRITE: {
      const kind = dynptrOf(v, regs[1]).dynptrKind;
      if (kind === 'skb' || kind === 'skb_meta') meta.changesData = true;
      return;
    }
  }
}

/** A bpf_loop that always calls the same function with flags 0 may be compiled as a loop. */
function noteLoop(v: Verifier, subprog: number): void {
  const info = v.info[v.insn];
  const flags = v.regs[4];
  const plain = isConst(flags) && flags.value === 0n;
  if (plain) markPrecise(v, 4);
  if (info.loopSubprog === -1) {
    info.loopInline = plain;
    info.loopSubprog = subprog;
  } else {
    info.loopInline &&= plain && info.loopSubprog === subprog;
  }
}
