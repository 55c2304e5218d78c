/**
 * A path-compressed binary tree of address prefixes (a Patricia tree): longest-prefix match for the routing tables.
 * A look-up visits the prefixes that cover an address, shortest first, and allocates nothing. Nodes lie in one array, half
 * a cache line each:
 *
 *     | length | word 0 | word 1 | word 2 | word 3 | child for bit 0 | child for bit 1 | value index + 1, or 0 |
 */
import { maskWord } from './words.ts';

/** Most nodes on one path: a node for each prefix length of IPv6. */
export const TREE_DEPTH = 129;

const WORDS = 8;
const LENGTH = 0;
const KEY = 1;
const CHILD = 5;
const VALUE = 7;
const NONE = -1;

/** Bits that two keys share at the front, at most `limit`. */
function common(a: Uint32Array, n: Int32Array, at: number, limit: number): number {
  for (let i = 0; i * 32 < limit; i++) {
    const diff = a[i] ^ n[at + KEY + i];
    if (diff !== 0) return Math.min(limit, i * 32 + Math.clz32(diff));
  }
  return limit;
}

function bit(key: Uint32Array, at: number): number {
  return (key[at >> 5] >>> (31 - (at & 31))) & 1;
}

export class PrefixTree<T> {
  #nodes: Int32Array = new Int32Array(16 * WORDS);
  readonly #values: (T | undefined)[] = [];
  readonly #path: Int32Array = new Int32Array(TREE_DEPTH);
  readonly #freeNodes: number[] = [];
  readonly #freeValues: number[] = [];
  #used = 0;
  #root = NONE;
  #size = 0;

  /** Prefixes that hold a value. */
  get size(): number {
    return this.#size;
  }

  /** How many prefixes with a value cover `key`; `covered(i)` is the value of each, the shortest first. */
  covering(key: Uint32Array): number {
    const n = this.#nodes;
    const path = this.#path;
    const k0 = key[0] | 0;
    let count = 0;
    let node = this.#root;
    while (node !== NONE) {
      const at = node * WORDS;
      const length = n[at];
      if (length <= 32) {
        if (length !== 0 && (k0 ^ n[at + KEY]) >>> (32 - length) !== 0) break;
      } else {
        let i = 0;
        for (; (i + 1) * 32 < length; i++) if ((key[i] ^ n[at + KEY + i]) !== 0) return count;
        if ((key[i] ^ n[at + KEY + i]) >>> ((i + 1) * 32 - length) !== 0) break;
      }
      if (n[at + VALUE] !== 0) path[count++] = n[at + VALUE] - 1;
      if (length === 128) break;
      node = n[at + CHILD + (length < 32 ? (k0 >>> (31 - length)) & 1 : bit(key, length))];
    }
    return count;
  }

  /** The value of the i-th prefix that the last `covering` found. */
  covered(i: number): T {
    return this.#values[this.#path[i]] as T;
  }

  // Node of exactly this prefix, its parents in `parents`.
  #find(key: Uint32Array, length: number, parents?: number[]): number {
    const n = this.#nodes;
    let node = this.#root;
    while (node !== NONE) {
      const at = node * WORDS;
      const own = n[at + LENGTH];
      if (own > length || common(key, n, at, own) < own) return NONE;
      if (own === length) return node;
      parents?.push(node);
      node = n[at + CHILD + bit(key, own)];
    }
    return NONE;
  }

  /** The value of exactly this prefix. */
  get(key: Uint32Array, length: number): T | undefined {
    const node = this.#find(key, length);
    const value = node === NONE ? 0 : this.#nodes[node * WORDS + VALUE];
    return value === 0 ? undefined : this.#values[value - 1];
  }

  #newNode(key: Uint32Array, length: number): number {
    const node = this.#freeNodes.pop() ?? this.#used++;
    if ((node + 1) * WORDS > this.#nodes.length) {
      const wider = new Int32Array(this.#nodes.length * 2);
      wider.set(this.#nodes);
      this.#nodes = wider;
    }
    const at = node * WORDS;
    this.#nodes[at + LENGTH] = length;
    for (let i = 0; i < 4; i++) this.#nodes[at + KEY + i] = key[i] & maskWord(length, i);
    this.#nodes[at + CHILD] = this.#nodes[at + CHILD + 1] = NONE;
    this.#nodes[at + VALUE] = 0;
    return node;
  }

  #setValue(node: number, value: T): void {
    const at = node * WORDS + VALUE;
    if (this.#nodes[at] === 0) {
      this.#size++;
      this.#nodes[at] = (this.#freeValues.pop() ?? this.#values.length) + 1;
    }
    this.#values[this.#nodes[at] - 1] = value;
  }

  #link(parent: number, key: Uint32Array, child: number): void {
    if (parent === NONE) this.#root = child;
    else {
      const at = parent * WORDS;
      this.#nodes[at + CHILD + bit(key, this.#nodes[at + LENGTH])] = child;
    }
  }

  /** Sets the value of a prefix. */
  set(key: Uint32Array, length: number, value: T): void {
    let parent = NONE;
    let node = this.#root;
    for (;;) {
      if (node === NONE) {
        const leaf = this.#newNode(key, length);
        this.#setValue(leaf, value);
        this.#link(parent, key, leaf);
        return;
      }
      const own = this.#nodes[node * WORDS + LENGTH];
      const shared = common(key, this.#nodes, node * WORDS, Math.min(length, own));
      if (shared < own) {
        // The new prefix ends above this node, or leaves its path: a node goes between.
        const fork = this.#newNode(key, shared);
        const side = (this.#nodes[node * WORDS + KEY + (shared >> 5)] >>> (31 - (shared & 31))) & 1;
        this.#nodes[fork * WORDS + CHILD + side] = node;
        this.#link(parent, key, fork);
        if (shared === length) this.#setValue(fork, value);
        else {
          const leaf = this.#newNode(key, length);
          this.#setValue(leaf, value);
          this.#link(fork, key, leaf);
        }
        return;
      }
      if (own === length) {
        this.#setValue(node, value);
        return;
      }
      parent = node;
      node = this.#nodes[node * WORDS + CHILD + bit(key, own)];
    }
  }

  /** Forgets a prefix; false when it held no value. */
  delete(key: Uint32Array, length: number): boolean {
    const parents: number[] = [];
    let node = this.#find(key, length, parents);
    const n = this.#nodes;
    if (node === NONE || n[node * WORDS + VALUE] === 0) return false;
    const value = n[node * WORDS + VALUE] - 1;
    this.#values[value] = undefined;
    this.#freeValues.push(value);
    n[node * WORDS + VALUE] = 0;
    this.#size--;
    // Nodes without value and with fewer than two children are not needed.
    while (node !== NONE) {
      const at = node * WORDS;
      const [zero, one] = [n[at + CHILD], n[at + CHILD + 1]];
      if (n[at + VALUE] !== 0 || (zero !== NONE && one !== NONE)) break;
      const parent = parents.pop() ?? NONE;
      this.#link(parent, key, zero !== NONE ? zero : one);
      this.#freeNodes.push(node);
      node = parent;
    }
    return true;
  }

  /** All values in ascending order of address; of nested prefixes the longer first. That is how Linux dumps IPv6. */
  values(): T[] {
    const out: T[] = [];
    // Recursion is at most TREE_DEPTH deep.
    const walk = (node: number): void => {
      if (node === NONE) return;
      const at = node * WORDS;
      walk(this.#nodes[at + CHILD]);
      walk(this.#nodes[at + CHILD + 1]);
      const value = this.#nodes[at + VALUE];
      if (value !== 0) out.push(this.#values[value - 1] as T);
    };
    walk(this.#root);
    return out;
  }
}
