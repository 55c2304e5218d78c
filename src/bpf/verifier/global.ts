/**
 * Global functions: verified once, by themselves, for any arguments that their BTF prototype allows; at a call only the
 * arguments are checked.
 */
import { EINVAL } from '../../core/errno.ts';
import type { BtfFunc, BtfParam } from '../program.ts';
import { checkHelperMemory } from './call/memory-args.ts';
import type { Verifier } from './env.ts';
import { readReg } from './read.ts';
import { mayBeNull, PTR_MAYBE_NULL, PTR_TO_CTX, PTR_TO_MEM, SCALAR_VALUE } from './reg.ts';
import type { FuncState } from './state.ts';
import { setPointer, setUnknown } from './values.ts';

/** The prototype of a subprogram, if the program's BTF tells. */
export function prototypeOf(v: Verifier, index: number): BtfFunc | undefined {
  const { start } = v.subprogs[index];
  const info = v.spec.funcInfo?.find((f) => f.insn === start);
  return info === undefined ? undefined : v.spec.btf?.func(info.typeId);
}

const nullable = (p: BtfParam): boolean => !p.tags.includes('arg:nonnull');

function checkParams(v: Verifier, proto: BtfFunc): void {
  if (proto.params.length > 5)
    v.reject(EINVAL, `Global function ${proto.name}() with ${proto.params.length} > 5 args. Buggy compiler.`);
  if (proto.returns === 'other')
    v.reject(EINVAL, `Global function ${proto.name}() return value not void or scalar. Only those are supported.`);
  proto.params.forEach((p, i) => {
    if (p.kind === 'dynptr' || p.kind === 'arena' || p.kind === 'other')
      v.reject(
        EINVAL,
        p.kind === 'other'
          ? `Arg#${i} type ${p.pointee} in ${proto.name}() is not supported yet.`
          : `netloom does not support ${p.kind} arguments of global functions (${proto.name}, argument ${i + 1})`,
      );
  });
}

/** Arguments as any caller may pass them. */
export function setGlobalArgs(v: Verifier, index: number, frame: FuncState): void {
  const proto = prototypeOf(v, index);
  if (proto === undefined)
    return v.reject(EINVAL, `netloom needs BTF to verify the global function at ${v.subprogs[index].start}`);
  checkParams(v, proto);
  proto.params.forEach((p, i) => {
    const reg = frame.regs[i + 1];
    if (p.kind === 'ctx') setPointer(reg, PTR_TO_CTX);
    else if (p.kind === 'mem') {
      setPointer(reg, PTR_TO_MEM | (nullable(p) ? PTR_MAYBE_NULL : 0));
      if (nullable(p)) reg.id = v.newId();
      reg.memSize = p.size;
    } else setUnknown(v, reg);
  });
}

/** Arguments of a call, against the prototype. */
export function checkGlobalCall(v: Verifier, index: number): void {
  const proto = prototypeOf(v, index);
  if (v.state.activeLocks > 0)
    v.reject(EINVAL, 'global function calls are not allowed while holding a lock,\nuse static function instead');
  if (proto === undefined) return;
  const bad = (): never => v.reject(EINVAL, `Caller passes invalid args into func#${index} ('${proto.name}')`);
  proto.params.forEach((p, i) => {
    const regno = i + 1;
    const reg = readReg(v, regno);
    if (p.kind === 'int') {
      if (reg.type !== SCALAR_VALUE) {
        v.note(`R${regno} is not a scalar`);
        bad();
      }
    } else if (p.kind === 'ctx') {
      if (reg.type !== PTR_TO_CTX) {
        v.note(`arg#${i} expected pointer to ctx, but got ${reg.type}`);
        bad();
      }
    } else if (p.kind === 'mem') {
      const isNull = reg.type === SCALAR_VALUE && reg.mask === 0n && reg.value === 0n;
      if (isNull && nullable(p)) return;
      if (mayBeNull(reg.type) && !nullable(p)) {
        v.note(`arg#${i} is marked as non-NULL, but may be NULL`);
        bad();
      }
      const type = reg.type;
      // Checked as if it were there: NULL is the callee's concern.
      reg.type &= ~PTR_MAYBE_NULL;
      checkHelperMemory(v, regno, p.size, true, false, undefined);
      v.regs[regno].type = type;
    }
  });
}
