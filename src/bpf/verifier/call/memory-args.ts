/** Arguments that point to memory, and the size that goes with them. */
import { EACCES } from '../../../core/errno.ts';
import { BPF_PROG_TYPE_CGROUP_SOCKOPT } from '../../../wire/uapi/bpf.ts';
import type { Verifier } from '../env.ts';
import { checkPtrOffReg, mayAccessPacket } from '../memory.ts';
import { markPrecise } from '../precision.ts';
import { typeName } from '../print.ts';
import {
  baseType,
  isConst,
  MEM_RDONLY,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
} from '../reg.ts';
import { checkMapAccess, checkMapAccessType, checkMemRegion, checkPacketAccess } from '../regions.ts';
import { checkStackRange, type RawBuffer } from '../stack.ts';

/** Sizes from here on count as unbounded. */
const BPF_MAX_VAR_SIZ = 1n << 29n;

/** A packet pointer may be passed to this helper. */
export function helperMayAccessPacket(v: Verifier, pktAccess: boolean): boolean {
  return mayAccessPacket(v, false) && (pktAccess || v.spec.type === BPF_PROG_TYPE_CGROUP_SOCKOPT);
}

/** A helper reads or writes `size` bytes at R`regno`. */
export function checkHelperMemory(
  v: Verifier,
  regno: number,
  size: number,
  write: boolean,
  zeroOk: boolean,
  meta: RawBuffer | undefined,
): void {
  const reg = v.regs[regno];
  const readOnly = (reg.type & MEM_RDONLY) !== 0;
  const cannotWrite = (): never => v.reject(EACCES, `R${regno} cannot write into ${typeName(reg.type)}`);
  switch (baseType(reg.type)) {
    case PTR_TO_PACKET:
    case PTR_TO_PACKET_META:
      return checkPacketAccess(v, regno, reg.off, size, zeroOk);
    case PTR_TO_MAP_KEY:
      if (write) cannotWrite();
      return checkMemRegion(v, regno, reg.off, size, reg.map?.keySize ?? 0, false);
    case PTR_TO_MAP_VALUE:
      checkMapAccessType(v, reg, reg.off, size, write ? 'write' : 'read');
      return checkMapAccess(v, regno, reg.off, size, zeroOk, 'helper');
    case PTR_TO_MEM:
      if (readOnly && write) cannotWrite();
      return checkMemRegion(v, regno, reg.off, size, reg.memSize, zeroOk);
    case PTR_TO_BUF: {
      if (readOnly && write) cannotWrite();
      if (reg.off < 0)
        v.reject(
          EACCES,
          `R${regno} invalid ${readOnly ? 'rdonly' : 'rdwr'} buffer access: off=${reg.off}, size=${size}`,
        );
      return checkPtrOffReg(v, reg, regno, true);
    }
    case PTR_TO_STACK:
      return checkStackRange(v, regno, reg.off, size, zeroOk, write, meta);
    case PTR_TO_BTF_ID:
      return v.reject(EACCES, `netloom does not support passing struct ${reg.btfName} to a helper as memory`);
    default:
      if (zeroOk && size === 0 && isConst(reg) && reg.value === 0n) return;
      return v.reject(EACCES, `R${regno} type=${typeName(reg.type)} expected=${typeName(PTR_TO_STACK)}`);
  }
}

/** R`regno` is the size of the memory at R`regno - 1`. */
export function checkSizeArg(
  v: Verifier,
  regno: number,
  write: boolean,
  zeroOk: boolean,
  meta: RawBuffer & { maxSize: bigint | undefined },
): void {
  const reg = v.regs[regno];
  meta.maxSize = reg.umax;
  // A helper may fill less than the most, so then the memory must be initialised.
  const fills = isConst(reg) ? meta : undefined;
  if (reg.smin < 0n) v.reject(EACCES, `R${regno} min value is negative, either use unsigned or 'var &= const'`);
  if (reg.umin === 0n && !zeroOk)
    v.reject(EACCES, `R${regno} invalid zero-sized read: u64=[${reg.umin},${BigInt.asIntN(64, reg.umax)}]`);
  if (reg.umax >= BPF_MAX_VAR_SIZ)
    v.reject(EACCES, `R${regno} unbounded memory access, use 'var &= const' or 'if (var < const)'`);
  checkHelperMemory(v, regno - 1, Number(reg.umax), write, zeroOk, fills);
  markPrecise(v, regno);
}
