/** Walks over the tokens of one statement and reads the parts that many statements share. */
import { SIZES } from './ops.ts';
import { AsmError, type Token } from './token.ts';

/** A register with its width: r1 (64 bits) or w1 (32). */
export type Register = { readonly number: number; readonly wide: boolean; readonly column: number };
/** Type of a memory access: BPF_SIZE bits, signed or not. */
export type Access = { readonly size: number; readonly signed: boolean; readonly column: number };
export type Address = { readonly reg: number; readonly off: number };

const S32_MIN = -0x8000_0000n;
const U32_MAX = 0xffff_ffffn;
const S64_MIN: bigint = -(1n << 63n);
const U64_MAX: bigint = (1n << 64n) - 1n;

export class Cursor {
  readonly line: number;
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[], line: number) {
    this.#tokens = tokens;
    this.line = line;
  }

  get token(): Token {
    return this.#tokens[this.#at];
  }
  peek(ahead = 1): Token {
    return this.#tokens[Math.min(this.#at + ahead, this.#tokens.length - 1)];
  }
  next(): Token {
    const token = this.token;
    if (token.kind !== 'end') this.#at++;
    return token;
  }

  fail(problem: string, token: { readonly column: number } = this.token): never {
    throw new AsmError(problem, this.line, token.column);
  }
  expected(what: string): never {
    const { kind, text } = this.token;
    return this.fail(`expected ${what}, found ${kind === 'end' ? text : `"${text}"`}`);
  }

  /** Takes the token when it is this one. */
  accept(text: string): boolean {
    if (this.token.text !== text || this.token.kind === 'end') return false;
    this.#at++;
    return true;
  }
  expect(text: string): void {
    if (!this.accept(text)) this.expected(`"${text}"`);
  }
  end(): void {
    if (this.token.kind !== 'end') this.expected('end of line');
  }

  register(): Register {
    const token = this.token;
    if (token.kind !== 'reg') this.expected('a register');
    const number = Number(token.text.slice(1));
    if (number > 10) this.fail(`there is no register ${token.text}`, token);
    this.#at++;
    return { number, wide: token.text[0] === 'r', column: token.column };
  }
  /** A 64-bit register. */
  pointer(): number {
    const reg = this.register();
    if (!reg.wide) this.fail(`expected r${reg.number}, a 64-bit register`, reg);
    return reg.number;
  }

  /** A number with an optional sign, within the given bounds. */
  integer(min: bigint, max: bigint, what: string): bigint {
    const start = this.token;
    const negative = this.accept('-') || (this.accept('+') && false);
    const token = this.token;
    if (token.kind !== 'num') this.expected('a number');
    this.#at++;
    const value = negative ? -BigInt(token.text) : BigInt(token.text);
    if (value < min || value > max) this.fail(`${value} does not fit in ${what}`, start);
    return value;
  }
  /** 32 bits: unsigned numbers are taken too, as the kernel's log writes them. */
  imm(): number {
    return Number(BigInt.asIntN(32, this.integer(S32_MIN, U32_MAX, '32 bits')));
  }
  imm64(): bigint {
    return BigInt.asUintN(64, this.integer(S64_MIN, U64_MAX, '64 bits'));
  }
  offset(): number {
    return Number(this.integer(-0x8000n, 0x7fffn, 'a 16-bit offset'));
  }
  isNumber(): boolean {
    const { kind, text } = this.token;
    return kind === 'num' || ((text === '-' || text === '+') && this.peek().kind === 'num');
  }

  /** `(u32 *)` after its opening parenthesis. */
  access(): Access {
    const token = this.token;
    const found = /^([us])(8|16|32|64)$/.exec(token.text);
    const size = found === null ? undefined : SIZES.get(found[2]);
    if (found === null || size === undefined) return this.expected('a type (u8, u16, u32, u64, s8, s16, s32)');
    this.#at++;
    this.expect('*');
    this.expect(')');
    return { size, signed: found[1] === 's', column: token.column };
  }
  /** `r1 + 8`, `r1 +8`, `r10 - 8` or `r1`. */
  address(): Address {
    const reg = this.pointer();
    const { text } = this.token;
    return { reg, off: text === '+' || text === '-' ? this.offset() : 0 };
  }
  /** `(r1 + 8)`. */
  parenthesised(): Address {
    this.expect('(');
    const address = this.address();
    this.expect(')');
    return address;
  }
  /** `(u32 *)(r1 + 8)`. */
  typedAddress(): Access & Address {
    this.expect('(');
    const access = this.access();
    return { ...access, ...this.parenthesised() };
  }
}
