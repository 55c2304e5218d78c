/** Conditions of jumps (RFC 9669, section 4.3) as i32 on the Wasm stack. */
import { OP } from '../../core/wasm.ts';
import {
  BPF_JCOND,
  BPF_JEQ,
  BPF_JGE,
  BPF_JGT,
  BPF_JLE,
  BPF_JLT,
  BPF_JMP,
  BPF_JNE,
  BPF_JSET,
  BPF_JSGE,
  BPF_JSGT,
  BPF_JSLE,
  BPF_JSLT,
  BPF_X,
  classOf,
  type Insn,
} from '../insn.ts';
import type { Frame } from './frame.ts';
import { NotCompiled } from './input.ts';

/** Times that the `may_goto`s of a function fall through together, before they jump (BPF_MAX_LOOPS). */
export const MAY_GOTO_LOOPS: number = 8 * 1024 * 1024;

/** By operation: the i64 comparison, and the one that says the opposite. */
const COMPARE: ReadonlyMap<number, readonly [number, number]> = new Map([
  [BPF_JEQ, [OP['i64.eq'], OP['i64.ne']]],
  [BPF_JNE, [OP['i64.ne'], OP['i64.eq']]],
  [BPF_JGT, [OP['i64.gt_u'], OP['i64.le_u']]],
  [BPF_JGE, [OP['i64.ge_u'], OP['i64.lt_u']]],
  [BPF_JLT, [OP['i64.lt_u'], OP['i64.ge_u']]],
  [BPF_JLE, [OP['i64.le_u'], OP['i64.gt_u']]],
  [BPF_JSGT, [OP['i64.gt_s'], OP['i64.le_s']]],
  [BPF_JSGE, [OP['i64.ge_s'], OP['i64.lt_s']]],
  [BPF_JSLT, [OP['i64.lt_s'], OP['i64.ge_s']]],
  [BPF_JSLE, [OP['i64.le_s'], OP['i64.gt_s']]],
]);
const TO_32 = OP['i64.eq'] - OP['i32.eq'];

/** Pushes whether the jump is taken (`negate`: not taken). */
export function writeCondition(f: Frame, insn: Insn, pc: number, negate: boolean): void {
  const { code } = f;
  const op = insn.code & 0xf0;
  const wide = classOf(insn) === BPF_JMP;
  if (op === BPF_JCOND && wide) {
    code.get(f.loops).i32(1).op(OP['i32.sub']).tee(f.loops).i32(0);
    code.op(negate ? OP['i32.ge_s'] : OP['i32.lt_s']);
    return;
  }
  const zero = (insn.code & BPF_X) === 0 && insn.imm === 0;
  if (wide) f.reg(insn.dst);
  else f.low(insn.dst);
  if (zero && (op === BPF_JEQ || op === BPF_JNE)) {
    const eqz = (op === BPF_JEQ) !== negate;
    if (eqz) code.op(wide ? OP['i64.eqz'] : OP['i32.eqz']);
    else if (wide) code.i64(0).op(OP['i64.ne']);
    return;
  }
  if ((insn.code & BPF_X) !== 0) {
    if (wide) f.reg(insn.src);
    else f.low(insn.src);
  } else if (wide) code.i64(insn.imm);
  else code.i32(insn.imm);
  if (op === BPF_JSET) {
    code.op(wide ? OP['i64.and'] : OP['i32.and']);
    if (negate) code.op(wide ? OP['i64.eqz'] : OP['i32.eqz']);
    else if (wide) code.i64(0).op(OP['i64.ne']);
    return;
  }
  const pair = COMPARE.get(op);
  if (pair === undefined) throw new NotCompiled(`opcode 0x${insn.code.toString(16)}`, pc);
  const compare = pair[negate ? 1 : 0];
  code.op(wide ? compare : compare - TO_32);
}
