/**
 * Conditions to a classic program: a graph of tests without cycles, in which tests that are decided already are jumped
 * over, laid out so that every jump goes forwards.
 */

import { BPF_MAXINSNS, BPF_MEM, BPF_RET, type ClassicInsn } from '../cbpf/classic.ts';
import { BPF_JA, BPF_JEQ, BPF_JGE, BPF_JGT, BPF_JMP, BPF_X } from '../insn.ts';
import { type Cond, constant, type Step } from './cond.ts';

type Test = {
  readonly id: number;
  readonly kind: 'test';
  readonly steps: readonly Step[];
  /** The steps as text; '' when what they load may change (memory words). */
  readonly loads: string;
  readonly op: number;
  readonly k: number | 'x';
  yes: Node;
  no: Node;
};
type Effect = { readonly id: number; readonly kind: 'effect'; readonly steps: readonly Step[]; yes: Node };
type Return = { readonly id: number; readonly kind: 'return'; readonly value: number };
type Node = Test | Effect | Return;

const isMemory = ([code]: Step): boolean =>
  (code & 7) < 2 ? (code & 0xe0) === BPF_MEM : (code & 7) === 2 || (code & 7) === 3;
const stepsKey = (steps: readonly Step[]): string => steps.map(([code, k]) => `${code}:${k}`).join(' ');

/** Builds the graph from its end; equal nodes are one. */
class Graph {
  readonly #nodes: Map<string, Node> = new Map();
  readonly #seen: Map<Cond, Map<string, Node>> = new Map();

  get size(): number {
    return this.#nodes.size;
  }
  ret(value: number): Node {
    return this.#share(`r${value}`, (id) => ({ id, kind: 'return', value }));
  }
  #share(key: string, make: (id: number) => Node): Node {
    let node = this.#nodes.get(key);
    if (node === undefined) {
      node = make(this.#nodes.size);
      this.#nodes.set(key, node);
    }
    return node;
  }
  test(steps: readonly Step[], op: number, k: number | 'x', yes: Node, no: Node): Node {
    const loads = steps.some(isMemory) ? '' : stepsKey(steps);
    // What decides nothing is not looked at.
    if (yes === no && loads !== '') return yes;
    const key = `${stepsKey(steps)} ? ${op} ${k} ${yes.id} ${no.id}`;
    return this.#share(key, (id) => ({ id, kind: 'test', steps, loads, op, k, yes, no }));
  }
  effect(steps: readonly Step[], yes: Node): Node {
    return this.#share(`${stepsKey(steps)} -> ${yes.id}`, (id) => ({ id, kind: 'effect', steps, yes }));
  }

  /** The node that decides `cond` and goes on to one of two others. */
  build(cond: Cond, yes: Node, no: Node): Node {
    if (cond.kind === 'const') return cond.value ? yes : no;
    if (cond.kind === 'test') return this.test(cond.steps, cond.op, cond.k, yes, no);
    if (cond.kind === 'effect') return this.effect(cond.steps, yes);
    const key = `${yes.id} ${no.id}`;
    const known = this.#seen.get(cond)?.get(key);
    if (known !== undefined) return known;
    const built = this.build(cond.cond, this.build(cond.yes, yes, no), this.build(cond.no, yes, no));
    let of = this.#seen.get(cond);
    if (of === undefined) {
      of = new Map();
      this.#seen.set(cond, of);
    }
    of.set(key, built);
    return built;
  }
}

const successors = (node: Node): readonly Node[] =>
  node.kind === 'test' ? [node.yes, node.no] : node.kind === 'effect' ? [node.yes] : [];

/** All nodes from `root` on, each before those it goes to; returns last. */
function ordered(root: Node): Node[] {
  const done = new Set<Node>();
  const post: Node[] = [];
  const stack: { node: Node; next: number }[] = [{ node: root, next: 0 }];
  done.add(root);
  while (stack.length > 0) {
    const top = stack[stack.length - 1];
    // The way of a test that fails is gone first, so that in the end the way that holds comes right behind the test.
    const children = successors(top.node).toReversed();
    const child = children[top.next++];
    if (child === undefined) {
      post.push(top.node);
      stack.pop();
    } else if (!done.has(child)) {
      done.add(child);
      stack.push({ node: child, next: 0 });
    }
  }
  const order = post.reverse();
  return [
    ...order.filter((n) => n.kind !== 'return'),
    ...order.filter((n) => n.kind === 'return').sort((a, b) => b.value - a.value),
  ];
}

/** What is known on a way to a node: outcomes of tests, and values, by what was loaded. */
type Facts = ReadonlyMap<string, number | boolean>;
/** More than this many facts are not remembered. */
const MAX_FACTS = 48;

const equalKey = (loads: string): string => `= ${loads}`;
const outcomeKey = (t: Test): string => `? ${t.op} ${t.k} ${t.loads}`;

/** Outcome of a test under facts; undefined when they do not tell. */
function decide(t: Test, facts: Facts): boolean | undefined {
  if (t.loads === '' || t.k === 'x') return undefined;
  const outcome = facts.get(outcomeKey(t));
  if (typeof outcome === 'boolean') return outcome;
  const value = facts.get(equalKey(t.loads));
  if (typeof value !== 'number') return undefined;
  switch (t.op) {
    case BPF_JEQ:
      return value === t.k;
    case BPF_JGT:
      return value > t.k;
    case BPF_JGE:
      return value >= t.k;
    default:
      return (value & t.k) !== 0;
  }
}

function learn(t: Test, outcome: boolean, facts: Facts): Facts {
  if (t.loads === '' || t.k === 'x' || facts.size >= MAX_FACTS) return facts;
  const more = new Map(facts);
  more.set(outcomeKey(t), outcome);
  if (outcome && t.op === BPF_JEQ) more.set(equalKey(t.loads), t.k);
  return more;
}

function common(a: Facts | undefined, b: Facts): Facts {
  if (a === undefined) return b;
  const both = new Map<string, number | boolean>();
  for (const [key, value] of a) if (b.get(key) === value) both.set(key, value);
  return both;
}

/** Lets every way jump over the tests whose outcome is known on it. */
function thread(root: Node): void {
  const facts = new Map<Node, Facts>([[root, new Map()]]);
  const follow = (from: Node, known: Facts): Node => {
    let node = from;
    while (node.kind === 'test') {
      const outcome = decide(node, known);
      if (outcome === undefined) break;
      node = outcome ? node.yes : node.no;
    }
    facts.set(node, common(facts.get(node), known));
    return node;
  };
  for (const node of ordered(root)) {
    const known = facts.get(node);
    if (known === undefined || node.kind === 'return') continue;
    if (node.kind === 'effect') node.yes = follow(node.yes, known);
    else {
      node.yes = follow(node.yes, learn(node, true, known));
      node.no = follow(node.no, learn(node, false, known));
    }
  }
}

/** The same graph without nodes that decide nothing, and with equal nodes as one. */
function rebuild(root: Node): Node {
  const graph = new Graph();
  const made = new Map<Node, Node>();
  const of = (node: Node): Node => made.get(node) as Node;
  for (const node of ordered(root).toReversed()) {
    if (node.kind === 'return') made.set(node, graph.ret(node.value));
    else if (node.kind === 'effect') made.set(node, graph.effect(node.steps, of(node.yes)));
    else made.set(node, graph.test(node.steps, node.op, node.k, of(node.yes), of(node.no)));
  }
  return of(root);
}

/** Rounds of jumping over and merging; each can make room for the next. */
const MAX_ROUNDS = 8;

function simplify(root: Node): Node {
  let current = root;
  for (let round = 0, size = Number.POSITIVE_INFINITY; round < MAX_ROUNDS; round++) {
    thread(current);
    current = rebuild(current);
    const now = ordered(current).length;
    if (now >= size) break;
    size = now;
  }
  return current;
}

/** What A and X hold, as text; every text stands for one value. */
type Registers = { readonly a: string; readonly x: string };

/** The steps without loads of what the registers hold already, and what they hold in the end. */
function withoutRepeats(
  steps: readonly Step[],
  before: Registers,
  unique: () => string,
): { steps: Step[]; after: Registers } {
  let { a, x } = before;
  const kept: Step[] = [];
  for (const step of steps) {
    const [code, k] = step;
    const cls = code & 7;
    if (cls === 0) {
      const text = (code & 0xe0) === BPF_MEM ? unique() : `${code}:${k}${(code & 0xe0) === 0x40 ? `(${x})` : ''}`;
      if (text !== a) kept.push(step);
      a = text;
    } else if (cls === 1) {
      const text = (code & 0xe0) === BPF_MEM ? unique() : `${code}:${k}`;
      if (text !== x) kept.push(step);
      x = text;
    } else {
      kept.push(step);
      if (cls === 4) a = `${a} ${code}:${k}${(code & BPF_X) !== 0 ? `(${x})` : ''}`;
      else if (code === 0x07) x = a;
      else if (code === 0x87) a = x;
    }
  }
  return { steps: kept, after: { a, x } };
}

/** Removes loads of what A and X hold on every way to a node; returns the steps left, by node. */
function reuse(order: readonly Node[]): Map<Node, readonly Step[]> {
  const entry = new Map<Node, Registers>();
  const left = new Map<Node, readonly Step[]>();
  let count = 0;
  const unique = (): string => `#${count++}`;
  for (const node of order) {
    if (node.kind === 'return') continue;
    const whole = withoutRepeats(node.steps, { a: unique(), x: unique() }, unique);
    const before = entry.get(node) ?? { a: unique(), x: unique() };
    let { steps, after } = withoutRepeats(node.steps, before, unique);
    // A whole computation whose value is in A already.
    if (node.kind === 'test' && node.loads !== '' && node.k !== 'x' && whole.after.a === before.a) {
      steps = [];
      after = before;
    }
    left.set(node, steps);
    for (const to of successors(node)) {
      const there = entry.get(to);
      entry.set(
        to,
        there === undefined
          ? after
          : { a: there.a === after.a ? after.a : unique(), x: there.x === after.x ? after.x : unique() },
      );
    }
  }
  return left;
}

/** Instructions before the jump, and jumps that need an instruction of their own. */
type Layout = { at: number; farYes: boolean; farNo: boolean };

/** Graphs beyond this size are not worth simplifying: at least one node in four would have to go. */
const MAX_NODES = 4 * BPF_MAXINSNS;

/** Places the nodes. */
function place(order: readonly Node[], steps: ReadonlyMap<Node, readonly Step[]>, start: number): Map<Node, Layout> {
  const layout = new Map<Node, Layout>(order.map((node) => [node, { at: 0, farYes: false, farNo: false }]));
  const of = (node: Node): Layout => layout.get(node) as Layout;
  for (let changed = true; changed; ) {
    changed = false;
    let at = start;
    order.forEach((node, i) => {
      const l = of(node);
      l.at = at;
      at += steps.get(node)?.length ?? 0;
      if (node.kind === 'test') at += 1 + Number(l.farYes) + Number(l.farNo);
      else if (node.kind === 'return') at += 1;
      else if (node.yes !== order[i + 1]) at += 1;
    });
    for (const node of order) {
      if (node.kind !== 'test') continue;
      const l = of(node);
      const end = l.at + (steps.get(node)?.length ?? 0) + 1;
      if (!l.farYes && of(node.yes).at - end > 255) {
        l.farYes = true;
        changed = true;
      }
      if (!l.farNo && of(node.no).at - end > 255) {
        l.farNo = true;
        changed = true;
      }
    }
  }
  return layout;
}

const ja = (distance: number): ClassicInsn => ({ code: BPF_JMP | BPF_JA, jt: 0, jf: 0, k: distance });

/** The program that returns `accept` where the condition holds and 0 elsewhere; undefined when it has too many instructions. */
export function generate(cond: Cond, words: number, accept: number): ClassicInsn[] | undefined {
  const graph = new Graph();
  const whole = graph.build(cond, graph.ret(accept), graph.ret(0));
  if (graph.size > MAX_NODES) return undefined;
  const root = simplify(whole);
  // Words that hold offsets are read on ways that do not store them, as far as anybody can tell.
  const prologue: Step[] =
    words === 0 ? [] : [constant(0), ...Array.from({ length: words }, (_, i): Step => [0x02, i])];
  const order = ordered(root);
  const steps = reuse(order);
  const layout = place(order, steps, prologue.length);
  const at = (node: Node): number => layout.get(node)?.at ?? 0;
  const program: ClassicInsn[] = [];
  const add = (list: readonly Step[]): void => {
    for (const [code, k] of list) program.push({ code, jt: 0, jf: 0, k });
  };
  add(prologue);
  order.forEach((node, i) => {
    add(steps.get(node) ?? []);
    if (node.kind === 'return') {
      program.push({ code: BPF_RET, jt: 0, jf: 0, k: node.value });
    } else if (node.kind === 'effect') {
      if (node.yes !== order[i + 1]) program.push(ja(at(node.yes) - program.length - 1));
    } else {
      const { farYes, farNo } = layout.get(node) as Layout;
      const end = program.length + 1;
      program.push({
        code: BPF_JMP | node.op | (node.k === 'x' ? BPF_X : 0),
        jt: farYes ? 0 : at(node.yes) - end,
        jf: farNo ? Number(farYes) : at(node.no) - end,
        k: node.k === 'x' ? 0 : node.k,
      });
      if (farYes) program.push(ja(at(node.yes) - program.length - 1));
      if (farNo) program.push(ja(at(node.no) - program.length - 1));
    }
  });
  return program.length > BPF_MAXINSNS ? undefined : program;
}
