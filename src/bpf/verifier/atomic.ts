/** Atomic operations, load-acquire and store-release. */
import { EACCES } from '../../core/errno.ts';
import { BPF_LOAD_ACQ, BPF_STORE_REL, type Insn, sizeOf } from '../insn.ts';
import { atomicWrites } from './check-walked.ts';
import type { Verifier } from './env.ts';
import { checkMemAccess } from './memory.ts';
import { typeName } from './print.ts';
import { leaksPointer } from './read.ts';
import {
  isPacketPointer,
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  type Reg,
} from './reg.ts';
import { setUnknown } from './values.ts';

const NOT_ATOMIC: ReadonlySet<number> = new Set([
  PTR_TO_CTX,
  PTR_TO_FLOW_KEYS,
  PTR_TO_SOCKET,
  PTR_TO_SOCK_COMMON,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
]);

function checkPointer(v: Verifier, regno: number, reg: Reg, what: string): void {
  if (NOT_ATOMIC.has(reg.type) || isPacketPointer(reg.type))
    v.reject(EACCES, `BPF_ATOMIC ${what} R${regno} ${typeName(reg.type)} is not allowed`);
}

export function walkAtomic(v: Verifier, insn: Insn): void {
  const size = sizeOf(insn.code);
  if (insn.imm === BPF_LOAD_ACQ) {
    checkPointer(v, insn.src, v.regs[insn.src], 'loads from');
    checkMemAccess(v, insn.src, insn.off, size, { write: false, regno: insn.dst, aligned: true });
    return;
  }
  const dst = v.regs[insn.dst];
  if (insn.imm === BPF_STORE_REL) {
    checkPointer(v, insn.dst, dst, 'stores into');
    checkMemAccess(v, insn.dst, insn.off, size, { write: true, regno: insn.src, aligned: true });
    return;
  }
  if (leaksPointer(v, v.regs[insn.src])) v.reject(EACCES, `R${insn.src} leaks addr into mem`);
  checkPointer(v, insn.dst, dst, 'stores into');
  const fetched = atomicWrites(insn);
  if (fetched >= 10) v.reject(EACCES, 'frame pointer is read only');
  // The register that gets the old value loses its own first, be it the address.
  if (fetched === insn.dst) setUnknown(v, dst);
  // The old value is read before anything is written; what it reads may not be an address.
  checkMemAccess(v, insn.dst, insn.off, size, { write: false, regno: undefined, aligned: true });
  if (fetched >= 0) checkMemAccess(v, insn.dst, insn.off, size, { write: false, regno: fetched, aligned: true });
  checkMemAccess(v, insn.dst, insn.off, size, { write: true, regno: undefined, aligned: true });
  v.scratchReg(fetched >= 0 ? fetched : insn.dst);
}
