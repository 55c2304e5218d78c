/** Loads and stores: what each kind of pointer allows, and what a loaded register holds. */
import { EACCES, EFAULT } from '../../core/errno.ts';
import {
  BPF_F_RDONLY_PROG,
  BPF_MAP_TYPE_ARRAY,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_FLOW_DISSECTOR,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_MSG,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_XDP,
} from '../../wire/uapi/bpf.ts';
import { checkTracingContext } from '../btf-types/index.ts';
import type { MapInfo } from '../program.ts';
import { checkContextAccess, checkObjectAccess, type Field } from '../progtype/index.ts';
import { checkAlignment } from './align.ts';
import type { Verifier } from './env.ts';
import { checkBtfAccess, checkMapPointerAccess } from './kernel-objects.ts';
import { typeName } from './print.ts';
import { leaksPointer } from './read.ts';
import {
  baseType,
  CONST_PTR_TO_MAP,
  isPacketPointer,
  MEM_RDONLY,
  mayBeNull,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_TP_BUFFER,
  PTR_TO_XDP_SOCK,
  type Reg,
  SCALAR_VALUE,
} from './reg.ts';
import { checkMapAccess, checkMapAccessType, checkMemRegion, checkPacketAccess } from './regions.ts';
import { coerceToSize, coerceToSizeSx } from './scalar.ts';
import { checkStackBounds, readStack, type StoredValue, writeStack } from './stack.ts';
import { tnumPair } from './text.ts';
import { setKnown, setPointer, setUnknown } from './values.ts';

const READ_ONLY_PACKETS: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_FLOW_DISSECTOR,
  BPF_PROG_TYPE_CGROUP_SKB,
]);
const PACKETS: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_XDP,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_SK_MSG,
]);

/** May the program type touch packet bytes directly; writing them is noted. */
export function mayAccessPacket(v: Verifier, write: boolean): boolean {
  const { type } = v.spec;
  if (READ_ONLY_PACKETS.has(type)) return !write;
  if (type === BPF_PROG_TYPE_CGROUP_SOCKOPT) {
    if (write) v.seenDirectWrite = true;
    return true;
  }
  if (!PACKETS.has(type)) return false;
  if (write) v.seenDirectWrite = true;
  return true;
}

/** A pointer that must not have been moved: "dereference of modified ctx ptr". */
export function checkPtrOffReg(v: Verifier, reg: Reg, regno: number, fixedOffOk = false): void {
  const name = typeName(reg.type);
  if (reg.off < 0) v.reject(EACCES, `negative offset ${name} ptr R${regno} off=${reg.off} disallowed`);
  if (!fixedOffOk && reg.off !== 0)
    v.reject(EACCES, `dereference of modified ${name} ptr R${regno} off=${reg.off} disallowed`);
  if (reg.mask !== 0n || reg.value !== 0n)
    v.reject(EACCES, `variable ${name} access var_off=${tnumPair(reg)} disallowed`);
}

export type Access = {
  readonly write: boolean;
  /** Load: the register loaded. Store: the register stored. Undefined: neither (atomics, immediates). */
  readonly regno: number | undefined;
  /** Store of an immediate. */
  readonly imm?: number;
  /** Alignment is needed whatever the flags say (atomics). */
  readonly aligned?: boolean;
  /** The load extends the sign. */
  readonly signed?: boolean;
};

/** What is stored must not be an address, where addresses may not leak. */
function noLeak(v: Verifier, access: Access, stored: Reg | undefined, where: string): void {
  if (stored !== undefined && leaksPointer(v, stored)) v.reject(EACCES, `R${access.regno} leaks addr into ${where}`);
}

function noWrite(v: Verifier, reg: Reg, regno: number, access: Access): void {
  if (access.write) v.reject(EACCES, `R${regno} cannot write into ${typeName(reg.type)}`);
}

function invalid(v: Verifier, reg: Reg, regno: number): never {
  return v.reject(EACCES, `R${regno} invalid mem access '${typeName(reg.type)}'`);
}

/** A load or store of `size` bytes at `off` behind register `regno`. Loads change the register loaded. */
export function checkMemAccess(v: Verifier, regno: number, off: number, size: number, access: Access): void {
  const reg = v.regs[regno];
  checkAlignment(v, reg, off, size, access.aligned === true);
  const value = access.regno === undefined ? undefined : v.regs[access.regno];
  const stored = access.write ? value : undefined;
  const loaded = access.write ? undefined : value;
  const at = off + reg.off;
  if (mayBeNull(reg.type)) invalid(v, reg, regno);
  switch (baseType(reg.type)) {
    case PTR_TO_MAP_KEY:
      if (access.write) v.reject(EACCES, `write to change key R${regno} not allowed`);
      checkMemRegion(v, regno, at, size, (reg.map as MapInfo).keySize, false);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    case PTR_TO_MAP_VALUE:
      noLeak(v, access, stored, 'map');
      checkMapAccessType(v, reg, at, size, access.write ? 'write' : 'read');
      checkMapAccess(v, regno, at, size, false, 'direct');
      if (loaded !== undefined) loadMapValue(v, reg, at, size, loaded, access.signed === true);
      break;
    case PTR_TO_MEM: {
      if ((reg.type & MEM_RDONLY) !== 0) noWrite(v, reg, regno, access);
      noLeak(v, access, stored, 'mem');
      checkMemRegion(v, regno, at, size, reg.memSize, false);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    }
    case PTR_TO_CTX:
      noLeak(v, access, stored, 'ctx');
      checkPtrOffReg(v, reg, regno);
      accessContext(v, off, size, access, loaded);
      break;
    case PTR_TO_STACK: {
      checkStackBounds(v, regno, at, size, access.write ? ' write to' : ' read from', access.write);
      if (access.write) {
        const store: StoredValue = { reg: stored, regno: access.regno ?? -1, imm: access.imm };
        writeStack(v, regno, at, size, store);
      } else readStack(v, regno, at, size, loaded);
      break;
    }
    case PTR_TO_FLOW_KEYS:
      noLeak(v, access, stored, 'flow keys');
      if (!checkObjectAccess(reg.type, access.write ? 'write' : 'read', at, size))
        v.reject(EACCES, `invalid access to flow keys off=${at} size=${size}`);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    case PTR_TO_SOCKET:
    case PTR_TO_SOCK_COMMON:
    case PTR_TO_TCP_SOCK:
    case PTR_TO_XDP_SOCK:
      noWrite(v, reg, regno, access);
      checkSockAccess(v, reg, regno, at, size);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    case PTR_TO_TP_BUFFER:
      if (at < 0) v.reject(EACCES, `R${regno} invalid tracepoint buffer access: off=${at}, size=${size}`);
      if (reg.mask !== 0n || reg.value !== 0n)
        v.reject(EACCES, `R${regno} invalid variable buffer offset: off=${at}, var_off=${tnumPair(reg)}`);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    case PTR_TO_BTF_ID:
      checkBtfAccess(v, regno, at, size, access.write, loaded);
      break;
    case CONST_PTR_TO_MAP:
      checkMapPointerAccess(v, regno, at, size, access.write, loaded);
      break;
    case PTR_TO_BUF:
      if ((reg.type & MEM_RDONLY) !== 0) noWrite(v, reg, regno, access);
      if (at < 0) v.reject(EACCES, `R${regno} invalid rdonly buffer access: off=${at}, size=${size}`);
      checkMemRegion(v, regno, at, size, reg.memSize, false);
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    case PTR_TO_ARENA:
      if (loaded !== undefined) setUnknown(v, loaded);
      break;
    default:
      if (!isPacketPointer(reg.type)) invalid(v, reg, regno);
      if (access.write && !mayAccessPacket(v, true)) v.reject(EACCES, 'cannot write into packet');
      noLeak(v, access, stored, 'packet');
      checkPacketAccess(v, regno, at, size, false);
      if (loaded !== undefined) setUnknown(v, loaded);
  }
  if (loaded !== undefined && size < 8 && loaded.type === SCALAR_VALUE) {
    if (access.signed === true) coerceToSizeSx(loaded, size);
    else coerceToSize(loaded, size);
  }
}

function loadMapValue(v: Verifier, reg: Reg, at: number, size: number, loaded: Reg, signed: boolean): void {
  const map = reg.map as MapInfo;
  const readOnly = (map.flags & BPF_F_RDONLY_PROG) !== 0 && map.frozen === true && map.type === BPF_MAP_TYPE_ARRAY;
  const constant =
    readOnly && reg.mask === 0n ? map.peek?.(at + Number(BigInt.asIntN(64, reg.value)), size) : undefined;
  if (constant === undefined) return setUnknown(v, loaded);
  const value = signed ? BigInt.asUintN(64, BigInt.asIntN(size * 8, constant)) : constant;
  setKnown(v, loaded, value);
}

function accessContext(v: Verifier, off: number, size: number, access: Access, loaded: Reg | undefined): void {
  const op = !access.write ? 'read' : access.regno === undefined ? 'writeImm' : 'write';
  const { type, expectedAttachType } = v.spec;
  const found =
    type === BPF_PROG_TYPE_TRACING
      ? checkTracingContext(v.spec.target ?? '', expectedAttachType, op, off, size)
      : checkContextAccess(type, expectedAttachType, v.mode, op, off, size);
  if (found === undefined || (found.regType !== SCALAR_VALUE && access.signed === true))
    return v.reject(EACCES, `invalid bpf_context access off=${off} size=${size}`);
  (access.write ? v.ctxWritten : v.ctxRead).add(off);
  v.maxCtxOffset = Math.max(v.maxCtxOffset, off + size);
  if (loaded === undefined) return;
  if (found.regType === SCALAR_VALUE) return setUnknown(v, loaded);
  setPointer(loaded, found.regType);
  const { field }: { readonly regType: number; readonly field?: Field } = found;
  if (mayBeNull(found.regType) || field?.own === true) loaded.id = v.newId();
  if (field?.memSize !== undefined) loaded.memSize = field.memSize;
  loaded.btfName = found.btfName;
}

function checkSockAccess(v: Verifier, reg: Reg, regno: number, at: number, size: number): void {
  if (reg.smin < 0n)
    v.reject(EACCES, `R${regno} min value is negative, either use unsigned index or do a if (index >=0) check.`);
  if (!checkObjectAccess(reg.type, 'read', at, size))
    v.reject(EACCES, `R${regno} invalid ${typeName(reg.type)} access off=${at} size=${size}`);
}

/** Not one of the kernel's refusals: a state that cannot come to be. */
export function impossible(v: Verifier, what: string): never {
  return v.reject(EFAULT, `verifier bug: ${what}`);
}
