/**
 * Assembly text to instructions, in the kernel's notation or clang's, with labels:
 *
 *     loop:
 *         r1 += 1             # comment, // comment, or a C comment
 *         if r1 < 10 goto loop
 *         exit
 *
 * Statements are apart by lines or semicolons. Text from a verifier log or bpftool may be given as it is: numbers in
 * front are checked, what follows a semicolon there is the log's own comment.
 *
 * @example
 * const { insns, errors } = assemble('r0 = 1\nexit');
 */
import { type Insn, isLdImm64 } from '../insn.ts';
import { Cursor } from './cursor.ts';
import { type AsmNames, type Fixup, statement } from './statement.ts';
import { AsmError, tokenize } from './token.ts';

export type { AsmNames } from './statement.ts';
export { AsmError } from './token.ts';

export type Assembled = {
  /** Empty when there are errors. */
  readonly insns: readonly Insn[];
  /** Instruction number of every label. */
  readonly labels: ReadonlyMap<string, number>;
  /** Source line of every instruction. */
  readonly lines: readonly number[];
  readonly errors: readonly AsmError[];
};

/** Errors reported at most. */
const MAX_ERRORS = 20;
const MAX_INSNS = 1_000_000;

type Piece = { readonly text: string; readonly column: number };

/** Blanks out C comments, keeping lines and columns; an unclosed one reaches to the end. */
function withoutBlockComments(text: string): string {
  const parts: string[] = [];
  let at = 0;
  for (let open = text.indexOf('/*'); open >= 0; open = text.indexOf('/*', at)) {
    const close = text.indexOf('*/', open + 2);
    const end = close < 0 ? text.length : close + 2;
    parts.push(text.slice(at, open), text.slice(open, end).replace(/[^\n]/g, ' '));
    at = end;
  }
  parts.push(text.slice(at));
  return parts.join('');
}

/** The opcode that the kernel writes before an instruction. */
const OPCODE = /^(\s*(?:\d+:\s*)?)\(([0-9a-f]{2})\)/;

/** Cuts comments off, and a line at its semicolons. A `#` that follows a name at once belongs to it: `bpf_redirect#23`. */
function pieces(line: string): Piece[] {
  // A source line in a log.
  if (/^\s*;/.test(line)) return [];
  const comment = /\/\/|(?<![\w])#|(?<=\w)#(?!\d)/.exec(line);
  const code = comment === null ? line : line.slice(0, comment.index);
  if (OPCODE.test(code)) return [{ text: code.split(';')[0], column: 1 }];
  const found: Piece[] = [];
  let column = 1;
  for (const text of code.split(';')) {
    found.push({ text, column });
    column += text.length + 1;
  }
  return found;
}

class Assembler {
  readonly insns: Insn[] = [];
  readonly lines: number[] = [];
  readonly labels: Map<string, number> = new Map();
  readonly fixups: { pc: number; line: number; fixup: Fixup }[] = [];
  readonly errors: AsmError[] = [];
  readonly #names: AsmNames;

  constructor(names: AsmNames) {
    this.#names = names;
  }

  /** One statement with what may be in front of it: labels, the instruction's number, its opcode. */
  piece({ text, column }: Piece, line: number): void {
    const opcodeText = OPCODE.exec(text);
    let opcode: number | undefined;
    let rest = text;
    if (opcodeText !== null) {
      opcode = Number.parseInt(opcodeText[2], 16);
      rest = opcodeText[1] + ' '.repeat(opcodeText[0].length - opcodeText[1].length) + text.slice(opcodeText[0].length);
    }
    const c = new Cursor(tokenize(rest, line, column), line);
    while (c.peek().text === ':' && (c.token.kind === 'word' || c.token.kind === 'num' || c.token.kind === 'reg')) {
      const token = c.next();
      c.expect(':');
      if (token.kind !== 'num') {
        if (this.labels.has(token.text)) c.fail(`label "${token.text}" is there already`, token);
        this.labels.set(token.text, this.insns.length);
      } else if (Number(token.text) !== this.insns.length) {
        c.fail(`instruction ${this.insns.length} is numbered ${token.text}`, token);
      }
    }
    if (c.token.kind === 'end') {
      if (opcode !== undefined) c.expected('an instruction');
      return;
    }
    const start = c.token;
    const { insns, fixup } = statement(c, this.#names, opcode);
    c.end();
    if (opcode !== undefined && insns[0].code !== opcode) {
      const given = opcode.toString(16).padStart(2, '0');
      c.fail(`the opcode is ${insns[0].code.toString(16).padStart(2, '0')}, not ${given}`, start);
    }
    if (this.insns.length + insns.length > MAX_INSNS) c.fail(`more than ${MAX_INSNS} instructions`, start);
    if (fixup !== undefined) this.fixups.push({ pc: this.insns.length, line, fixup });
    for (const insn of insns) {
      this.insns.push(insn);
      this.lines.push(line);
    }
  }

  /** Puts distances in where the text named labels. */
  resolve(): void {
    for (const { pc, line, fixup } of this.fixups) {
      const { label, field, column } = fixup;
      const at = this.labels.get(label);
      if (at === undefined) {
        const what = isLdImm64(this.insns[pc]) ? 'map or label' : 'label';
        this.errors.push(new AsmError(`there is no ${what} "${label}"`, line, column));
        continue;
      }
      const distance = at - pc - 1;
      if (field === 'off' && (distance < -0x8000 || distance > 0x7fff))
        this.errors.push(new AsmError(`"${label}" is ${distance} instructions away: use gotol`, line, column));
      else this.insns[pc] = { ...this.insns[pc], [field]: distance };
    }
  }
}

/** Assembles a program. Never throws: what is wrong with the text is in `errors`. */
export function assemble(text: string, names: AsmNames = {}): Assembled {
  const assembler = new Assembler(names);
  const lines = withoutBlockComments(text).split('\n');
  for (let i = 0; i < lines.length && assembler.errors.length < MAX_ERRORS; i++) {
    for (const piece of pieces(lines[i])) {
      try {
        assembler.piece(piece, i + 1);
      } catch (error) {
        if (!(error instanceof AsmError)) throw error;
        assembler.errors.push(error);
        break;
      }
    }
  }
  assembler.resolve();
  const errors = assembler.errors.sort((a, b) => a.line - b.line || a.column - b.column).slice(0, MAX_ERRORS);
  return {
    insns: errors.length === 0 ? assembler.insns : [],
    lines: assembler.lines,
    labels: assembler.labels,
    errors,
  };
}
