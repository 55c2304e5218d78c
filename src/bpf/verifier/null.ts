/** Pointers that may be null: what a comparison with zero makes of every copy. */
import { BPF_MAP_TYPE_SOCKHASH, BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_XSKMAP } from '../../wire/uapi/bpf.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  MEM_RDONLY,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  type Reg,
  SCALAR_VALUE,
} from './reg.ts';
import type { State } from './state.ts';

const NEVER_NULL: ReadonlySet<number> = new Set([
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_MAP_VALUE,
  PTR_TO_MAP_KEY,
  PTR_TO_SOCK_COMMON,
  PTR_TO_MEM,
  CONST_PTR_TO_MAP,
]);

/** The pointer is certainly not null. */
export function isNotNull(reg: Reg): boolean {
  if (mayBeNull(reg.type)) return false;
  const type = baseType(reg.type);
  return NEVER_NULL.has(type) || (type === PTR_TO_BTF_ID && (reg.type & PTR_TRUSTED) !== 0);
}

/** What a lookup found, once it is known to have found something. */
export function markNotNull(reg: Reg): void {
  if (baseType(reg.type) !== PTR_TO_MAP_VALUE) {
    reg.type &= ~PTR_MAYBE_NULL;
    return;
  }
  const { map } = reg;
  if (map?.inner !== undefined) {
    reg.type = CONST_PTR_TO_MAP;
    reg.map = map.inner;
    if (map.inner.record?.timer !== undefined || map.inner.record?.workqueue !== undefined) reg.mapUid = reg.id;
  } else if (map?.type === BPF_MAP_TYPE_XSKMAP) reg.type = PTR_TO_XDP_SOCK;
  else if (map?.type === BPF_MAP_TYPE_SOCKMAP || map?.type === BPF_MAP_TYPE_SOCKHASH) reg.type = PTR_TO_SOCKET;
  else reg.type = PTR_TO_MAP_VALUE | (reg.type & MEM_RDONLY);
}

const mayHoldSpinLock = (reg: Reg): boolean => reg.type === PTR_TO_MAP_VALUE && reg.map?.record?.spinLock !== undefined;

/** Every copy of the pointer is null (a zero that is no pointer any more), or is not. */
export function markNullOrNot(state: State, origin: Reg, isNull: boolean): void {
  const { id, refId } = origin;
  if (refId !== 0 && refId === id && isNull) {
    const at = state.refs.findIndex((r) => r.kind === 'ptr' && r.id === id);
    if (at >= 0) state.refs.splice(at, 1);
  }
  const mark = (reg: Reg): void => {
    if (!mayBeNull(reg.type) || reg.id !== id || id === 0) return;
    if (isNull) {
      reg.type = SCALAR_VALUE;
      reg.clearPointer();
      return;
    }
    markNotNull(reg);
    if (!mayHoldSpinLock(reg)) reg.id = 0;
  };
  for (const frame of state.frames) {
    for (const reg of frame.regs) mark(reg);
    for (const slot of frame.stack) if (slot.spilled) mark(slot.reg);
  }
}
