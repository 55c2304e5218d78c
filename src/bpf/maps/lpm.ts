/**
 * BPF_MAP_TYPE_LPM_TRIE (Documentation/bpf/map_lpm_trie.rst): longest prefix match. A key is a u32 prefix length and the
 * prefix, in network order. A binary trie, compressed: a node where two prefixes part, or one that holds a value.
 *
 *     node:  | child 0 | child 1 | bits | 1: has a value | prefix, padded to eight bytes | value |
 */
import { EINVAL, ENOENT, ENOMEM, ENOSPC } from '../../core/errno.ts';
import { BPF_EXIST } from '../../wire/uapi/bpf.ts';
import { type MapCore, type MapOps, refusing } from './core.ts';
import { checkExists } from './hash.ts';
import { MAP_STRIDE, MAP_VALUE_OFFSET, MAP_VALUES, round8 } from './layout.ts';

const BITS = 2;
const HAS_VALUE = 3;
const PREFIX = 16;

export function lpmTrie(core: MapCore): MapOps & { dispose(): void } {
  const { spec, dv, u8, u32, host } = core;
  const dataSize = spec.keySize - 4;
  const maxBits = dataSize * 8;
  const valueOffset = PREFIX + round8(dataSize);
  const size = valueOffset + round8(spec.valueSize);
  /** Where the root's address lies: the place that names the first node, as children's words name the others. */
  const rootAt = core.alloc(8);
  core.set(MAP_VALUES, rootAt);
  core.set(MAP_STRIDE, size);
  core.set(MAP_VALUE_OFFSET, valueOffset);
  let count = 0;

  const word = (node: number, n: number): number => (node >>> 2) + n;
  const bitAt = (data: number, bit: number): number => (u8[data + (bit >>> 3)] >>> (7 - (bit & 7))) & 1;
  /** Leading bits that two prefixes share, at most `limit`. */
  const common = (a: number, c: number, limit: number): number => {
    let bits = 0;
    for (let i = 0; bits < limit; i++, bits += 8) {
      const differ = u8[a + i] ^ u8[c + i];
      if (differ !== 0) return Math.min(limit, bits + Math.clz32(differ) - 24);
    }
    return limit;
  };

  const make = (data: number, bits: number): number => {
    const node = core.heap.alloc(size);
    if (node === 0) return 0;
    u32[word(node, BITS)] = bits;
    u8.copyWithin(node + PREFIX, data, data + dataSize);
    return node;
  };

  /** The node of the longest prefix that matches, 0 for none. */
  const match = (keyAt: number): number => {
    const bits = dv.getUint32(keyAt, true);
    if (bits > maxBits) return 0;
    let found = 0;
    for (let node = u32[rootAt >>> 2]; node !== 0; ) {
      const own = u32[word(node, BITS)];
      if (common(node + PREFIX, keyAt + 4, Math.min(own, bits)) < own) break;
      if (u32[word(node, HAS_VALUE)] !== 0) found = node;
      if (own >= bits || own === maxBits) break;
      node = u32[word(node, bitAt(keyAt + 4, own))];
    }
    return found;
  };

  /** Where the node of exactly this prefix is named, or would be; and the way there. */
  const walk = (keyAt: number, bits: number): { at: number; parent: number; grandparent: number; shared: number } => {
    let at = rootAt;
    let parent = 0;
    let grandparent = 0;
    for (;;) {
      const node = u32[at >>> 2];
      if (node === 0) return { at, parent, grandparent, shared: 0 };
      const own = u32[word(node, BITS)];
      const shared = common(node + PREFIX, keyAt + 4, Math.min(own, bits));
      if (shared < own || own === bits) return { at, parent, grandparent, shared };
      grandparent = parent;
      parent = node;
      at = node + bitAt(keyAt + 4, own) * 4;
    }
  };

  const update = (keyAt: number, valueAt: number, flags: number): number => {
    if (flags >>> 0 > BPF_EXIST) return -EINVAL;
    const bits = dv.getUint32(keyAt, true);
    if (bits > maxBits) return -EINVAL;
    const { at, shared } = walk(keyAt, bits);
    const old = u32[at >>> 2];
    const ownBits = old === 0 ? 0 : u32[word(old, BITS)];
    const same = old !== 0 && ownBits === bits && shared === bits;
    const exists = same && u32[word(old, HAS_VALUE)] !== 0;
    const refused = checkExists(exists, flags);
    if (refused !== 0) return refused;
    if (!exists && count >= spec.maxEntries) return -ENOSPC;
    const node = make(keyAt + 4, bits);
    if (node === 0) return -ENOMEM;
    u32[word(node, HAS_VALUE)] = 1;
    u8.copyWithin(node + valueOffset, valueAt, valueAt + spec.valueSize);
    if (same) {
      u32.copyWithin(word(node, 0), word(old, 0), word(old, 2));
      host.grace.free(old);
    } else if (old !== 0 && shared === bits) {
      u32[word(node, bitAt(old + PREFIX, bits))] = old;
    } else if (old !== 0) {
      const fork = make(keyAt + 4, shared);
      if (fork === 0) {
        core.heap.free(node);
        return -ENOMEM;
      }
      const side = bitAt(keyAt + 4, shared);
      u32[word(fork, side)] = node;
      u32[word(fork, 1 - side)] = old;
      u32[at >>> 2] = fork;
      count++;
      return 0;
    }
    u32[at >>> 2] = node;
    if (!exists) count++;
    return 0;
  };

  const remove = (keyAt: number): number => {
    const bits = dv.getUint32(keyAt, true);
    if (bits > maxBits) return -EINVAL;
    const { at, parent, grandparent, shared } = walk(keyAt, bits);
    const node = u32[at >>> 2];
    if (node === 0 || u32[word(node, BITS)] !== bits || shared !== bits || u32[word(node, HAS_VALUE)] === 0)
      return -ENOENT;
    count--;
    const [left, right] = [u32[word(node, 0)], u32[word(node, 1)]];
    if (left !== 0 && right !== 0) {
      // Two prefixes part here; a program may still look at the value, so it stays where it is.
      u32[word(node, HAS_VALUE)] = 0;
      return 0;
    }
    u32[at >>> 2] = left || right;
    host.grace.free(node);
    // A fork with one branch left is not needed.
    if (u32[at >>> 2] === 0 && parent !== 0 && u32[word(parent, HAS_VALUE)] === 0) {
      const other = u32[word(parent, 0)] || u32[word(parent, 1)];
      const above = grandparent === 0 ? rootAt : grandparent + (u32[word(grandparent, 1)] === parent ? 4 : 0);
      u32[above >>> 2] = other;
      host.grace.free(parent);
    }
    return 0;
  };

  /** Nodes with values, longer prefixes before the shorter ones that contain them: the order of get_next_key. */
  function* inOrder(node: number = u32[rootAt >>> 2]): Generator<number> {
    const stack: { node: number; done: boolean }[] = node === 0 ? [] : [{ node, done: false }];
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      if (top.done) {
        if (u32[word(top.node, HAS_VALUE)] !== 0) yield top.node;
        continue;
      }
      stack.push({ node: top.node, done: true });
      for (const child of [u32[word(top.node, 1)], u32[word(top.node, 0)]])
        if (child !== 0) stack.push({ node: child, done: false });
    }
  }

  const keyOf = (node: number): Uint8Array => {
    const key = new Uint8Array(spec.keySize);
    new DataView(key.buffer).setUint32(0, u32[word(node, BITS)], true);
    key.set(u8.subarray(node + PREFIX, node + PREFIX + dataSize), 4);
    return key;
  };

  /** The node after `node` in that order, from the way to it. */
  const following = (keyAt: number): number => {
    const bits = dv.getUint32(keyAt, true);
    const path: number[] = [];
    let at = rootAt;
    for (let node = u32[at >>> 2]; node !== 0; node = u32[at >>> 2]) {
      const own = u32[word(node, BITS)];
      if (own > bits || common(node + PREFIX, keyAt + 4, own) < own) return -1;
      path.push(node);
      if (own === bits) break;
      at = node + bitAt(keyAt + 4, own) * 4;
    }
    const end = path.at(-1);
    if (end === undefined || u32[word(end, BITS)] !== bits || u32[word(end, HAS_VALUE)] === 0) return -1;
    for (let i = path.length - 1; i > 0; i--) {
      const parent = path[i - 1];
      const other = u32[word(parent, 1)];
      if (u32[word(parent, 0)] === path[i] && other !== 0) return firstBelow(other);
      if (u32[word(parent, HAS_VALUE)] !== 0) return parent;
    }
    return 0;
  };

  const firstBelow = (node: number): number => inOrder(node).next().value ?? 0;

  return {
    ...refusing,
    lookup: (keyAt) => {
      const node = match(keyAt);
      return node === 0 ? 0 : node + valueOffset;
    },
    update,
    delete: remove,
    userLookup: (key) => {
      const node = match(core.key(key));
      return node === 0 ? -ENOENT : core.readValue(node + valueOffset);
    },
    userUpdate: (key, bytes, flags) => core.withBytes(bytes, (valueAt) => update(core.key(key), valueAt, flags)),
    userDelete: (key) => remove(core.key(key)),
    userNextKey: (key) => {
      const root = u32[rootAt >>> 2];
      if (root === 0) return -ENOENT;
      let node = -1;
      if (key !== undefined && new DataView(key.buffer, key.byteOffset).getUint32(0, true) <= maxBits)
        node = following(core.key(key));
      if (node < 0) node = firstBelow(root);
      return node === 0 ? -ENOENT : keyOf(node);
    },
    userValueSize: spec.valueSize,
    dispose: () => {
      for (const node of [...allNodes()]) core.heap.free(node);
    },
  };

  function* allNodes(): Generator<number> {
    const stack = [u32[rootAt >>> 2]];
    for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
      if (node === 0) continue;
      yield node;
      stack.push(u32[word(node, 0)], u32[word(node, 1)]);
    }
  }
}
