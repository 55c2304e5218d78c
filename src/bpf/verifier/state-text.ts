/** A state as the log shows it: "R1=ctx() R10=fp0 fp-8=mmmmmmmm refs=2". */
import type { Verifier } from './env.ts';
import { regText } from './print.ts';
import { NOT_INIT } from './reg.ts';
import { STACK_DYNPTR, STACK_INVALID, STACK_ITER, type StackSlot, type State } from './state.ts';

const LETTERS = '?rm0di';

function slotText(slot: StackSlot, spi: number, frame: number): string {
  const at = `fp-${(spi + 1) * 8}`;
  const content = slot.types >>> 28;
  if (content === STACK_DYNPTR) {
    const parts = slot.reg.id !== 0 ? [`id=${slot.reg.id}`] : [];
    if (slot.reg.refId !== 0) parts.push(`ref_id=${slot.reg.refId}`);
    // The kernel prints the mark of the first half under this name.
    parts.push('dynptr_id=1');
    return `${at}=dynptr_${slot.reg.dynptrKind}(${parts.join(',')})`;
  }
  if (content === STACK_ITER) {
    const state = slot.reg.iterActive ? 'active' : 'drained';
    return `${at}=iter_${slot.reg.iterKind}(ref_id=${slot.reg.refId},state=${state},depth=${slot.reg.iterDepth})`;
  }
  let bytes = '';
  for (let j = 0; j < 8; j++) bytes += LETTERS[slot.at(j)];
  if (!slot.spilled) return `${at}=${bytes}`;
  const rest = bytes.slice(0, bytes.indexOf('r'));
  return `${at}=${rest}${regText(slot.reg, frame)}`;
}

/** Registers and slots of one frame; all of them, or those touched since the last time. */
export function stateText(v: Verifier, state: State, frameno: number, all: boolean): string {
  const frame = state.frames[frameno];
  let text = frameno > 0 ? ` frame${frameno}:` : '';
  frame.regs.forEach((reg, i) => {
    if (reg.type === NOT_INIT || (!all && (v.scratchedRegs & (1 << i)) === 0)) return;
    text += ` R${i}=${regText(reg, frameno)}`;
  });
  frame.stack.forEach((slot, spi) => {
    if (!all && !v.scratchedSlots.has(spi)) return;
    if (slot.is(STACK_INVALID)) return;
    // A dynptr is shown once, at its first half.
    if (slot.types >>> 28 === STACK_DYNPTR && !slot.reg.dynptrFirst) return;
    text += ` ${slotText(slot, spi, frameno)}`;
  });
  const held = state.refs.filter((r) => r.kind === 'ptr');
  if (held.length > 0) text += ` refs=${held.map((r) => r.id).join(',')}`;
  if (frame.inCallback) text += ' cb';
  if (frame.inAsyncCallback) text += ' async_cb';
  return text;
}

/** Forgets what was touched; after the log has shown it. */
export function clearScratched(v: Verifier): void {
  v.scratchedRegs = 0;
  v.scratchedSlots.clear();
}

const MIN_ALIGNMENT = 8;
const ALIGNMENT = 40;

/** The state touched by an instruction, on the line that shows the instruction when nothing came between. */
export function logInsnState(v: Verifier): void {
  if (v.log.verbose) {
    const text = stateText(v, v.state, v.state.depth, false);
    if (v.insnLineEnd === v.log.position && v.insnLineEnd > 0) {
      const length = v.insnLineEnd - v.insnLineStart;
      const column = Math.ceil(Math.max(length + MIN_ALIGNMENT / 2, ALIGNMENT) / MIN_ALIGNMENT) * MIN_ALIGNMENT;
      v.log.reset(v.insnLineEnd - 1);
      v.log.write(`${' '.repeat(column - length - 1)};${text}\n`);
    } else v.log.write(`${v.insn}:${text}\n`);
  }
  clearScratched(v);
}
