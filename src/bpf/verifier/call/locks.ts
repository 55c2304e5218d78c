/** Spin locks and timers: fields of a map's value that are handed to their helpers by address. */
import { EINVAL } from '../../../core/errno.ts';
import type { MapInfo, MapRecord } from '../../program.ts';
import type { Verifier } from '../env.ts';
import { acquireLock, releaseLock } from '../refs.ts';
import type { CallMeta } from './meta.ts';

type FieldName = 'bpf_spin_lock' | 'bpf_timer' | 'bpf_wq';
const FIELD: Readonly<Record<FieldName, keyof MapRecord>> = {
  bpf_spin_lock: 'spinLock',
  bpf_timer: 'timer',
  bpf_wq: 'workqueue',
};

/** R`regno` points exactly to this field of its map's value. */
function checkField(v: Verifier, regno: number, name: FieldName): MapInfo {
  const reg = v.regs[regno];
  const map = reg.map as MapInfo;
  if (reg.mask !== 0n)
    v.reject(EINVAL, `R${regno} doesn't have constant offset. ${name} has to be at the constant offset`);
  if (map.record === undefined && (map.btfValueType ?? 0) === 0)
    v.reject(EINVAL, `map '${nameOf(v, map)}' has to have BTF in order to use ${name}`);
  const at = map.record?.[FIELD[name]] as number | undefined;
  if (at === undefined) return v.reject(EINVAL, `map '${nameOf(v, map)}' has no valid ${name}`);
  const off = BigInt.asIntN(64, reg.value) + BigInt(reg.off);
  if (off !== BigInt(at)) v.reject(EINVAL, `off ${off} doesn't point to 'struct ${name}' that is at ${at}`);
  return map;
}

/** Of a map inside another only the shape is known. */
const nameOf = (v: Verifier, map: MapInfo): string => (v.maps.includes(map) ? map.name : '');

/** bpf_spin_lock. A second lock is refused before: no calls while one is held. */
export function spinLock(v: Verifier, regno: number): void {
  const map = checkField(v, regno, 'bpf_spin_lock');
  if (v.state.refs.some((r) => r.kind === 'lock')) v.reject(EINVAL, 'Locking two bpf_spin_locks are not allowed');
  acquireLock(v, 'lock', v.insn, v.regs[regno].id, map);
}

export function spinUnlock(v: Verifier, regno: number): void {
  const map = checkField(v, regno, 'bpf_spin_lock');
  if (v.state.activeLocks === 0) v.reject(EINVAL, 'bpf_spin_unlock without taking a lock');
  if (!releaseLock(v, 'lock', v.regs[regno].id, map)) v.reject(EINVAL, 'bpf_spin_unlock of different lock');
}

/** A timer argument: its map is remembered, so that bpf_timer_init can compare. */
export function timerArg(v: Verifier, regno: number, meta: CallMeta): void {
  meta.map = checkField(v, regno, 'bpf_timer');
  meta.mapUid = v.regs[regno].mapUid;
}
