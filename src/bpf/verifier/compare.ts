/**
 * Does a recorded state, from which all paths were found safe, stand for the present one? It does when everything it
 * allowed for includes what is there now.
 */
import type { Verifier } from './env.ts';
import type { IdMap } from './id-map.ts';
import {
  BPF_ADD_CONST,
  baseType,
  isPacketPointer,
  NOT_INIT,
  PTR_TO_ARENA,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_STACK,
  PTR_TO_TP_BUFFER,
  Reg,
  SCALAR_VALUE,
} from './reg.ts';
import {
  type FuncState,
  STACK_DYNPTR,
  STACK_INVALID,
  STACK_ITER,
  STACK_MISC,
  STACK_SPILL,
  STACK_ZERO,
  type StackSlot,
  type State,
} from './state.ts';
import { tnumIn } from './tnum.ts';
import { setUnknown } from './values.ts';

/**
 * How closely: `loose` ignores scalars that nothing depended on; `within` compares their ranges too (the recorded state
 * may not know yet what it depends on); `exact` wants the same values (to find loops that do not end).
 */
export type Closeness = 'loose' | 'within' | 'exact';

/** Every value that `cur` may have, `old` may have too. */
function within(old: Reg, cur: Reg): boolean {
  if (old.shares(cur)) return true;
  return (
    old.umin <= cur.umin &&
    old.umax >= cur.umax &&
    old.smin <= cur.smin &&
    old.smax >= cur.smax &&
    old.u32min <= cur.u32min &&
    old.u32max >= cur.u32max &&
    old.s32min <= cur.s32min &&
    old.s32max >= cur.s32max &&
    tnumIn(old, cur)
  );
}

/** Everything but ids, precision and the range of values. */
function sameKind(a: Reg, b: Reg): boolean {
  return a.shares(b) || (a.type === b.type && a.off === b.off && a.range === b.range && a.samePointee(b));
}

export function sameValues(a: Reg, b: Reg): boolean {
  if (a.shares(b)) return true;
  return (
    a.value === b.value &&
    a.mask === b.mask &&
    a.umin === b.umin &&
    a.umax === b.umax &&
    a.smin === b.smin &&
    a.smax === b.smax &&
    a.u32min === b.u32min &&
    a.u32max === b.u32max &&
    a.s32min === b.s32min &&
    a.s32max === b.s32max
  );
}

/** Identical but for what ids are called. */
function identical(old: Reg, cur: Reg, ids: IdMap): boolean {
  return sameKind(old, cur) && sameValues(old, cur) && ids.same(old.id, cur.id) && ids.same(old.refId, cur.refId);
}

const RANGED: ReadonlySet<number> = new Set([
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_BUF,
  PTR_TO_TP_BUFFER,
]);

function regSafe(v: Verifier, old: Reg, cur: Reg, ids: IdMap, how: Closeness): boolean {
  if (how === 'exact') return identical(old, cur, ids);
  if (old.type === NOT_INIT) return true;
  if (old.type !== cur.type) return false;
  const type = baseType(old.type);
  if (type === SCALAR_VALUE) {
    if (v.exploreAluLimits) return sameKind(old, cur) && sameValues(old, cur) && ids.sameScalar(old.id, cur.id);
    if (!old.precise && how === 'loose') return true;
    // A scalar that was linked with no other stands for any; links in the present state only say more.
    if (old.id !== 0) {
      if ((old.id & BPF_ADD_CONST) !== (cur.id & BPF_ADD_CONST)) return false;
      if ((old.id & BPF_ADD_CONST) !== 0 && old.off !== cur.off) return false;
      if (!ids.sameScalar(old.id & ~BPF_ADD_CONST, cur.id & ~BPF_ADD_CONST)) return false;
    }
    return within(old, cur);
  }
  if (RANGED.has(type))
    return sameKind(old, cur) && within(old, cur) && ids.same(old.id, cur.id) && ids.same(old.refId, cur.refId);
  if (isPacketPointer(old.type)) {
    // Negative ranges are marks, not lengths.
    if (old.range < 0 || cur.range < 0 ? old.range !== cur.range : old.range > cur.range) return false;
    return old.off === cur.off && ids.same(old.id, cur.id) && within(old, cur);
  }
  if (type === PTR_TO_STACK) return identical(old, cur, ids);
  if (type === PTR_TO_ARENA) return true;
  return identical(old, cur, ids);
}

const EMPTY_SLOT_TYPES = 0;

/** The scalar that a load of the whole slot would give; undefined when it gives none. */
function scalarOf(v: Verifier, slot: StackSlot | undefined): Reg | undefined {
  if (slot === undefined) return undefined;
  if (slot.types === 0x11111111 && slot.reg.type === SCALAR_VALUE) return slot.reg;
  let misc = true;
  for (let j = 0; j < 8 && misc; j++) {
    const type = slot.at(j);
    misc = type === STACK_MISC || (type === STACK_INVALID && v.allowPtrLeaks);
  }
  if (!misc || slot.types === EMPTY_SLOT_TYPES) return undefined;
  const unknown = new Reg();
  setUnknown(v, unknown);
  return unknown;
}

function stackSafe(v: Verifier, old: FuncState, cur: FuncState, ids: IdMap, how: Closeness): boolean {
  for (let spi = 0; spi < old.stack.length; spi++) {
    const a = old.stack[spi];
    const b = cur.stack[spi];
    if (how === 'exact') {
      if (a.types !== (b?.types ?? 0)) return false;
    } else if (a.types !== 0) {
      const oldScalar = scalarOf(v, a);
      const curScalar = scalarOf(v, b);
      if (oldScalar !== undefined && curScalar !== undefined) {
        if (!regSafe(v, oldScalar, curScalar, ids, how)) return false;
        continue;
      }
    }
    for (let j = 0; j < 8; j++) {
      const was = a.at(j);
      if (was === STACK_INVALID || (v.allowPtrLeaks && was === STACK_MISC)) continue;
      if (b === undefined) return false;
      const is = b.at(j);
      if (was === STACK_MISC && is === STACK_ZERO) continue;
      if (was !== is) return false;
    }
    switch (a.types >>> 28) {
      case STACK_SPILL:
        if (!regSafe(v, a.reg, b.reg, ids, how)) return false;
        break;
      case STACK_DYNPTR:
        if (!sameKind(a.reg, b.reg) || !ids.same(a.reg.refId, b.reg.refId)) return false;
        break;
      case STACK_ITER:
        if (a.reg.iterKind !== b.reg.iterKind || a.reg.iterActive !== b.reg.iterActive) return false;
        if (!ids.same(a.reg.refId, b.reg.refId)) return false;
        break;
      default:
    }
  }
  if (how === 'exact')
    for (let spi = old.stack.length; spi < cur.stack.length; spi++) if (cur.stack[spi].types !== 0) return false;
  return true;
}

function refsSame(old: State, cur: State, ids: IdMap): boolean {
  if (old.refs.length !== cur.refs.length) return false;
  if (
    old.activeLocks !== cur.activeLocks ||
    old.activeRcuLocks !== cur.activeRcuLocks ||
    old.activePreemptLocks !== cur.activePreemptLocks ||
    !ids.same(old.activeIrqId, cur.activeIrqId)
  )
    return false;
  for (let i = 0; i < old.refs.length; i++) {
    const r = old.refs[i];
    const c = cur.refs[i];
    if (r.kind !== c.kind || r.owner !== c.owner || !ids.same(r.id, c.id)) return false;
  }
  return true;
}

/** Both states stand before the same instruction. */
export function statesEqual(v: Verifier, old: State, cur: State, how: Closeness): boolean {
  if (old.depth !== cur.depth || old.inSleepable !== cur.inSleepable) return false;
  if (old.speculative && !cur.speculative) return false;
  const ids = v.ids.start(v.idGenerator);
  if (!refsSame(old, cur, ids)) return false;
  for (let f = 0; f <= old.depth; f++) {
    const a = old.frames[f];
    const b = cur.frames[f];
    if (a.callsite !== b.callsite || a.subprog !== b.subprog) return false;
    if (a.callbackDepth > b.callbackDepth) return false;
    if (a.inCallback !== b.inCallback || a.inAsyncCallback !== b.inAsyncCallback) return false;
    const pc = f === old.depth ? old.insn : old.frames[f + 1].callsite;
    const alive = how === 'exact' ? 0x7ff : v.info[pc].liveRegs;
    for (let i = 0; i <= 10; i++)
      if (((alive >> i) & 1) !== 0 && !regSafe(v, a.regs[i], b.regs[i], ids, how)) return false;
    if (!stackSafe(v, a, b, ids, how)) return false;
  }
  return true;
}
