/** Pointers that may be handed on only as they came: no offset, or a fixed one. */
import { EINVAL } from '../../../core/errno.ts';
import type { Verifier } from '../env.ts';
import type { Arg } from '../helper-table.ts';
import { checkPtrOffReg } from '../memory.ts';
import {
  baseType,
  PTR_TO_ARENA,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_STACK,
  SCALAR_VALUE,
} from '../reg.ts';

/** Memory pointers, whose offset the access itself checks. */
const ANY_OFFSET: ReadonlySet<number> = new Set([
  SCALAR_VALUE,
  PTR_TO_STACK,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_BUF,
  PTR_TO_ARENA,
]);

/** The offset that a pointer argument may have. */
export function checkArgOffset(v: Verifier, regno: number, arg: Arg): void {
  const reg = v.regs[regno];
  const base = baseType(reg.type);
  if (arg.release === true) {
    if (arg.kind === 'dynptr' && base === PTR_TO_STACK) return;
    if (reg.off !== 0)
      v.reject(EINVAL, `R${regno} must have zero offset when passed to release func or trusted arg to kfunc`);
    return checkPtrOffReg(v, reg, regno);
  }
  if (ANY_OFFSET.has(base)) return;
  checkPtrOffReg(v, reg, regno, base === PTR_TO_BTF_ID);
}
