/**
 * Ordered binary decision diagrams (R. E. Bryant, 1986) with several terminals: functions of packet bits, shared and unique, so
 * that two functions are equal exactly when their node numbers are. Truth is node 1, falsehood node 0; other terminals
 * stand for outcomes. Nodes are never freed: a diagram lives for one question, and `maxNodes` bounds it.
 */

/** A node number. */
export type Node = number;

export const FALSE: Node = 0;
export const TRUE: Node = 1;

/** Level of terminals: below every variable. */
const BOTTOM = 0x7fffffff;

const AND = 0;
const OR = 1;
const XOR = 2;
const ITE = 3;
const OVERRIDE = 4;
const DIFF = 5;

/** The diagrams grew beyond what was allowed, or the time is up. */
export class LimitReached extends Error {
  constructor(what: string) {
    super(what);
    this.name = 'LimitReached';
  }
}

export type BddOptions = {
  /** Most nodes; LimitReached is thrown when more are needed. */
  readonly maxNodes?: number;
  /** Asked now and then while nodes are made; a text ends the work with LimitReached. */
  readonly interrupt?: (nodes: number) => string | undefined;
};

export class Bdd {
  #level: Int32Array = new Int32Array(1 << 16);
  #low: Int32Array = new Int32Array(1 << 16);
  #high: Int32Array = new Int32Array(1 << 16);
  #count = 0;
  #table: Int32Array = new Int32Array(1 << 18);
  #cache: Int32Array = new Int32Array(4 << 18);
  #cacheMask = (1 << 18) - 1;
  #maxNodes: number;
  #interrupt: BddOptions['interrupt'];

  constructor({ maxNodes = 12_000_000, interrupt }: BddOptions = {}) {
    this.#maxNodes = Math.min(maxNodes, 1 << 26);
    this.#interrupt = interrupt;
    this.terminal(0);
    this.terminal(1);
  }

  /** Nodes made so far. */
  get size(): number {
    return this.#count;
  }

  /** Allows more nodes than at first, and asks no more whether to go on: to tell what was found up to a limit. */
  allowMore(nodes: number): void {
    this.#maxNodes = Math.min(this.#count + nodes, 1 << 26);
    this.#interrupt = undefined;
  }

  level(f: Node): number {
    return this.#level[f];
  }
  low(f: Node): Node {
    return this.#low[f];
  }
  high(f: Node): Node {
    return this.#high[f];
  }
  isTerminal(f: Node): boolean {
    return this.#level[f] === BOTTOM;
  }
  /** The number a terminal was made with. */
  value(f: Node): number {
    return this.#low[f];
  }

  /** The terminal for a number. */
  terminal(value: number): Node {
    return this.#find(BOTTOM, value, value);
  }

  /** The function that is the variable of a level. */
  variable(level: number): Node {
    return this.#find(level, FALSE, TRUE);
  }

  /** The node that tests `level`, with the functions for 0 and 1. Both must lie below the level. */
  node(level: number, low: Node, high: Node): Node {
    return low === high ? low : this.#find(level, low, high);
  }

  #find(level: number, low: Node, high: Node): Node {
    let h = Math.imul(level, 0x9e3779b1) ^ Math.imul(low, 0x85ebca6b) ^ Math.imul(high, 0xc2b2ae35);
    h ^= h >>> 15;
    h = Math.imul(h, 0x2c1b3c6d);
    h ^= h >>> 13;
    const table = this.#table;
    const mask = table.length - 1;
    for (let i = h & mask; ; i = (i + 1) & mask) {
      const entry = table[i];
      if (entry === 0) break;
      const n = entry - 1;
      if (this.#level[n] === level && this.#low[n] === low && this.#high[n] === high) return n;
    }
    return this.#add(level, low, high, h);
  }

  #add(level: number, low: Node, high: Node, h: number): Node {
    const n = this.#count;
    if (n >= this.#maxNodes) throw new LimitReached(`more than ${this.#maxNodes} nodes`);
    if ((n & 0x3fff) === 0x3fff) {
      const why = this.#interrupt?.(n);
      if (why !== undefined) throw new LimitReached(why);
    }
    if (n === this.#level.length) this.#grow();
    this.#level[n] = level;
    this.#low[n] = low;
    this.#high[n] = high;
    this.#count = n + 1;
    if ((n + 1) * 2 > this.#table.length) this.#rehash();
    const table = this.#table;
    const mask = table.length - 1;
    let i = h & mask;
    while (table[i] !== 0) i = (i + 1) & mask;
    if (table[i] === 0) table[i] = n + 1;
    return n;
  }

  #grow(): void {
    const wider = (old: Int32Array): Int32Array => {
      const out = new Int32Array(old.length * 2);
      out.set(old);
      return out;
    };
    this.#level = wider(this.#level);
    this.#low = wider(this.#low);
    this.#high = wider(this.#high);
  }

  /** Doubles the table of nodes; the newest node is put in by the caller. */
  #rehash(): void {
    const table = new Int32Array(this.#table.length * 2);
    const mask = table.length - 1;
    for (let n = 0; n < this.#count - 1; n++) {
      let h =
        Math.imul(this.#level[n], 0x9e3779b1) ^
        Math.imul(this.#low[n], 0x85ebca6b) ^
        Math.imul(this.#high[n], 0xc2b2ae35);
      h ^= h >>> 15;
      h = Math.imul(h, 0x2c1b3c6d);
      h ^= h >>> 13;
      let i = h & mask;
      while (table[i] !== 0) i = (i + 1) & mask;
      table[i] = n + 1;
    }
    this.#table = table;
    // Results are kept for as many questions as there are nodes, up to a point.
    if (this.#cacheMask < (1 << 21) - 1 && table.length > this.#cacheMask * 2) {
      this.#cacheMask = this.#cacheMask * 2 + 1;
      this.#cache = new Int32Array(4 * (this.#cacheMask + 1));
    }
  }

  #slot(op: number, a: Node, b: Node, c: Node): number {
    let h = Math.imul(a * 8 + op, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35);
    h ^= h >>> 16;
    h = Math.imul(h, 0x2c1b3c6d);
    return ((h ^ (h >>> 14)) & this.#cacheMask) << 2;
  }

  #put(slot: number, op: number, a: Node, b: Node, c: Node, result: Node): Node {
    // The cache may have been replaced by a wider one while the result was made.
    const at = slot < this.#cache.length ? slot : 0;
    const cache = this.#cache;
    cache[at] = a * 8 + op + 1;
    cache[at + 1] = b;
    cache[at + 2] = c;
    cache[at + 3] = result;
    return result;
  }

  not(f: Node): Node {
    return this.diff(TRUE, f);
  }

  and(a: Node, b: Node): Node {
    if (a === b || b === TRUE) return a;
    if (a === TRUE) return b;
    if (a === FALSE || b === FALSE) return FALSE;
    if (a > b) return this.and(b, a);
    const slot = this.#slot(AND, a, b, 0);
    const cache = this.#cache;
    if (cache[slot] === a * 8 + AND + 1 && cache[slot + 1] === b && cache[slot + 2] === 0) return cache[slot + 3];
    const la = this.#level[a];
    const lb = this.#level[b];
    const top = Math.min(la, lb);
    const low = this.and(la === top ? this.#low[a] : a, lb === top ? this.#low[b] : b);
    const high = this.and(la === top ? this.#high[a] : a, lb === top ? this.#high[b] : b);
    return this.#put(slot, AND, a, b, 0, this.node(top, low, high));
  }

  or(a: Node, b: Node): Node {
    if (a === b || b === FALSE) return a;
    if (a === FALSE) return b;
    if (a === TRUE || b === TRUE) return TRUE;
    if (a > b) return this.or(b, a);
    const slot = this.#slot(OR, a, b, 0);
    const cache = this.#cache;
    if (cache[slot] === a * 8 + OR + 1 && cache[slot + 1] === b && cache[slot + 2] === 0) return cache[slot + 3];
    const la = this.#level[a];
    const lb = this.#level[b];
    const top = Math.min(la, lb);
    const low = this.or(la === top ? this.#low[a] : a, lb === top ? this.#low[b] : b);
    const high = this.or(la === top ? this.#high[a] : a, lb === top ? this.#high[b] : b);
    return this.#put(slot, OR, a, b, 0, this.node(top, low, high));
  }

  xor(a: Node, b: Node): Node {
    if (a === b) return FALSE;
    if (a === FALSE) return b;
    if (b === FALSE) return a;
    if (a > b) return this.xor(b, a);
    if (a === TRUE && b === TRUE) return FALSE;
    const slot = this.#slot(XOR, a, b, 0);
    const cache = this.#cache;
    if (cache[slot] === a * 8 + XOR + 1 && cache[slot + 1] === b && cache[slot + 2] === 0) return cache[slot + 3];
    const la = this.#level[a];
    const lb = this.#level[b];
    const top = Math.min(la, lb);
    const low = this.xor(la === top ? this.#low[a] : a, lb === top ? this.#low[b] : b);
    const high = this.xor(la === top ? this.#high[a] : a, lb === top ? this.#high[b] : b);
    return this.#put(slot, XOR, a, b, 0, this.node(top, low, high));
  }

  /** a and not b. */
  diff(a: Node, b: Node): Node {
    if (a === FALSE || b === TRUE || a === b) return FALSE;
    if (b === FALSE) return a;
    const slot = this.#slot(DIFF, a, b, 0);
    const cache = this.#cache;
    if (cache[slot] === a * 8 + DIFF + 1 && cache[slot + 1] === b && cache[slot + 2] === 0) return cache[slot + 3];
    const la = this.#level[a];
    const lb = this.#level[b];
    const top = Math.min(la, lb);
    const low = this.diff(la === top ? this.#low[a] : a, lb === top ? this.#low[b] : b);
    const high = this.diff(la === top ? this.#high[a] : a, lb === top ? this.#high[b] : b);
    return this.#put(slot, DIFF, a, b, 0, this.node(top, low, high));
  }

  /** g where f holds, h elsewhere. f is a truth function; g and h may have any terminals. */
  ite(f: Node, g: Node, h: Node): Node {
    if (f === TRUE || g === h) return g;
    if (f === FALSE) return h;
    if (g === TRUE && h === FALSE) return f;
    const slot = this.#slot(ITE, f, g, h);
    const cache = this.#cache;
    if (cache[slot] === f * 8 + ITE + 1 && cache[slot + 1] === g && cache[slot + 2] === h) return cache[slot + 3];
    const lf = this.#level[f];
    const lg = this.#level[g];
    const lh = this.#level[h];
    const top = Math.min(lf, lg, lh);
    const low = this.ite(lf === top ? this.#low[f] : f, lg === top ? this.#low[g] : g, lh === top ? this.#low[h] : h);
    const high = this.ite(
      lf === top ? this.#high[f] : f,
      lg === top ? this.#high[g] : g,
      lh === top ? this.#high[h] : h,
    );
    return this.#put(slot, ITE, f, g, h, this.node(top, low, high));
  }

  /** f where f is not the terminal `none`, g there. */
  override(f: Node, g: Node, none: Node): Node {
    if (f === none) return g;
    if (g === none || f === g || this.#level[f] === BOTTOM) return f;
    const slot = this.#slot(OVERRIDE, f, g, none);
    const cache = this.#cache;
    if (cache[slot] === f * 8 + OVERRIDE + 1 && cache[slot + 1] === g && cache[slot + 2] === none)
      return cache[slot + 3];
    const lf = this.#level[f];
    const lg = this.#level[g];
    const top = Math.min(lf, lg);
    const low = this.override(lf === top ? this.#low[f] : f, lg === top ? this.#low[g] : g, none);
    const high = this.override(lf === top ? this.#high[f] : f, lg === top ? this.#high[g] : g, none);
    return this.#put(slot, OVERRIDE, f, g, none, this.node(top, low, high));
  }

  /** The function with every terminal replaced. */
  map(f: Node, change: (terminal: Node) => Node): Node {
    const seen = new Map<Node, Node>();
    const walk = (n: Node): Node => {
      if (this.#level[n] === BOTTOM) return change(n);
      const known = seen.get(n);
      if (known !== undefined) return known;
      const made = this.node(this.#level[n], walk(this.#low[n]), walk(this.#high[n]));
      seen.set(n, made);
      return made;
    };
    return walk(f);
  }

  /** Where f is this terminal. */
  is(f: Node, terminal: Node): Node {
    return this.map(f, (t) => (t === terminal ? TRUE : FALSE));
  }

  /** A function of two functions' terminals. */
  apply(f: Node, g: Node, join: (a: Node, b: Node) => Node): Node {
    const seen = new Map<number, Node>();
    const walk = (a: Node, b: Node): Node => {
      const la = this.#level[a];
      const lb = this.#level[b];
      if (la === BOTTOM && lb === BOTTOM) return join(a, b);
      const key = a * 0x4000000 + b;
      const known = seen.get(key);
      if (known !== undefined) return known;
      const top = Math.min(la, lb);
      const made = this.node(
        top,
        walk(la === top ? this.#low[a] : a, lb === top ? this.#low[b] : b),
        walk(la === top ? this.#high[a] : a, lb === top ? this.#high[b] : b),
      );
      seen.set(key, made);
      return made;
    };
    return walk(f, g);
  }

  /** There is a value of the variables that `gone` names for which a and b hold. */
  andExists(a: Node, b: Node, gone: (level: number) => boolean): Node {
    const seen = new Map<number, Node>();
    const walk = (f: Node, g: Node): Node => {
      if (f === FALSE || g === FALSE) return FALSE;
      if (f === TRUE && g === TRUE) return TRUE;
      if (f > g) return walk(g, f);
      const key = f * 0x4000000 + g;
      const known = seen.get(key);
      if (known !== undefined) return known;
      const lf = this.#level[f];
      const lg = this.#level[g];
      const top = Math.min(lf, lg);
      const low = walk(lf === top ? this.#low[f] : f, lg === top ? this.#low[g] : g);
      let made: Node;
      if (low === TRUE && gone(top)) made = TRUE;
      else {
        const high = walk(lf === top ? this.#high[f] : f, lg === top ? this.#high[g] : g);
        made = gone(top) ? this.or(low, high) : this.node(top, low, high);
      }
      seen.set(key, made);
      return made;
    };
    return walk(a, b);
  }

  /** One way to make a truth function true: the variables it needs, by level. Undefined when there is none. */
  solution(f: Node): Map<number, boolean> | undefined {
    if (f === FALSE) return undefined;
    const out = new Map<number, boolean>();
    for (let n = f; n !== TRUE; ) {
      const up = this.#low[n] === FALSE;
      out.set(this.#level[n], up);
      n = up ? this.#high[n] : this.#low[n];
    }
    return out;
  }

  /** The terminal that a function has for given variables. */
  evaluate(f: Node, value: (level: number) => boolean): Node {
    let n = f;
    while (this.#level[n] !== BOTTOM) n = value(this.#level[n]) ? this.#high[n] : this.#low[n];
    return n;
  }

  /** The terminals that a function has somewhere. */
  terminals(f: Node): Set<Node> {
    const out = new Set<Node>();
    const seen = new Set<Node>();
    const stack = [f];
    for (let n = stack.pop(); n !== undefined; n = stack.pop()) {
      if (seen.has(n)) continue;
      seen.add(n);
      if (this.#level[n] === BOTTOM) out.add(n);
      else stack.push(this.#low[n], this.#high[n]);
    }
    return out;
  }

  /** The variables that a function depends on, by level. */
  support(f: Node): Set<number> {
    const out = new Set<number>();
    const seen = new Set<Node>();
    const stack = [f];
    for (let n = stack.pop(); n !== undefined; n = stack.pop()) {
      if (seen.has(n) || this.#level[n] === BOTTOM) continue;
      seen.add(n);
      out.add(this.#level[n]);
      stack.push(this.#low[n], this.#high[n]);
    }
    return out;
  }
}
