/**
 * Recorded verifier logs, instruction by instruction: from the register texts before a scalar instruction to the text
 * behind it, without a walker.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import {
  BPF_ALU,
  BPF_ALU64,
  BPF_CALL,
  BPF_END,
  BPF_EXIT,
  BPF_JA,
  BPF_JMP,
  BPF_JMP32,
  BPF_LDX,
  BPF_MEMSX,
  BPF_MOV,
  BPF_NEG,
  BPF_X,
  classOf,
  decodeInsns,
  type Insn,
  sizeOf,
} from '../insn.ts';
import { aluEndian, aluMov32, aluMovsx, aluScalar, signMaskFork } from './alu.ts';
import { branchTaken, refine } from './branch.ts';
import { regText } from './print.ts';
import { parseScalar } from './print-parse.ts';
import { BPF_ADD_CONST, Reg, SCALAR_VALUE } from './reg.ts';
import { boundsContradiction, coerceToSize, coerceToSizeSx, markKnown, markUnknown, unbound } from './scalar.ts';

type Texts = Map<number, string>;

function parseTexts(line: string): Texts {
  const out: Texts = new Map();
  for (const m of line.matchAll(/R(\d+)=(.*?)(?= R\d+=| fp-\d+=|$)/g)) out.set(Number(m[1]), (m[2] ?? '').trim());
  return out;
}

function constant(imm: number): Reg {
  const reg = new Reg();
  reg.type = SCALAR_VALUE;
  markKnown(reg, BigInt(imm));
  return reg;
}

/** Bounds and tnum only. */
const withoutId = (text: string): string => text.replace(/^P/, '').replace(/\(id=\d+([+-]\d+)?,?/, '(');

const idOf = (text: string | undefined): number => (text && (parseScalar(text)?.id ?? 0) & ~BPF_ADD_CONST) || 0;

/** Walks one log; `differ` hears of every register that comes out otherwise. Returns the number of registers compared. */
function replay(insns: readonly Insn[], log: string, differ: (what: string) => void): number {
  let compared = 0;
  let state: Texts = new Map();
  const before = new Map<number, Texts>();
  const reg = (n: number): Reg | undefined => parseScalar(state.get(n) ?? '');

  function compare(what: string, got: Reg, text: string | undefined): void {
    const want = parseScalar(text ?? '');
    if (want === undefined || text === undefined) return;
    compared++;
    if (boundsContradiction(got) !== '') unbound(got);
    if (regText(want) !== text) differ(`printing ${text}: ${regText(want)}`);
    if (withoutId(regText(got)) !== withoutId(text)) differ(`${what}\n  got  ${regText(got)}\n  want ${text}`);
  }

  function operands(insn: Insn): [Reg | undefined, Reg | undefined] {
    const a = reg(insn.dst);
    if ((insn.code & BPF_X) === 0) return [a, constant(insn.imm)];
    return [a, insn.src === insn.dst ? a : reg(insn.src)];
  }

  function jump(line: string, insn: Insn, taken: boolean, next: Texts): void {
    const [a, b] = operands(insn);
    if (a === undefined || b === undefined) return;
    // Operands of one id change with each other, which is the walker's work.
    if (a !== b && a.id !== 0 && (a.id & ~BPF_ADD_CONST) === (b.id & ~BPF_ADD_CONST)) return;
    const op = insn.code & 0xf0;
    const is32 = classOf(insn) === BPF_JMP32;
    const certain = branchTaken(a, b, op, is32);
    if (certain !== -1) {
      if (taken !== (certain === 1)) differ(`${line}: certain ${certain} with ${regText(a)}, ${regText(b)}`);
      return;
    }
    const what = `${line}${taken ? ' taken' : ''} with ${regText(a)}, ${regText(b)}`;
    refine(op, is32, a, b, taken);
    compare(what, a, next.get(insn.dst));
    if ((insn.code & BPF_X) !== 0) compare(what, b, next.get(insn.src));
  }

  function arithmetic(line: string, insn: Insn, next: Texts): void {
    const [a, b] = operands(insn);
    const is64 = classOf(insn) === BPF_ALU64;
    const isReg = (insn.code & BPF_X) !== 0;
    const op = insn.code & 0xf0;
    const text = next.get(insn.dst);
    const what = `${line} with ${a && regText(a)}, ${b && regText(b)}`;
    if (op === BPF_MOV) {
      if (b === undefined) return;
      if (!isReg) markKnown(b, BigInt(is64 ? insn.imm : insn.imm >>> 0));
      else if (insn.off !== 0) aluMovsx(b, is64, insn.off);
      else if (!is64) aluMov32(b);
      compare(what, b, text);
    } else if (a !== undefined && op === BPF_END) {
      aluEndian(a, insn.imm, is64 || isReg);
      compare(what, a, text);
    } else if (a !== undefined && b !== undefined && signMaskFork(op, a, b) === 0) {
      aluScalar(op, is64, a, op === BPF_NEG ? a : b);
      compare(what, a, text);
    }
  }

  for (const line of log.split('\n')) {
    const from = /^from (\d+) to \d+: (R.*)$/.exec(line);
    if (from) {
      const insn = insns[Number(from[1])] as Insn;
      const next = parseTexts(from[2] ?? '');
      state = before.get(Number(from[1])) ?? new Map();
      if (classOf(insn) === BPF_JMP || classOf(insn) === BPF_JMP32) jump(line.replace(/ R.*/, ''), insn, true, next);
      state = next;
      continue;
    }
    const texts = /^\d+: (R\d.*)$/.exec(line);
    if (texts) {
      for (const [n, text] of parseTexts(texts[1] ?? '')) state.set(n, text);
      continue;
    }
    const step = /^((\d+): \([0-9a-f]{2}\) [^;]*?)(?:\s*; (.*))?$/.exec(line);
    if (!step) continue;
    const insn = insns[Number(step[2])] as Insn;
    const next = parseTexts(step[3] ?? '');
    before.set(Number(step[2]), new Map(state));
    const op = insn.code & 0xf0;
    const what = step[1] ?? '';
    const kind = classOf(insn);
    if (kind === BPF_ALU || kind === BPF_ALU64) arithmetic(what, insn, next);
    else if (kind === BPF_LDX && state.get(insn.src)?.startsWith('pkt')) {
      const loaded = new Reg();
      markUnknown(loaded);
      if ((insn.code & 0xe0) === BPF_MEMSX) coerceToSizeSx(loaded, sizeOf(insn.code));
      else if (sizeOf(insn.code) < 8) coerceToSize(loaded, sizeOf(insn.code));
      compare(what, loaded, next.get(insn.dst));
    } else if (op !== BPF_JA && op !== BPF_EXIT && op !== BPF_CALL && next.size > 0) {
      const [a, b] = operands(insn);
      if (a && b && branchTaken(a, b, op, kind === BPF_JMP32) === -1) jump(what, insn, false, next);
    }
    for (const [n, text] of next) state.set(n, text);
    if (kind === BPF_JMP || kind === BPF_JMP32) {
      // Others of the same id have changed, too; what they are now is not in the log.
      for (const id of [idOf(state.get(insn.dst)), idOf(state.get(insn.src))])
        for (const [n, text] of state) if (id !== 0 && !next.has(n) && idOf(text) === id) state.delete(n);
    }
  }
  return compared;
}

const data =
  process.env.NETLOOM_VERIFIER_LOGS ??
  `${process.env.NETLOOM_SHARED ?? '../shared'}/conformance/ebpf/programs/range_states.jsonl.gz`;

test.skipIf(!existsSync(data))('every scalar instruction leaves the registers that the kernel logged', () => {
  const bytes = readFileSync(data);
  const rows = (data.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString().trim().split('\n');
  const differences: string[] = [];
  let compared = 0;
  for (const row of rows) {
    const { id, insns, log2 } = JSON.parse(row) as { id: string; insns: string; log2: string };
    const bytes = Uint8Array.from(insns.match(/../g) ?? [], (x) => Number.parseInt(x, 16));
    compared += replay(decodeInsns(bytes), log2, (what) => differences.push(`${id} ${what}`));
  }
  expect(differences.slice(0, 20)).toEqual([]);
  expect(compared).toBeGreaterThan(1000);
});
