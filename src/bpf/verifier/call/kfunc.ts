/** A call of a kernel function (Documentation/bpf/kfuncs.rst): may it be called here, do its arguments fit, what is known afterwards. */
import { EACCES, EINVAL, EPROTO } from '../../../core/errno.ts';
import { BPF_PROG_TYPE_XDP } from '../../../wire/uapi/bpf.ts';
import type { Insn } from '../../insn.ts';
import { type InsnError, refuse } from '../check-insn.ts';
import { type DynptrKind, dynptrArg, dynptrOf } from '../dynptr.ts';
import { Reject, type Verifier } from '../env.ts';
import { clearPacketPointers } from '../invalidate.ts';
import { destroyIter, type IterPlace, initialisedIter, newIter, nextIter } from '../iter.ts';
import { KFUNCS, type Kfunc, type KfuncArg } from '../kfunc-table.ts';
import { mayAccessPacket } from '../memory.ts';
import { markPrecise } from '../precision.ts';
import { typeName } from '../print.ts';
import { clearCallerSaved } from '../read.ts';
import { acquireRef, forEachReg, releaseRef } from '../refs.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  isConst,
  MEM_ALLOC,
  MEM_RCU,
  MEM_RDONLY,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_CTX,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TRUSTED,
  PTR_UNTRUSTED,
  type Reg,
  SCALAR_VALUE,
} from '../reg.ts';
import { setPointer, setUninit, setUnknown } from '../values.ts';
import { isGplCompatible } from './license.ts';
import { checkHelperMemory, checkSizeArg } from './memory-args.ts';
import { checkArgOffset } from './pointer-offset.ts';

/** What the arguments have shown. */
class KfuncMeta {
  readonly kfunc: Kfunc;
  refId = 0;
  releaseRegno = 0;
  /** The constant argument. */
  constant = 0;
  /** A copy of the initialised dynptr among the arguments. */
  dynptr: Reg | undefined = undefined;
  iter: IterPlace | undefined = undefined;
  raw = false;
  regno = -1;
  accessSize = 0;
  maxSize: bigint | undefined = undefined;

  constructor(kfunc: Kfunc) {
    this.kfunc = kfunc;
  }
}

const XDP_MD_SIZE = 24;

/** A call to a kernel function that there is none of, found before the program is walked. */
export function checkKfuncKnown(v: Verifier, insn: Insn): InsnError | undefined {
  // A module's function is named by a positive offset into a list of modules, and there is none.
  if (insn.off !== 0) return refuse('failed to find BTF for kernel function', insn.off < 0 ? EINVAL : EPROTO);
  if (insn.imm === 0 || v.spec.kfuncs?.has(insn.imm) === true) return undefined;
  return refuse(`kernel btf_id ${insn.imm} is not a function`);
}

/** Checks the kernel function call at the current instruction and gives R0 to R5 their contents after it. */
export function checkKfuncCall(v: Verifier, insn: Insn): void {
  const name = v.spec.kfuncs?.get(insn.imm);
  // Number 0 is a weak symbol that was not found; `checkKfuncKnown` has refused the other unknown ones.
  if (name === undefined) return v.reject(EINVAL, 'invalid kernel function call not eliminated in verifier pass');
  const kfunc = KFUNCS.get(name);
  if (kfunc === undefined) return v.reject(EINVAL, `netloom does not support kernel function ${name}`);
  if (!isGplCompatible(v.spec.license)) v.reject(EINVAL, 'cannot call kernel function from non-GPL compatible program');
  if (v.state.activeLocks > 0 && !allowedUnderLock(kfunc))
    v.reject(EINVAL, 'function calls are not allowed while holding a lock');
  if (kfunc.devBound) v.reject(EINVAL, 'metadata kfuncs require device-bound program');
  if (kfunc.types?.includes(v.spec.type) === false) v.reject(EACCES, `calling kernel function ${name} is not allowed`);

  const meta = new KfuncMeta(kfunc);
  for (let i = 0; i < kfunc.args.length; i++) if (checkArg(v, i, meta)) i++;
  if (kfunc.release && meta.releaseRegno === 0)
    v.reject(EINVAL, `release kernel function ${name} expects refcounted PTR_TO_BTF_ID`);
  section(v, kfunc);
  if (meta.releaseRegno !== 0 && !releaseRef(v, v.regs[meta.releaseRegno].refId))
    v.reject(EINVAL, `kfunc ${name}#${insn.imm} reference has not been acquired before`);

  clearCallerSaved(v, v.regs);
  setReturn(v, meta);
  if (kfunc.changesData) clearPacketPointers(v);
  if (kfunc.iter === 'next' && meta.iter !== undefined) nextIter(v, meta.iter);
}

/** Only functions on objects that the lock protects, and number iterators. */
const allowedUnderLock = (kfunc: Kfunc): boolean => kfunc.name.startsWith('bpf_iter_num_');

const isNull = (reg: Reg): boolean => isConst(reg) && reg.value === 0n;

/** Register types that stand for a kernel socket. */
const SOCKETS: ReadonlyMap<number, string> = new Map([
  [PTR_TO_SOCKET, 'sock'],
  [PTR_TO_SOCK_COMMON, 'sock_common'],
  [PTR_TO_TCP_SOCK, 'tcp_sock'],
]);

/** Checks an argument; true: the next one, its size, is done too. */
function checkArg(v: Verifier, index: number, meta: KfuncMeta): boolean {
  const { kfunc } = meta;
  const arg = kfunc.args[index];
  const regno = index + 1;
  const reg = v.regs[regno];
  if (arg.kind === 'ignored') return false;
  if (arg.kind === 'scalar' || arg.kind === 'const' || arg.kind === 'size') {
    if (reg.type !== SCALAR_VALUE) v.reject(EINVAL, `R${regno} is not a scalar`);
    if (arg.kind === 'const') constantArg(v, regno, meta);
    return false;
  }
  const optional = arg.kind === 'mem' && arg.optional === true;
  if ((isNull(reg) || mayBeNull(reg.type)) && !optional)
    v.reject(EACCES, `Possibly NULL pointer passed to trusted arg${index}`);
  if (reg.refId !== 0) {
    meta.refId = reg.refId;
    if (kfunc.release) meta.releaseRegno = regno;
  }
  checkShape(v, index, arg, reg);
  checkArgOffset(v, regno, { kind: 'any', release: kfunc.release && reg.refId !== 0 });
  switch (arg.kind) {
    case 'ctx':
      contextArg(v, index, arg, reg);
      return false;
    case 'dynptr':
      dynptrKfuncArg(v, regno, arg, meta);
      return false;
    case 'iter':
      iterArg(v, regno, meta);
      return false;
    case 'struct':
      structArg(v, index, arg.struct, meta);
      return false;
    case 'mem':
      return memoryArg(v, index, arg, meta);
  }
}

/** A pointer to a kernel struct cannot be replaced by memory. */
function checkShape(v: Verifier, index: number, arg: KfuncArg, reg: Reg): void {
  if (arg.kind !== 'struct') return;
  if (baseType(reg.type) === PTR_TO_BTF_ID || SOCKETS.has(baseType(reg.type))) {
    if (!isTrusted(reg)) v.reject(EINVAL, `R${index + 1} must be referenced or trusted`);
    return;
  }
  v.reject(EINVAL, `arg#${index} pointer type STRUCT ${arg.struct} must point to scalar, or struct with scalar`);
}

function isTrusted(reg: Reg): boolean {
  if (reg.refId !== 0) return true;
  const flags = reg.type & ~0xff;
  if (SOCKETS.has(baseType(reg.type))) return flags === 0;
  return (flags & (PTR_TRUSTED | MEM_ALLOC)) !== 0 && (flags & ~(PTR_TRUSTED | MEM_ALLOC)) === 0;
}

function constantArg(v: Verifier, regno: number, meta: KfuncMeta): void {
  const reg = v.regs[regno];
  if (!isConst(reg)) v.reject(EINVAL, `R${regno} must be a known constant`);
  markPrecise(v, regno);
  meta.constant = Number(BigInt.asUintN(32, reg.value));
}

function contextArg(v: Verifier, index: number, arg: KfuncArg & { kind: 'ctx' }, reg: Reg): void {
  const isXdp = v.spec.type === BPF_PROG_TYPE_XDP;
  if (arg.struct === '__sk_buff' && isXdp)
    v.reject(EINVAL, `arg#${index} pointer type STRUCT __sk_buff must point to scalar, or struct with scalar`);
  if (arg.struct === 'xdp_md' && !isXdp) return readAndWrite(v, index + 1, XDP_MD_SIZE);
  if (reg.type !== PTR_TO_CTX) v.reject(EINVAL, `arg#${index} expected pointer to ctx, but got ${typeName(reg.type)}`);
}

function dynptrKfuncArg(v: Verifier, regno: number, arg: KfuncArg & { kind: 'dynptr' }, meta: KfuncMeta): void {
  const reg = v.regs[regno];
  if (arg.uninit === true) {
    const parent = arg.made === 'same' ? meta.dynptr : undefined;
    const dynptr = parent === undefined ? (arg.made as DynptrKind) : (parent.dynptrKind as DynptrKind);
    dynptrArg(v, regno, { uninit: true, dynptr, parent });
    return;
  }
  dynptrArg(v, regno, { readOnly: reg.type === CONST_PTR_TO_DYNPTR });
  meta.dynptr = dynptrOf(v, reg).clone();
}

function iterArg(v: Verifier, regno: number, meta: KfuncMeta): void {
  if (meta.kfunc.iter === 'new') return newIter(v, regno, 'num');
  meta.iter = initialisedIter(v, regno, 'num');
  meta.refId = v.state.frames[meta.iter.frame].stack[meta.iter.spi].reg.refId;
  if (meta.kfunc.iter === 'destroy') destroyIter(v, meta.iter);
}

function structArg(v: Verifier, index: number, wanted: string, meta: KfuncMeta): void {
  const reg = v.regs[index + 1];
  const name = SOCKETS.get(baseType(reg.type)) ?? reg.btfName;
  const isSock = /^(sock|(tcp|udp|tcp6|udp6|unix|inet|mptcp)_sock)$/.test(name);
  if (name === wanted || (isSock && (wanted === 'sock' || wanted === 'sock_common'))) return;
  v.reject(
    EINVAL,
    `kernel function ${meta.kfunc.name} args#${index} expected pointer to STRUCT ${wanted} but R${index + 1} has a pointer to STRUCT ${name}`,
  );
}

function readAndWrite(v: Verifier, regno: number, size: number): void {
  checkHelperMemory(v, regno, size, false, true, undefined);
  checkHelperMemory(v, regno, size, true, true, undefined);
}

function memoryArg(v: Verifier, index: number, arg: KfuncArg & { kind: 'mem' }, meta: KfuncMeta): boolean {
  const regno = index + 1;
  if (arg.size !== undefined) {
    readAndWrite(v, regno, arg.size);
    return false;
  }
  const size = meta.kfunc.args[index + 1];
  if (!isNull(v.regs[regno]) || arg.optional !== true) {
    try {
      checkSizeArg(v, regno + 1, false, true, meta);
      checkSizeArg(v, regno + 1, true, true, meta);
    } catch (e) {
      if (!(e instanceof Reject)) throw e;
      v.note(e.message);
      v.reject(e.errno, `arg#${index} arg#${index + 1} memory, len pair leads to invalid memory access`);
    }
  }
  if (size?.kind === 'size' && size.constant === true) constantArg(v, regno + 1, meta);
  return true;
}

/** Entering and leaving sections in which RCU objects live, or the task is not preempted. */
function section(v: Verifier, kfunc: Kfunc): void {
  const { state } = v;
  const { name } = kfunc;
  switch (name) {
    case 'bpf_rcu_read_lock':
      if (state.activeRcuLocks > 0) v.reject(EINVAL, `nested rcu read lock (kernel function ${name})`);
      state.activeRcuLocks = 1;
      return;
    case 'bpf_rcu_read_unlock':
      if (state.activeRcuLocks === 0) v.reject(EINVAL, `unmatched rcu read unlock (kernel function ${name})`);
      state.activeRcuLocks = 0;
      forEachReg(v, (reg) => {
        if ((reg.type & MEM_RCU) !== 0) reg.type = (reg.type & ~(MEM_RCU | PTR_MAYBE_NULL)) | PTR_UNTRUSTED;
      });
      return;
    case 'bpf_preempt_disable':
      state.activePreemptLocks++;
      return;
    case 'bpf_preempt_enable':
      if (state.activePreemptLocks === 0)
        v.reject(EINVAL, `unmatched attempt to enable preemption (kernel function ${name})`);
      state.activePreemptLocks--;
      return;
  }
}

function setReturn(v: Verifier, meta: KfuncMeta): void {
  const { ret, name, retNull, acquire } = meta.kfunc;
  const r0 = v.regs[0];
  v.scratchReg(0);
  switch (ret.kind) {
    case 'scalar':
      return setUnknown(v, r0);
    case 'void':
      return setUninit(r0);
    case 'slice':
    case 'slice_rdwr':
      setPointer(r0, PTR_TO_MEM | (ret.kind === 'slice' ? MEM_RDONLY : 0));
      if (ret.kind === 'slice_rdwr' && !mayAccessPacket(v, true))
        v.reject(EINVAL, 'the prog does not allow writes to packet data');
      r0.memSize = meta.constant;
      r0.dynptrKind = meta.dynptr?.dynptrKind ?? '';
      r0.dynptrId = meta.dynptr?.id ?? 0;
      break;
    case 'mem':
      setPointer(r0, PTR_TO_MEM | MEM_RDONLY);
      r0.memSize = ret.size;
      r0.refId = meta.refId;
      break;
    case 'kern_ctx':
      setPointer(r0, PTR_TO_BTF_ID | PTR_TRUSTED);
      r0.btfName = v.spec.type === BPF_PROG_TYPE_XDP ? 'xdp_buff' : 'sk_buff';
      break;
    case 'rdonly_cast':
      return v.reject(EINVAL, `netloom does not support kernel function ${name}`);
    case 'struct':
      setPointer(r0, PTR_TO_BTF_ID);
      r0.btfName = ret.struct;
      break;
  }
  if (retNull) {
    r0.type |= PTR_MAYBE_NULL;
    r0.id = v.newId();
  }
  if (acquire) {
    r0.refId = acquireRef(v, v.insn);
    if (retNull) r0.id = r0.refId;
  }
}
