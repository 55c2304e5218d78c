/** Joins comparisons of neighbouring header fields into one load and one comparison. */
import type { PayloadExpr, RelationalExpr, Stmt, ValueExpr } from './ast.ts';
import * as dt from './datatype.ts';

const MAX_BITS = 128;

type Candidate = {
  readonly index: number;
  readonly left: PayloadExpr;
  readonly right: ValueExpr;
  readonly rel: RelationalExpr;
};

function candidate(stmt: Stmt, index: number): Candidate | undefined {
  if (stmt.kind !== 'expr' || stmt.expr.kind !== 'relational') return undefined;
  const rel = stmt.expr;
  const { left, right, op } = rel;
  if (left.kind !== 'payload' || left.tunnel !== undefined || right.kind !== 'value') return undefined;
  // nft 1.0.6 joins inequalities too, and what comes out means "not both": so does this, as the kernel gets it from there.
  if (op !== '==' && op !== 'implicit' && op !== '!=') return undefined;
  if (op === 'implicit' && dt.isA(right.type, dt.bitmaskType)) return undefined;
  if (left.offset % 8 !== 0 || left.len! % 8 !== 0) return undefined;
  return { index, left, right, rel };
}

const isFast = (bits: number): boolean => bits === 8 || bits === 16 || bits === 32;

function join(a: Candidate, b: Candidate): Candidate {
  const len = a.left.len! + b.left.len!;
  const left: PayloadExpr = {
    kind: 'payload',
    base: a.left.base,
    offset: a.left.offset,
    len,
    type: dt.integerType,
    byteorder: 'big',
  };
  const right: ValueExpr = {
    kind: 'value',
    value: (a.right.value << BigInt(b.left.len!)) | b.right.value,
    type: dt.integerType,
    byteorder: 'big',
    len,
  };
  return {
    index: Math.min(a.index, b.index),
    left,
    right,
    rel: { kind: 'relational', op: a.rel.op === '!=' ? '!=' : '==', left, right },
  };
}

function mergeGroup(group: readonly Candidate[], out: (Stmt | undefined)[]): void {
  if (group.length < 2) return;
  const sorted = [...group].sort((a, b) => a.left.base - b.left.base || a.left.offset - b.left.offset);
  let last = sorted[0];
  for (const next of sorted.slice(1)) {
    const total = last.left.len! + next.left.len!;
    const fits =
      (last.rel.op === '!=') === (next.rel.op === '!=') &&
      last.left.base === next.left.base &&
      last.left.offset + last.left.len! === next.left.offset &&
      total <= MAX_BITS &&
      // Four bytes are what the kernel compares fastest: those stay as they are.
      (total <= 32 || !isFast(last.left.len!) || !isFast(next.left.len!));
    if (!fits) {
      last = next;
      continue;
    }
    out[last.index] = undefined;
    out[next.index] = undefined;
    last = join(last, next);
    out[last.index] = { kind: 'expr', expr: last.rel };
  }
}

/** The statements with neighbouring fields joined; other statements are a fence. */
export function mergePayloads(stmts: readonly Stmt[]): readonly Stmt[] {
  const out: (Stmt | undefined)[] = [...stmts];
  let group: Candidate[] = [];
  stmts.forEach((stmt, index) => {
    if (stmt.kind !== 'expr') {
      mergeGroup(group, out);
      group = [];
      return;
    }
    const found = candidate(stmt, index);
    if (found !== undefined) group.push(found);
  });
  mergeGroup(group, out);
  return out.filter((stmt) => stmt !== undefined);
}
