/**
 * Arithmetic (RFC 9669, section 4.1 to 4.2) in Wasm. Both mask shift counts alike; what differs is division: eBPF divides by
 * zero to 0, leaves the dividend of a modulo by zero, and wraps the most negative number divided by -1.
 */
import { I32, I64, OP } from '../../core/wasm.ts';
import {
  BPF_ADD,
  BPF_ALU64,
  BPF_AND,
  BPF_ARSH,
  BPF_DIV,
  BPF_END,
  BPF_LSH,
  BPF_MOD,
  BPF_MOV,
  BPF_MUL,
  BPF_NEG,
  BPF_OR,
  BPF_RSH,
  BPF_SUB,
  BPF_X,
  BPF_XOR,
  classOf,
  type Insn,
} from '../insn.ts';
import type { Frame } from './frame.ts';
import { NotCompiled } from './input.ts';

const SIMPLE64: ReadonlyMap<number, number> = new Map<number, number>([
  [BPF_ADD, OP['i64.add']],
  [BPF_SUB, OP['i64.sub']],
  [BPF_MUL, OP['i64.mul']],
  [BPF_OR, OP['i64.or']],
  [BPF_AND, OP['i64.and']],
  [BPF_LSH, OP['i64.shl']],
  [BPF_RSH, OP['i64.shr_u']],
  [BPF_XOR, OP['i64.xor']],
  [BPF_ARSH, OP['i64.shr_s']],
]);
// The 32-bit opcodes lie 18 below.
const TO_32 = OP['i64.add'] - OP['i32.add'];

export function writeAlu(f: Frame, insn: Insn, pc: number): void {
  const wide = classOf(insn) === BPF_ALU64;
  const op = insn.code & 0xf0;
  const { code } = f;
  const pushDst = (): unknown => (wide ? f.reg(insn.dst) : f.low(insn.dst));
  const pushSrc = (): unknown => {
    if ((insn.code & BPF_X) !== 0) return wide ? f.reg(insn.src) : f.low(insn.src);
    return wide ? code.i64(insn.imm) : code.i32(insn.imm);
  };
  const store = (): unknown => (wide ? f.set(insn.dst) : f.setLow(insn.dst));
  const simple = SIMPLE64.get(op);
  if (simple !== undefined) {
    pushDst();
    pushSrc();
    code.op(wide ? simple : simple - TO_32);
    store();
    return;
  }
  switch (op) {
    case BPF_MOV:
      if (insn.off === 1 && wide) throw new NotCompiled('arena address casts', pc);
      pushSrc();
      if ((insn.code & BPF_X) !== 0 && insn.off !== 0) {
        if (wide)
          code.op(insn.off === 8 ? OP['i64.extend8_s'] : insn.off === 16 ? OP['i64.extend16_s'] : OP['i64.extend32_s']);
        else code.op(insn.off === 8 ? OP['i32.extend8_s'] : OP['i32.extend16_s']);
      }
      store();
      return;
    case BPF_NEG:
      if (wide) code.i64(0);
      else code.i32(0);
      pushDst();
      code.op(wide ? OP['i64.sub'] : OP['i32.sub']);
      store();
      return;
    case BPF_DIV:
    case BPF_MOD:
      writeDivision(f, insn, wide, pushDst, pushSrc);
      store();
      return;
    case BPF_END:
      writeEndian(f, insn, wide);
      return;
    default:
      throw new NotCompiled(`opcode 0x${insn.code.toString(16)}`, pc);
  }
}

/** Leaves quotient or remainder on the stack. */
function writeDivision(f: Frame, insn: Insn, wide: boolean, pushDst: () => unknown, pushSrc: () => unknown): void {
  const { code } = f;
  const signed = insn.off === 1;
  const divides = (insn.code & 0xf0) === BPF_DIV;
  const op64 = divides ? (signed ? OP['i64.div_s'] : OP['i64.div_u']) : signed ? OP['i64.rem_s'] : OP['i64.rem_u'];
  const op = wide ? op64 : op64 - TO_32;
  const constant = (insn.code & BPF_X) === 0;
  if (constant && insn.imm !== 0 && !(signed && insn.imm === -1)) {
    pushDst();
    pushSrc();
    code.op(op);
    return;
  }
  const type = wide ? I64 : I32;
  if (divides && signed) {
    // Divisors 0 and -1: the product with the divisor is the result for both.
    pushSrc();
    if (wide) code.i64(1).op(OP['i64.add']).i64(2).op(OP['i64.lt_u']);
    else code.i32(1).op(OP['i32.add']).i32(2).op(OP['i32.lt_u']);
    code.if(type);
    pushDst();
    pushSrc();
    code.op(wide ? OP['i64.mul'] : OP['i32.mul']);
  } else {
    pushSrc();
    code.op(wide ? OP['i64.eqz'] : OP['i32.eqz']).if(type);
    if (!divides) pushDst();
    else if (wide) code.i64(0);
    else code.i32(0);
  }
  code.else();
  pushDst();
  pushSrc();
  code.op(op).end();
}

/** Byte order: `le` only cuts off (memory is little endian), `be` and `bswap` reverse. */
function writeEndian(f: Frame, insn: Insn, wide: boolean): void {
  const { code } = f;
  const swap = wide || (insn.code & BPF_X) !== 0;
  const r = insn.dst;
  if (insn.imm === 16) {
    if (!swap) f.reg(r).i64(0xffff).op(OP['i64.and']);
    else {
      f.low(r).i32(0xff).op(OP['i32.and']).i32(8).op(OP['i32.shl']);
      f.low(r).i32(8).op(OP['i32.shr_u']).i32(0xff).op(OP['i32.and']);
      code.op(OP['i32.or']).op(OP['i64.extend_i32_u']);
    }
  } else if (insn.imm === 32) {
    f.low(r);
    if (swap) reverseWord(f);
    code.op(OP['i64.extend_i32_u']);
  } else {
    if (!swap) return;
    f.low(r);
    reverseWord(f);
    code.op(OP['i64.extend_i32_u']).i64(32).op(OP['i64.shl']);
    f.high(r);
    reverseWord(f);
    code.op(OP['i64.extend_i32_u']).op(OP['i64.or']);
  }
  f.set(r);
}

/** The i32 on the stack with its bytes reversed. */
export function reverseWord(f: Frame): void {
  const { code } = f;
  code.tee(f.a32).i32(0x00ff00ff).op(OP['i32.and']).i32(24).op(OP['i32.rotl']);
  code.get(f.a32).i32(0xff00ff00).op(OP['i32.and']).i32(8).op(OP['i32.rotl']).op(OP['i32.or']);
}
