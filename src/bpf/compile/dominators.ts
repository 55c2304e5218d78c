/**
 * Dominators of a control flow graph (T. Lengauer and R. Tarjan, "A fast algorithm for finding dominators in a flowgraph",
 * TOPLAS 1979; the version with path compression, without recursion), and whether the graph is reducible.
 */
import { END_BRANCH, type Graph } from './graph.ts';

export type Dominators = {
  /** Immediate dominator of each block; of block 0 itself. */
  readonly idom: Int32Array;
  /** Edges that do not close a loop, into each block. */
  readonly forward: Int32Array;
  /** 1: some edge closes a loop here. */
  readonly header: Uint8Array;
  /** Every loop is entered at its header alone. */
  readonly reducible: boolean;
  /** Blocks that each one dominates, itself included. */
  readonly weight: Int32Array;
};

export function dominators(g: Graph): Dominators {
  const n = g.count;
  // Predecessors, packed.
  const from = new Int32Array(n + 1);
  const edges = (visit: (a: number, b: number) => void): void => {
    for (let a = 0; a < n; a++) {
      if (g.taken[a] >= 0) visit(a, g.taken[a]);
      if (g.kind[a] === END_BRANCH) visit(a, g.next[a]);
    }
  };
  edges((_, b) => {
    from[b + 1]++;
  });
  for (let b = 0; b < n; b++) from[b + 1] += from[b];
  const preds = new Int32Array(from[n]);
  const fill = from.slice();
  edges((a, b) => {
    preds[fill[b]++] = a;
  });

  const idom = immediate(g, from, preds);
  const forward = new Int32Array(n);
  const header = new Uint8Array(n);
  const { enter, leave } = intervals(idom);
  let reducible = true;
  edges((a, b) => {
    if (b > a) forward[b]++;
    else {
      header[b] = 1;
      if (!(enter[b] <= enter[a] && leave[a] <= leave[b])) reducible = false;
    }
  });
  // A dominator has a smaller number than what it dominates.
  const weight = new Int32Array(n).fill(1);
  for (let b = n - 1; b > 0; b--) weight[idom[b]] += weight[b];
  return { idom, forward, header, reducible, weight };
}

function immediate(g: Graph, from: Int32Array, preds: Int32Array): Int32Array {
  const n = g.count;
  // Preorder numbers of a depth-first walk; `vertex` is the inverse.
  const number = new Int32Array(n).fill(-1);
  const vertex = new Int32Array(n);
  const parent = new Int32Array(n);
  let found = 0;
  const stack = [0];
  const via = [0];
  while (stack.length > 0) {
    const b = stack.pop() as number;
    const p = via.pop() as number;
    if (number[b] >= 0) continue;
    parent[found] = Math.max(0, number[p]);
    vertex[found] = b;
    number[b] = found++;
    const push = (t: number): void => {
      if (t >= 0 && number[t] < 0) {
        stack.push(t);
        via.push(b);
      }
    };
    push(g.taken[b]);
    if (g.kind[b] === END_BRANCH) push(g.next[b]);
  }
  const semi = Int32Array.from({ length: n }, (_, i) => i);
  const label = semi.slice();
  const ancestor = new Int32Array(n).fill(-1);
  const dom = new Int32Array(n);
  const bucket = new Int32Array(n).fill(-1);
  const chain = new Int32Array(n).fill(-1);
  const path: number[] = [];
  const evaluate = (v: number): number => {
    if (ancestor[v] < 0) return v;
    path.length = 0;
    for (let u = v; ancestor[ancestor[u]] >= 0; u = ancestor[u]) path.push(u);
    for (let i = path.length - 1; i >= 0; i--) {
      const u = path[i];
      const a = ancestor[u];
      if (semi[label[a]] < semi[label[u]]) label[u] = label[a];
      ancestor[u] = ancestor[a];
    }
    return label[v];
  };
  for (let w = n - 1; w > 0; w--) {
    const b = vertex[w];
    for (let k = from[b]; k < from[b + 1]; k++) {
      const u = evaluate(number[preds[k]]);
      if (semi[u] < semi[w]) semi[w] = semi[u];
    }
    chain[w] = bucket[semi[w]];
    bucket[semi[w]] = w;
    ancestor[w] = parent[w];
    for (let v = bucket[parent[w]]; v >= 0; v = chain[v]) {
      const u = evaluate(v);
      dom[v] = semi[u] < semi[v] ? u : parent[w];
    }
    bucket[parent[w]] = -1;
  }
  const idom = new Int32Array(n);
  for (let w = 1; w < n; w++) {
    if (dom[w] !== semi[w]) dom[w] = dom[dom[w]];
    idom[vertex[w]] = vertex[dom[w]];
  }
  return idom;
}

/** Times of entering and leaving each block in a walk over the dominator tree. */
function intervals(idom: Int32Array): { enter: Int32Array; leave: Int32Array } {
  const n = idom.length;
  const child = new Int32Array(n).fill(-1);
  const sibling = new Int32Array(n).fill(-1);
  for (let b = n - 1; b > 0; b--) {
    sibling[b] = child[idom[b]];
    child[idom[b]] = b;
  }
  const enter = new Int32Array(n);
  const leave = new Int32Array(n);
  let time = 0;
  let b = 0;
  enter[0] = time++;
  for (;;) {
    if (child[b] >= 0) {
      const c = child[b];
      child[b] = sibling[c];
      enter[c] = time++;
      b = c;
    } else {
      leave[b] = time++;
      if (b === 0) return { enter, leave };
      b = idom[b];
    }
  }
}
