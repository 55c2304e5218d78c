/**
 * Helpers that call functions of the program: the callback's first state, with the arguments that the helper hands to
 * it. It is walked as one more path; when it returns, the walk goes on behind (or again at) the call.
 */
import { ENOTSUPP } from '../../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
} from '../../../wire/uapi/bpf.ts';
import { setDynptr } from '../dynptr.ts';
import type { Verifier } from '../env.ts';
import { pushAsyncCallback, pushCallback } from '../frames.ts';
import { CONST_PTR_TO_MAP, PTR_TO_BTF_ID, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE, PTR_TRUSTED } from '../reg.ts';
import type { FuncState, RetRange } from '../state.ts';
import { setPointer, setUnknown } from '../values.ts';
import type { CallMeta } from './meta.ts';

const ITERABLE: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
]);

const STOP_OR_GO_ON: RetRange = { min: 0, max: 1 };
const ALWAYS_ZERO: RetRange = { min: 0, max: 0 };

function mapArgs(caller: FuncState, callee: FuncState): void {
  const { map, mapUid } = caller.regs[1];
  const types = [CONST_PTR_TO_MAP, PTR_TO_MAP_KEY, PTR_TO_MAP_VALUE];
  types.forEach((type, i) => {
    const reg = callee.regs[i + 1];
    setPointer(reg, type);
    reg.map = map;
    reg.mapUid = mapUid;
  });
}

/** bpf_for_each_map_elem: (map, key, value, ctx) */
export function forEachMapElem(v: Verifier, meta: CallMeta): void {
  if (meta.map === undefined || !ITERABLE.has(meta.map.type))
    v.reject(ENOTSUPP, 'callback function not allowed for map');
  pushCallback(v, v.insn, meta.subprog, (_v, caller, callee) => {
    mapArgs(caller, callee);
    callee.regs[4].copy(caller.regs[3]);
    callee.callbackRet = STOP_OR_GO_ON;
  });
}

/** bpf_loop: (index, ctx). So often at most as R1 says, and a last time without. */
export function loop(v: Verifier, meta: CallMeta): void {
  const { frame } = v;
  if (BigInt(frame.callbackDepth) < frame.regs[1].umax) {
    pushCallback(v, v.insn, meta.subprog, (_v, caller, callee) => {
      setUnknown(v, callee.regs[1]);
      callee.regs[2].copy(caller.regs[3]);
      callee.callbackRet = STOP_OR_GO_ON;
    });
    return;
  }
  frame.callbackDepth = 0;
  if (v.log.everyPath) v.note(`frame${v.state.depth} bpf_loop iteration limit reached`);
}

/** bpf_timer_set_callback: (map, key, value), later. */
export function timerSetCallback(v: Verifier, meta: CallMeta): void {
  pushAsyncCallback(v, v.insn, meta.subprog, (_v, caller, callee) => {
    mapArgs(caller, callee);
    callee.callbackRet = ALWAYS_ZERO;
  });
}

/** bpf_find_vma: (task, vma, ctx) */
export function findVma(v: Verifier, meta: CallMeta): void {
  pushCallback(v, v.insn, meta.subprog, (_v, caller, callee) => {
    callee.regs[1].copy(caller.regs[1]);
    setPointer(callee.regs[2], PTR_TO_BTF_ID | PTR_TRUSTED);
    callee.regs[2].btfName = 'vm_area_struct';
    callee.regs[3].copy(caller.regs[4]);
    callee.callbackRet = STOP_OR_GO_ON;
  });
}

/** bpf_user_ringbuf_drain: (dynptr, ctx) */
export function userRingbufDrain(v: Verifier, meta: CallMeta): void {
  pushCallback(v, v.insn, meta.subprog, (_v, caller, callee) => {
    setDynptr(callee.regs[1], 'local', true, v.newId());
    callee.regs[2].copy(caller.regs[3]);
    callee.callbackRet = STOP_OR_GO_ON;
  });
}
