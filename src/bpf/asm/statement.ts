/** One instruction from its text, in the kernel's or clang's notation. */
import { HELPER_NAMES } from '../../wire/uapi/bpf.ts';
import {
  BPF_ABS,
  BPF_ALU,
  BPF_ALU64,
  BPF_ATOMIC,
  BPF_B,
  BPF_CALL,
  BPF_CMPXCHG,
  BPF_DW,
  BPF_END,
  BPF_EXIT,
  BPF_FETCH,
  BPF_H,
  BPF_IMM,
  BPF_IND,
  BPF_JA,
  BPF_JCOND,
  BPF_JMP,
  BPF_JMP32,
  BPF_K,
  BPF_LD,
  BPF_LDX,
  BPF_LOAD_ACQ,
  BPF_MEM,
  BPF_MEMSX,
  BPF_MOV,
  BPF_NEG,
  BPF_PSEUDO_BTF_ID,
  BPF_PSEUDO_CALL,
  BPF_PSEUDO_FUNC,
  BPF_PSEUDO_KFUNC_CALL,
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  BPF_ST,
  BPF_STORE_REL,
  BPF_STX,
  BPF_W,
  BPF_X,
  BPF_XCHG,
  type Insn,
} from '../insn.ts';
import type { Cursor, Register } from './cursor.ts';
import { ALU_OPS, ATOMIC_OPS, JMP_OPS } from './ops.ts';

/** Where a jump, a call or a callback goes when the text names a label; `pc` counts instructions. */
export type Fixup = { readonly label: string; readonly field: 'off' | 'imm'; readonly column: number };
export type Statement = { readonly insns: readonly Insn[]; readonly fixup?: Fixup };

/** What names in the text may mean. */
export type AsmNames = {
  /** Index of a map. */
  readonly map?: (name: string) => number | undefined;
  /** `imm` of the call of a kernel function. */
  readonly kfunc?: (name: string) => number | undefined;
};

const insn = (code: number, dst = 0, src = 0, off = 0, imm = 0): Insn => ({ code, dst, src, off, imm });

/** An LD_IMM64 with its second slot. */
function wideLoad(dst: number, src: number, low: number, high: number): Insn[] {
  return [insn(BPF_LD | BPF_DW | BPF_IMM, dst, src, 0, low), insn(0, 0, 0, 0, high)];
}

/** `pc+3`, `+3` or a label. */
function target(c: Cursor, field: 'off' | 'imm'): { distance: number; fixup?: Fixup } {
  const { kind, text, column } = c.token;
  if (kind === 'word' && text !== 'pc') {
    c.next();
    return { distance: 0, fixup: { label: text, field, column } };
  }
  if (text === 'pc') c.next();
  if (c.token.text !== '+' && c.token.text !== '-') c.expected('a label or a distance (+3, pc+3)');
  const distance = field === 'off' ? c.offset() : c.imm();
  // llvm-objdump shows the place in angle brackets.
  if (c.accept('<')) while (c.token.kind !== 'end' && !c.accept('>')) c.next();
  return { distance, fixup: undefined };
}

function jumpTo(c: Cursor, code: number, dst: number, src: number, imm: number): Statement {
  const far = code === (BPF_JMP32 | BPF_JA);
  const { distance, fixup } = target(c, far ? 'imm' : 'off');
  return { insns: [insn(code, dst, src, far ? 0 : distance, far ? distance : imm)], fixup };
}

function condition(c: Cursor): Statement {
  const left = c.register();
  const op = JMP_OPS.indexOf(c.token.text);
  if (op < 0) c.expected('a comparison');
  c.next();
  const base = (left.wide ? BPF_JMP : BPF_JMP32) | (op << 4);
  let right: Register | undefined;
  let imm = 0;
  if (c.token.kind === 'reg') {
    right = c.register();
    if (right.wide !== left.wide) c.fail('both sides of a comparison have the same width', right);
  } else imm = c.imm();
  c.expect('goto');
  return jumpTo(c, base | (right === undefined ? BPF_K : BPF_X), left.number, right?.number ?? 0, imm);
}

function call(c: Cursor, names: AsmNames): Statement {
  const code = BPF_JMP | BPF_CALL;
  const { kind, text, column } = c.token;
  if (kind === 'num') return { insns: [insn(code, 0, 0, 0, c.imm())] };
  if (text === '+' || text === '-' || text === 'pc') {
    const { distance } = target(c, 'imm');
    return { insns: [insn(code, 0, BPF_PSEUDO_CALL, 0, distance)] };
  }
  if (kind !== 'word') c.expected('a function');
  c.next();
  const number = c.accept('#') ? c.imm() : undefined;
  // "call kfunc 0x1f" and, in the kernel's notation, "call bpf_dynptr_from_skb#71234".
  if (text === 'kfunc' && number === undefined && c.isNumber())
    return { insns: [insn(code, 0, BPF_PSEUDO_KFUNC_CALL, 0, c.imm())] };
  const helper = text.startsWith('bpf_') ? HELPER_NAMES.indexOf(text.slice(4)) : -1;
  if (number !== undefined) {
    const known = helper === number || text === 'unknown';
    return { insns: [insn(code, 0, known ? 0 : BPF_PSEUDO_KFUNC_CALL, 0, number)] };
  }
  if (helper > 0) return { insns: [insn(code, 0, 0, 0, helper)] };
  const kfunc = names.kfunc?.(text);
  if (kfunc !== undefined) return { insns: [insn(code, 0, BPF_PSEUDO_KFUNC_CALL, 0, kfunc)] };
  return { insns: [insn(code, 0, BPF_PSEUDO_CALL)], fixup: { label: text, field: 'imm', column } };
}

/** A register that takes part in an atomic operation of this size: clang writes w2 for the smaller ones. */
function operand(c: Cursor, size: number): number {
  const reg = c.register();
  if (size === BPF_DW && !reg.wide) c.fail(`expected r${reg.number}: the operation has 64 bits`, reg);
  return reg.number;
}

/** The register of a load or store: r or w for up to 32 bits, r for more. */
function checkWidth(c: Cursor, reg: Register, size: number): void {
  if (size === BPF_DW && !reg.wide) c.fail(`w${reg.number} has 32 bits, the access 64`, reg);
}

function rmwSize(c: Cursor, size: number, column: number): void {
  if (size === BPF_B || size === BPF_H) c.fail('atomic operations have 32 or 64 bits', { column });
}

/** `*(u32 *)(r1 + 8) = ...`, after the star. */
function store(c: Cursor): Statement {
  const at = c.typedAddress();
  if (at.signed) c.fail('a store has no sign', at);
  c.expect('=');
  if (c.token.kind !== 'reg') return { insns: [insn(BPF_ST | BPF_MEM | at.size, at.reg, 0, at.off, c.imm())] };
  const reg = c.register();
  checkWidth(c, reg, at.size);
  return { insns: [insn(BPF_STX | BPF_MEM | at.size, at.reg, reg.number, at.off)] };
}

/** `lock *(u64 *)(r1 + 0) += r2`, after `lock`. */
function locked(c: Cursor): Statement {
  c.expect('*');
  const at = c.typedAddress();
  if (at.signed) c.fail('an atomic operation has no sign', at);
  const op = ALU_OPS.indexOf(c.token.text) << 4;
  if (![...ATOMIC_OPS.values()].includes(op)) c.expected('one of += |= &= ^=');
  c.next();
  return { insns: [insn(BPF_STX | BPF_ATOMIC | at.size, at.reg, operand(c, at.size), at.off, op)] };
}

function storeRelease(c: Cursor): Statement {
  c.expect('(');
  const at = c.typedAddress();
  c.expect(',');
  const src = operand(c, at.size);
  c.expect(')');
  return { insns: [insn(BPF_STX | BPF_ATOMIC | at.size, at.reg, src, at.off, BPF_STORE_REL)] };
}

function loadAcquire(c: Cursor, dst: Register): Statement {
  c.expect('(');
  const at = c.typedAddress();
  c.expect(')');
  checkWidth(c, dst, at.size);
  return { insns: [insn(BPF_STX | BPF_ATOMIC | at.size, dst.number, at.reg, at.off, BPF_LOAD_ACQ)] };
}

/** Exchanges and fetches in either notation; undefined when `name` is none. */
function fetching(c: Cursor, dst: Register, name: string): Statement | undefined {
  const kernel = /^atomic(64)?_(?:fetch_(add|or|and|xor)|(xchg|cmpxchg))$/.exec(name);
  const clang = /^(xchg|cmpxchg)(_64|32_32)$/.exec(name);
  if (kernel === null && clang === null) return undefined;
  const start = c.token;
  c.next();
  c.expect('(');
  let size = clang?.[2] === '_64' ? BPF_DW : BPF_W;
  let at = { reg: 0, off: 0 };
  if (kernel !== null) {
    const typed = c.typedAddress();
    size = typed.size;
    at = typed;
    rmwSize(c, size, typed.column);
    if (kernel[1] !== undefined && size !== BPF_DW) c.fail(`${name} has 64 bits`, start);
  } else at = c.address();
  c.expect(',');
  const exchange = kernel?.[3] ?? clang?.[1];
  if (exchange === 'cmpxchg') {
    const compared = operand(c, size);
    if (compared !== 0 || dst.number !== 0) c.fail('compare and exchange works with r0', start);
    c.expect(',');
  }
  const src = operand(c, size);
  c.expect(')');
  if (exchange !== 'cmpxchg' && dst.number !== src) c.fail(`the old value goes to r${src}`, dst);
  const op = ATOMIC_OPS.get(kernel?.[2] ?? '') ?? 0;
  const imm = exchange === 'cmpxchg' ? BPF_CMPXCHG : exchange === 'xchg' ? BPF_XCHG : op | BPF_FETCH;
  return { insns: [insn(BPF_STX | BPF_ATOMIC | size, at.reg, src, at.off, imm)] };
}

/** `map[id:3]`, `map[id:3][0]+8`, `map[idx:3]+8`, after the bracket. */
function mapLoad(c: Cursor, dst: number): Statement {
  const which = c.next().text;
  if (which !== 'id' && which !== 'idx') c.fail('expected id or idx');
  c.expect(':');
  const index = c.imm();
  c.expect(']');
  if (c.accept('[')) {
    c.imm();
    c.expect(']');
    return { insns: wideLoad(dst, BPF_PSEUDO_MAP_VALUE, index, c.token.text === '+' ? c.imm() : 0) };
  }
  if (which === 'id') return { insns: wideLoad(dst, BPF_PSEUDO_MAP_FD, index, 0) };
  const value = c.token.text === '+';
  return { insns: wideLoad(dst, value ? BPF_PSEUDO_MAP_IDX_VALUE : BPF_PSEUDO_MAP_IDX, index, value ? c.imm() : 0) };
}

/** `skb[12]`, `skb[r2 + 4]`, after `skb`. */
function packetLoad(c: Cursor, size: number): Statement {
  c.expect('[');
  if (c.token.kind !== 'reg') {
    const k = c.imm();
    c.expect(']');
    return { insns: [insn(BPF_LD | BPF_ABS | size, 0, 0, 0, k)] };
  }
  const reg = c.pointer();
  const imm = c.accept('+') ? c.imm() : c.token.text === '-' ? c.imm() : 0;
  c.expect(']');
  return { insns: [insn(BPF_LD | BPF_IND | size, 0, reg, 0, imm)] };
}

/** `*(u32 *)(r2 + 4)` or `*(u8 *)skb[12]`, after the star. */
function load(c: Cursor, dst: Register): Statement {
  c.expect('(');
  const access = c.access();
  if (c.accept('skb')) {
    if (dst.number !== 0) c.fail('packet bytes are loaded into r0', dst);
    if (access.signed || access.size === BPF_DW) c.fail('packet loads are u8, u16 or u32', access);
    return packetLoad(c, access.size);
  }
  const at = c.parenthesised();
  checkWidth(c, dst, access.size);
  if (!access.signed) return { insns: [insn(BPF_LDX | BPF_MEM | access.size, dst.number, at.reg, at.off)] };
  if (access.size === BPF_DW) c.fail('there is no sign-extending 64-bit load', access);
  return { insns: [insn(BPF_LDX | BPF_MEMSX | access.size, dst.number, at.reg, at.off)] };
}

/** `be16 r1`: undefined when the word is no byte swap. */
function swap(c: Cursor, dst: Register, name: string): Statement | undefined {
  const found = /^(be|le|bswap)(16|32|64)$/.exec(name);
  if (found === null) return undefined;
  c.next();
  const reg = c.register();
  if (reg.number !== dst.number) c.fail(`a byte swap has one register, r${dst.number}`, reg);
  const code = found[1] === 'bswap' ? BPF_ALU64 | BPF_END : BPF_ALU | BPF_END | (found[1] === 'be' ? BPF_X : BPF_K);
  return { insns: [insn(code, dst.number, 0, 0, Number(found[2]))] };
}

function addressSpaceCast(c: Cursor, dst: Register): Statement {
  c.expect('(');
  const src = c.pointer();
  c.expect(',');
  const to = Number(c.integer(0n, 0xffffn, '16 bits'));
  c.expect(',');
  const from = Number(c.integer(0n, 0xffffn, '16 bits'));
  c.expect(')');
  return { insns: [insn(BPF_ALU64 | BPF_MOV | BPF_X, dst.number, src, 1, (to << 16) | from)] };
}

/** A word after `r1 =`: a function of the notation, a map, or a label whose address is taken. */
function named(c: Cursor, dst: Register, names: AsmNames): Statement {
  const { text, column } = c.token;
  const found = swap(c, dst, text) ?? fetching(c, dst, text);
  if (found !== undefined) return found;
  c.next();
  if (text === 'load_acquire') return loadAcquire(c, dst);
  if (text === 'addr_space_cast') return addressSpaceCast(c, dst);
  if (text === 'map' && c.accept('[')) return mapLoad(c, dst.number);
  if (text === 'subprog' && c.accept('[')) {
    const imm = c.imm();
    c.expect(']');
    return { insns: wideLoad(dst.number, BPF_PSEUDO_FUNC, imm, 0) };
  }
  if (text === 'btf' && c.accept('[')) {
    c.expect('id');
    c.expect(':');
    const imm = c.imm();
    c.expect(']');
    return { insns: wideLoad(dst.number, BPF_PSEUDO_BTF_ID, imm, 0) };
  }
  // "counts ll" is the map, "counts + 0 ll" its first value.
  const offset = c.token.text === '+' ? c.imm() : undefined;
  c.expect('ll');
  const map = names.map?.(text);
  if (map !== undefined) {
    const kind = offset === undefined ? BPF_PSEUDO_MAP_FD : BPF_PSEUDO_MAP_VALUE;
    return { insns: wideLoad(dst.number, kind, map, offset ?? 0) };
  }
  return { insns: wideLoad(dst.number, BPF_PSEUDO_FUNC, 0, 0), fixup: { label: text, field: 'imm', column } };
}

/** `r1 = (s8)r2`, after the parenthesis. */
function extend(c: Cursor, dst: Register): Statement {
  const token = c.token;
  const bits = /^s(8|16|32)$/.exec(token.text)?.[1];
  if (bits === undefined) return c.expected('s8, s16 or s32');
  c.next();
  c.expect(')');
  const src = c.register();
  if (!dst.wide && bits === '32') c.fail('a 32-bit register has no 32 bits to extend', token);
  if (src.wide && !dst.wide) c.fail('both sides have the same width', src);
  const alu = dst.wide ? BPF_ALU64 : BPF_ALU;
  return { insns: [insn(alu | BPF_MOV | BPF_X, dst.number, src.number, Number(bits))] };
}

/** `opcode` is the byte that the kernel's notation has in front; it alone tells "r1 = 5" from "r1 = 5 ll". */
function assignment(c: Cursor, dst: Register, names: AsmNames, opcode: number | undefined): Statement {
  const { kind, text } = c.token;
  const alu = dst.wide ? BPF_ALU64 : BPF_ALU;
  if (text === '-' && c.peek().kind === 'reg') {
    c.next();
    const reg = c.register();
    if (reg.number !== dst.number || reg.wide !== dst.wide) c.fail('a negation has one register', reg);
    return { insns: [insn(alu | BPF_NEG, dst.number)] };
  }
  if (kind === 'reg') {
    const src = c.register();
    if (src.wide !== dst.wide) c.fail('both sides have the same width', src);
    return { insns: [insn(alu | BPF_MOV | BPF_X, dst.number, src.number)] };
  }
  if (text === '(') {
    c.next();
    return extend(c, dst);
  }
  if (text === '*') {
    c.next();
    return load(c, dst);
  }
  if (c.isNumber()) {
    const start = c.token;
    const value = c.imm64();
    if (c.accept('ll') || opcode === (BPF_LD | BPF_DW | BPF_IMM)) {
      const low = Number(BigInt.asIntN(32, value));
      return { insns: wideLoad(dst.number, 0, low, Number(BigInt.asIntN(32, value >> 32n))) };
    }
    const imm = BigInt.asIntN(64, value);
    if (imm < -0x8000_0000n || imm > 0xffff_ffffn) c.fail('the number needs 64 bits: write "ll" after it', start);
    return { insns: [insn(alu | BPF_MOV | BPF_K, dst.number, 0, 0, Number(BigInt.asIntN(32, imm)))] };
  }
  if (kind === 'word') return named(c, dst, names);
  return c.expected('a value');
}

function arithmetic(c: Cursor, dst: Register): Statement {
  const signed = c.token.text === 's/=' || c.token.text === 's%=';
  const op = ALU_OPS.indexOf(signed ? c.token.text.slice(1) : c.token.text);
  if (op < 0) c.expected('an operator');
  c.next();
  const base = (dst.wide ? BPF_ALU64 : BPF_ALU) | (op << 4);
  const off = signed ? 1 : 0;
  if (c.token.kind !== 'reg') return { insns: [insn(base | BPF_K, dst.number, 0, off, c.imm())] };
  const src = c.register();
  if (src.wide !== dst.wide) c.fail('both sides have the same width', src);
  return { insns: [insn(base | BPF_X, dst.number, src.number, off)] };
}

/** `ld_pseudo r1, 1, 5` */
function ldPseudo(c: Cursor): Statement {
  const dst = c.pointer();
  c.expect(',');
  const src = Number(c.integer(0n, 15n, '4 bits'));
  c.expect(',');
  const value = c.imm64();
  return { insns: wideLoad(dst, src, Number(BigInt.asIntN(32, value)), Number(BigInt.asIntN(32, value >> 32n))) };
}

/** `.quad 0x...`: an instruction as a number. */
function quad(c: Cursor): Statement {
  const value = c.imm64();
  const low = Number(value & 0xffff_ffffn);
  const off = (low >> 16) & 0xffff;
  const fields = insn(low & 0xff, (low >> 8) & 15, (low >> 12) & 15, (off << 16) >> 16);
  return { insns: [{ ...fields, imm: Number(BigInt.asIntN(32, value >> 32n)) }] };
}

/** Reads one statement. */
export function statement(c: Cursor, names: AsmNames, opcode: number | undefined): Statement {
  const { kind, text } = c.token;
  if (kind === 'reg') {
    const dst = c.register();
    return c.accept('=') ? assignment(c, dst, names, opcode) : arithmetic(c, dst);
  }
  if (text === '*') {
    c.next();
    return store(c);
  }
  if (kind !== 'word') return c.expected('an instruction');
  const word = c.next();
  switch (text) {
    case 'if':
      return condition(c);
    case 'goto':
      return jumpTo(c, BPF_JMP | BPF_JA, 0, 0, 0);
    case 'gotol':
      return jumpTo(c, BPF_JMP32 | BPF_JA, 0, 0, 0);
    case 'may_goto':
      return jumpTo(c, BPF_JMP | BPF_JCOND, 0, 0, 0);
    case 'exit':
      return { insns: [insn(BPF_JMP | BPF_EXIT)] };
    case 'call':
      return call(c, names);
    case 'callx':
      return { insns: [insn(BPF_JMP | BPF_CALL | BPF_X, c.pointer())] };
    case 'lock':
      return locked(c);
    case 'store_release':
      return storeRelease(c);
    case 'ld_pseudo':
      return ldPseudo(c);
    case '.quad':
    case '.8byte':
      return quad(c);
    default:
      return c.fail(`there is no instruction "${text}"`, word);
  }
}
