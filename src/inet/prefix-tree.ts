/**
 * A path-compressed binary tree of address prefixes (a Patricia tree): longest-prefix match for the routing tables.
 * A look-up visits the prefixes that cover an address, shortest first, and allocates nothing.
 */
import { maskWords, samePrefix } from './words.ts';

export type PrefixNode<T> = {
  readonly key: Uint32Array;
  readonly length: number;
  value: T | undefined;
  zero: PrefixNode<T> | undefined;
  one: PrefixNode<T> | undefined;
};

/** Most nodes on one path: a node for each prefix length of IPv6. */
export const TREE_DEPTH = 129;

function bit(key: Uint32Array, at: number): number {
  return (key[at >> 5] >>> (31 - (at & 31))) & 1;
}

/** Bits that two keys share at the front, at most `limit`. */
function common(a: Uint32Array, b: Uint32Array, limit: number): number {
  for (let i = 0; i * 32 < limit; i++) {
    const diff = a[i] ^ b[i];
    if (diff !== 0) return Math.min(limit, i * 32 + Math.clz32(diff));
  }
  return limit;
}

export class PrefixTree<T> {
  #root: PrefixNode<T> | undefined;
  #size = 0;

  /** Prefixes that hold a value. */
  get size(): number {
    return this.#size;
  }

  /**
   * Collects into `path` the values of all prefixes that cover `key`, shortest first, and returns how many there are.
   * Read `path` from the end for the longest match first.
   */
  covering(key: Uint32Array, path: T[]): number {
    let count = 0;
    let node = this.#root;
    while (node !== undefined && samePrefix(key, node.key, node.length)) {
      if (node.value !== undefined) path[count++] = node.value;
      if (node.length === 128) break;
      node = bit(key, node.length) === 0 ? node.zero : node.one;
    }
    return count;
  }

  /** The value of exactly this prefix. */
  get(key: Uint32Array, length: number): T | undefined {
    let node = this.#root;
    while (node !== undefined && node.length <= length && samePrefix(key, node.key, node.length)) {
      if (node.length === length) return node.value;
      node = bit(key, node.length) === 0 ? node.zero : node.one;
    }
    return undefined;
  }

  /** Sets the value of a prefix. */
  set(key: Uint32Array, length: number, value: T): void {
    const leaf = (): PrefixNode<T> => ({
      key: maskWords(key, length),
      length,
      value,
      zero: undefined,
      one: undefined,
    });
    let parent: PrefixNode<T> | undefined;
    let node = this.#root;
    const put = (child: PrefixNode<T>): void => {
      if (parent === undefined) this.#root = child;
      else if (bit(key, parent.length) === 0) parent.zero = child;
      else parent.one = child;
    };
    for (;;) {
      if (node === undefined) {
        put(leaf());
        this.#size++;
        return;
      }
      const shared = common(key, node.key, Math.min(length, node.length));
      if (shared < node.length) {
        // The new prefix ends above this node, or leaves its path: a node goes between.
        const fork: PrefixNode<T> =
          shared === length ? leaf() : { ...leaf(), key: maskWords(key, shared), length: shared, value: undefined };
        if (bit(node.key, shared) === 0) fork.zero = node;
        else fork.one = node;
        put(fork);
        if (shared < length) {
          if (bit(key, shared) === 0) fork.zero = leaf();
          else fork.one = leaf();
        }
        this.#size++;
        return;
      }
      if (node.length === length) {
        if (node.value === undefined) this.#size++;
        node.value = value;
        return;
      }
      parent = node;
      node = bit(key, node.length) === 0 ? node.zero : node.one;
    }
  }

  /** Forgets a prefix; false when it held no value. */
  delete(key: Uint32Array, length: number): boolean {
    const path: PrefixNode<T>[] = [];
    let node = this.#root;
    while (node !== undefined && node.length < length && samePrefix(key, node.key, node.length)) {
      path.push(node);
      node = bit(key, node.length) === 0 ? node.zero : node.one;
    }
    if (node === undefined || node.length !== length || !samePrefix(key, node.key, length)) return false;
    if (node.value === undefined) return false;
    node.value = undefined;
    this.#size--;
    // Nodes without value and with fewer than two children are not needed.
    while (node !== undefined && node.value === undefined && (node.zero === undefined || node.one === undefined)) {
      const child: PrefixNode<T> | undefined = node.zero ?? node.one;
      const parent = path.pop();
      if (parent === undefined) this.#root = child;
      else if (parent.zero === node) parent.zero = child;
      else parent.one = child;
      node = parent;
    }
    return true;
  }

  /** All values in ascending order of address; of nested prefixes the longer first. That is how Linux dumps IPv6. */
  values(): T[] {
    const out: T[] = [];
    // Recursion is at most TREE_DEPTH deep.
    const walk = (node: PrefixNode<T> | undefined): void => {
      if (node === undefined) return;
      walk(node.zero);
      walk(node.one);
      if (node.value !== undefined) out.push(node.value);
    };
    walk(this.#root);
    return out;
  }
}
