/**
 * Control flow graphs as nested blocks and loops (N. Ramsey, "Beyond Relooper: recursive translation of unstructured control
 * flow to structured control flow", ICFP 2022), written with a stack of its own: functions have up to 500,000 blocks.
 *
 * A block that several edges lead to forward stands behind a `block ... end` of its immediate dominator, and a branch to it
 * leaves that; a loop header stands in a `loop`; every other block is written where its only edge is. Of two such
 * blocks the smaller subtree goes into the `if`, so that the nesting stays flat.
 *
 * Functions with a loop that has several entries become one loop around a `br_table`.
 */
import { type Code, OP } from '../../core/wasm.ts';
import { dominators } from './dominators.ts';
import { END_BRANCH, END_DEAD, END_EXIT, type Graph } from './graph.ts';
import { NotCompiled } from './input.ts';

/** What the structure is filled with. `depth` is the number of blocks open around the code that belong to the structure. */
export type BlockWriter = {
  /** The plain instructions of a block. */
  body(block: number, depth: number): void;
  /** Pushes an i32: not 0 when the branch at the end of `block` is taken (`negate`: when it is not). */
  condition(block: number, negate: boolean): void;
  /** The function ends at the end of `block`; `depth` as above. */
  exit(block: number, depth: number): void;
};

const TREE = 0;
/** Closes a block and goes on with the tree that stands behind it. */
const BEHIND = 1;
const CLOSE = 2;

/** V8's limit on the targets of one br_table. */
const MAX_TABLE = 65_520;

/** Writes the function's blocks; afterwards no control reaches the end of what was written. */
export function writeStructure(g: Graph, code: Code, writer: BlockWriter, locals: { readonly state: number }): void {
  const dom = dominators(g);
  // Asked only then: the local exists from there on.
  if (!dom.reducible) return writeDispatcher(g, code, writer, locals.state);
  const n = g.count;
  const merges = mergeLists(n, dom.idom, dom.forward);
  const isMerge = (b: number): boolean => dom.forward[b] > 1;
  // Number of open blocks when the label was opened.
  const behindAt = new Int32Array(n);
  const loopAt = new Int32Array(n);
  let depth = 0;
  const kinds: number[] = [TREE];
  const blocks: number[] = [0];
  const push = (kind: number, block: number): void => {
    kinds.push(kind);
    blocks.push(block);
  };
  /** Branches from `b` to `t`: true when a label leads there. */
  const labelled = (b: number, t: number): boolean => t <= b || isMerge(t);
  const labelOf = (b: number, t: number): number => depth - 1 - (t <= b ? loopAt[t] : behindAt[t]);
  /** Goes from `b` to `t` at the end of what is written for `b`. */
  const go = (b: number, t: number): void => {
    if (!labelled(b, t)) push(TREE, t);
    else if (t <= b || labelOf(b, t) > 0) code.br(labelOf(b, t));
    // Else the end of the block just follows.
  };

  while (kinds.length > 0) {
    const kind = kinds.pop();
    const b = blocks.pop() as number;
    if (kind !== TREE) {
      code.end();
      depth--;
      if (kind === BEHIND) push(TREE, b);
      continue;
    }
    if (dom.header[b]) {
      code.loop();
      loopAt[b] = depth++;
      push(CLOSE, b);
    }
    // The last one stands outermost.
    for (let i = merges.from[b + 1] - 1; i >= merges.from[b]; i--) {
      const m = merges.list[i];
      code.block();
      behindAt[m] = depth++;
      push(BEHIND, m);
    }
    writer.body(b, depth);
    const taken = g.taken[b];
    const next = g.next[b];
    switch (g.kind[b]) {
      case END_EXIT:
        writer.exit(b, depth);
        break;
      case END_DEAD:
        code.op(OP.unreachable);
        break;
      case END_BRANCH:
        if (labelled(b, taken)) {
          writer.condition(b, false);
          code.brIf(labelOf(b, taken));
          go(b, next);
        } else if (labelled(b, next)) {
          writer.condition(b, true);
          code.brIf(labelOf(b, next));
          go(b, taken);
        } else {
          const inside = dom.weight[taken] <= dom.weight[next] ? taken : next;
          writer.condition(b, inside === next);
          code.if();
          depth++;
          push(TREE, inside === taken ? next : taken);
          push(CLOSE, b);
          push(TREE, inside);
        }
        break;
      default:
        go(b, taken);
    }
  }
  code.op(OP.unreachable);
}

/** For each block the blocks that it dominates immediately and that need a label, ascending. */
function mergeLists(n: number, idom: Int32Array, forward: Int32Array): { from: Int32Array; list: Int32Array } {
  const from = new Int32Array(n + 1);
  for (let b = 1; b < n; b++) if (forward[b] > 1) from[idom[b] + 1]++;
  for (let b = 0; b < n; b++) from[b + 1] += from[b];
  const list = new Int32Array(from[n]);
  const fill = from.slice();
  for (let b = 1; b < n; b++) if (forward[b] > 1) list[fill[idom[b]]++] = b;
  return { from, list };
}

function writeDispatcher(g: Graph, code: Code, writer: BlockWriter, state: number): void {
  const n = g.count;
  if (n > MAX_TABLE) throw new NotCompiled(`irreducible functions of more than ${MAX_TABLE} blocks`);
  code.i32(0).set(state).loop();
  for (let b = 0; b < n; b++) code.block();
  code.get(state).brTable(
    Array.from({ length: n }, (_, b) => b),
    n - 1,
  );
  for (let b = 0; b < n; b++) {
    code.end();
    // Open now: the blocks of the numbers above, and the loop.
    const depth = n - b;
    const go = (t: number): void => {
      if (t !== b + 1)
        code
          .i32(t)
          .set(state)
          .br(depth - 1);
    };
    writer.body(b, depth);
    switch (g.kind[b]) {
      case END_EXIT:
        writer.exit(b, depth);
        break;
      case END_DEAD:
        code.op(OP.unreachable);
        break;
      case END_BRANCH:
        writer.condition(b, false);
        code.if().i32(g.taken[b]).set(state).br(depth).end();
        go(g.next[b]);
        break;
      default:
        go(g.taken[b]);
    }
  }
  code.end().op(OP.unreachable);
}
