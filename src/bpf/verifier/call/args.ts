/** Checks one argument of a helper call against the helper's prototype. */
import { EACCES, EFAULT, EINVAL } from '../../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_SOCKMAP,
} from '../../../wire/uapi/bpf.ts';
import { checkAlignment } from '../align.ts';
import { dynptrArg, isUnacquiredDynptr } from '../dynptr.ts';
import type { Verifier } from '../env.ts';
import type { Arg } from '../helper-table.ts';
import { markPrecise, markSlotPrecise } from '../precision.ts';
import { leaksPointer, readReg } from '../read.ts';
import { isConst, isPacketPointer, PTR_TO_STACK, type Reg, SCALAR_VALUE } from '../reg.ts';
import { frameOf, spiOf } from '../stack.ts';
import { STACK_SPILL, STACK_ZERO } from '../state.ts';
import { checkArgType } from './compatible.ts';
import { spinLock, spinUnlock, timerArg } from './locks.ts';
import { checkHelperMemory, checkSizeArg, helperMayAccessPacket } from './memory-args.ts';
import type { CallMeta } from './meta.ts';
import { checkArgOffset } from './pointer-offset.ts';
import { checkConstString } from './strings.ts';

const MAP_PEEK_ELEM = 89;
const SPIN_LOCK = 93;

const isNull = (reg: Reg): boolean => isConst(reg) && reg.value === 0n;

/** Values of a socket map are sockets; a bloom filter's peek only reads its value. */
function resolveValueArg(v: Verifier, arg: Arg, meta: CallMeta): Arg {
  const { map } = meta;
  if (map === undefined) return v.reject(EACCES, 'invalid map_ptr to access map->type');
  if (map.type === BPF_MAP_TYPE_SOCKMAP || map.type === BPF_MAP_TYPE_SOCKHASH) {
    if (arg.uninit === true || arg.nullable === true) v.reject(EINVAL, 'invalid arg_type for sockmap/sockhash');
    return { kind: 'btf_sock_common' };
  }
  if (map.type === BPF_MAP_TYPE_BLOOM_FILTER && meta.proto?.id === MAP_PEEK_ELEM) return { kind: 'value' };
  return arg;
}

/** The constant that a stack key of an array holds, when it is known; -1 otherwise. */
function constantKey(v: Verifier, key: Reg, keySize: number): bigint {
  if (!v.bpfCapable || key.type !== PTR_TO_STACK || key.mask !== 0n) return -1n;
  const at = key.off + Number(BigInt.asIntN(64, key.value));
  const slot = frameOf(v, key).stack[spiOf(at)];
  if (slot === undefined) return -1n;
  const first = (-at - 1) & 7;
  const run = (type: number): number => {
    let n = 0;
    for (let j = first; j >= 0 && slot.at(j) === type; j--) n++;
    return n;
  };
  if (run(STACK_ZERO) >= keySize) return 0n;
  if (!slot.spilled || slot.reg.type !== SCALAR_VALUE || run(STACK_SPILL) !== keySize || !isConst(slot.reg)) return -1n;
  // Whether the result may be null hangs on this number.
  markSlotPrecise(v, key.frame, spiOf(at));
  return BigInt.asIntN(64, slot.reg.value);
}

function keyArg(v: Verifier, regno: number, meta: CallMeta): void {
  const { map } = meta;
  if (map === undefined) return v.reject(EFAULT, 'invalid map_ptr to access map->key');
  checkHelperMemory(v, regno, map.keySize, false, false, undefined);
  if (map.type === BPF_MAP_TYPE_ARRAY || map.type === BPF_MAP_TYPE_PERCPU_ARRAY)
    meta.constKey = constantKey(v, v.regs[regno], map.keySize);
}

/** The argument is an object that the call gives back. */
function releaseArg(v: Verifier, regno: number, arg: Arg, meta: CallMeta): void {
  const reg = v.regs[regno];
  if (arg.kind === 'dynptr') {
    if (reg.type !== PTR_TO_STACK) v.reject(EINVAL, 'cannot release unowned const bpf_dynptr');
    if (isUnacquiredDynptr(v, regno)) v.reject(EINVAL, `arg ${regno} is an unacquired reference`);
  } else if (reg.refId === 0 && !isNull(reg)) {
    v.reject(EINVAL, `R${regno} must be referenced when passed to release function`);
  }
  meta.releaseRegno = regno;
}

/** Checks argument `index` (0 to 4); what it shows goes into `meta`. */
export function checkArg(v: Verifier, index: number, meta: CallMeta): void {
  const proto = meta.proto!;
  const regno = index + 1;
  let arg = proto.args[index];
  const reg = readReg(v, regno);
  if (arg.kind === 'any') {
    if (leaksPointer(v, reg)) v.reject(EACCES, `R${regno} leaks addr into helper function`);
    return;
  }
  if (isPacketPointer(reg.type) && !helperMayAccessPacket(v, proto.pktAccess))
    v.reject(EACCES, 'helper access to the packet is not allowed');
  if (arg.kind === 'value') arg = resolveValueArg(v, arg, meta);
  if (!(arg.nullable === true && isNull(reg))) {
    checkArgType(v, regno, arg, meta);
    checkArgOffset(v, regno, arg);
  }
  if (arg.release === true) releaseArg(v, regno, arg, meta);
  if (reg.refId !== 0 && arg.kind !== 'kptr_dest') {
    if (meta.refId !== 0) v.reject(EACCES, `more than one arg with ref_obj_id R${regno} ${reg.refId} ${meta.refId}`);
    meta.refId = reg.refId;
  }
  checkKind(v, index, arg, meta);
}

function checkKind(v: Verifier, index: number, arg: Arg, meta: CallMeta): void {
  const regno = index + 1;
  const reg = v.regs[regno];
  switch (arg.kind) {
    case 'map':
      if (meta.map !== undefined && (meta.map !== reg.map || meta.mapUid !== reg.mapUid))
        v.reject(
          EINVAL,
          `timer pointer in R1 map_uid=${meta.mapUid} doesn't match map pointer in R2 map_uid=${reg.mapUid}`,
        );
      meta.map = reg.map;
      meta.mapUid = reg.mapUid;
      return;
    case 'key':
      return keyArg(v, regno, meta);
    case 'value':
      if (arg.nullable === true && isNull(reg)) return;
      meta.raw = arg.uninit === true;
      return checkHelperMemory(v, regno, meta.map?.valueSize ?? 0, arg.write === true, false, meta);
    case 'mem':
      meta.raw = arg.uninit === true;
      if (arg.fixed === undefined) return;
      checkHelperMemory(v, regno, arg.fixed, arg.write === true, false, meta);
      if (arg.aligned === true) checkAlignment(v, reg, 0, arg.fixed, true);
      return;
    case 'size': {
      const write = meta.proto?.args[index - 1]?.write === true;
      return checkSizeArg(v, regno, write, arg.zero === true, meta);
    }
    case 'alloc_size':
      if (!isConst(reg)) v.reject(EACCES, `R${regno} is not a known constant'`);
      meta.memSize = Number(BigInt.asUintN(32, reg.value));
      return markPrecise(v, regno);
    case 'spin_lock':
      return meta.proto?.id === SPIN_LOCK ? spinLock(v, regno) : spinUnlock(v, regno);
    case 'timer':
      return timerArg(v, regno, meta);
    case 'func':
      meta.subprog = reg.subprog;
      return;
    case 'const_str':
      return checkConstString(v, regno);
    case 'dynptr':
      return dynptrArg(v, regno, arg);
    case 'kptr_dest':
      return kptrArg(v, regno);
  }
}

/** The field of a map's value that holds a pointer to a kernel object. */
function kptrArg(v: Verifier, regno: number): void {
  const reg = v.regs[regno];
  const { map } = reg;
  if (map !== undefined && map.record === undefined && (map.btfValueType ?? 0) === 0)
    v.reject(EINVAL, `map '${map.name}' has to have BTF in order to use bpf_kptr_xchg`);
  if (reg.mask !== 0n)
    v.reject(EINVAL, `R${regno} doesn't have constant offset. kptr has to be at the constant offset`);
  const fields = map?.record?.kptrs;
  if (fields === undefined || fields.length === 0) v.reject(EINVAL, `R${regno} has no valid kptr`);
  const off = reg.off + Number(BigInt.asIntN(64, reg.value));
  if (fields?.includes(off) !== true) v.reject(EACCES, `off=${off} doesn't point to kptr`);
  v.reject(EINVAL, 'netloom does not support kptr fields');
}
