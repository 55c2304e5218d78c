/**
 * Which maps the kernel makes (bpf(2) BPF_MAP_CREATE, Documentation/bpf/map_*.rst): sizes, flags and privileges of each type,
 * in the kernel's order of checks, as of Linux 6.18.
 */
import { E2BIG, EINVAL, EPERM } from '../../core/errno.ts';
import * as b from '../../wire/uapi/bpf.ts';
import type { MapSpec } from '../program.ts';
import { round8 } from './layout.ts';

/** "Operation is not supported" between parts of the kernel; user space sees it as 524. */
export const ENOTSUPP = 524;

/** Who asks: all capabilities, CAP_BPF and CAP_NET_ADMIN, or none (with `unprivileged_bpf_disabled` 0). */
export type CreateMode = 'root' | 'netadmin' | 'unpriv';

const NUMA: number = b.BPF_F_NUMA_NODE;
const USER_ACCESS: number = b.BPF_F_RDONLY | b.BPF_F_WRONLY;
const PROGRAM_ACCESS: number = b.BPF_F_RDONLY_PROG | b.BPF_F_WRONLY_PROG;
const ACCESS: number = USER_ACCESS | PROGRAM_ACCESS;
const ARENA_SEGV_ON_FAULT: number = 1 << 17;
const ARENA_NO_USER_CONV: number = 1 << 18;

const KMALLOC_MAX: number = 1 << 22;
const PAGE = 4096;
/** Largest value a CPU of a per-CPU map. */
const PERCPU_MAX = 32_768;
/** What the kernel keeps beside the key and value of a hash table element, and of a trie node. */
const HASH_ELEMENT = 48;
const TRIE_NODE = 24;
const TRIE_KEY_MAX = 256;
/** BPF_LOCAL_STORAGE_MAX_VALUE_SIZE: what fits beside the bookkeeping in 64 KiB. */
const LOCAL_STORAGE_MAX = 65_407;
const MAX_STACK = 512;
/** CONFIG_NR_CPUS of the kernel this follows. */
const NR_CPUS = 256;
/** kernel.perf_event_max_stack */
const STACK_DEPTH = 127;
const BUILD_ID = 32;

type Answer = number | undefined;

/** What makes a type refuse a shape: 0 accepts. `cap`: the privilege it asks for; `first`: shape before privilege. */
type Rule = { readonly check: (spec: MapSpec) => number; readonly cap?: 'bpf' | 'net'; readonly first: boolean };

/** EINVAL unless everything holds. */
const need = (...conditions: readonly boolean[]): number => (conditions.every((c) => c) ? 0 : EINVAL);
/** Only these flags, and not both of read-only and write-only for programs. */
const only = (s: MapSpec, flags: number): boolean =>
  (s.flags & ~flags) === 0 && (s.flags & PROGRAM_ACCESS) !== PROGRAM_ACCESS;
const tooBig = (condition: boolean): number => (condition ? E2BIG : 0);
const isPowerOfTwo = (n: number): boolean => n !== 0 && Number.isInteger(Math.log2(n));

function array(s: MapSpec): number {
  const percpu = s.type === b.BPF_MAP_TYPE_PERCPU_ARRAY;
  let flags = NUMA | ACCESS;
  if (s.type === b.BPF_MAP_TYPE_ARRAY) flags |= b.BPF_F_MMAPABLE | b.BPF_F_INNER_MAP;
  if (s.type === b.BPF_MAP_TYPE_PERF_EVENT_ARRAY) flags |= b.BPF_F_PRESERVE_ELEMS;
  if (percpu) flags &= ~NUMA;
  return (
    need(s.maxEntries > 0, s.keySize === 4, s.valueSize > 0, only(s, flags)) ||
    tooBig(s.valueSize > 0x7fff_ffff || (percpu && s.valueSize > PERCPU_MAX))
  );
}

function fdArray(s: MapSpec): number {
  return need(s.valueSize === 4, (s.flags & PROGRAM_ACCESS) === 0) || array(s);
}

function hash(s: MapSpec): number {
  const percpu = s.type === b.BPF_MAP_TYPE_PERCPU_HASH || s.type === b.BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const lru = s.type === b.BPF_MAP_TYPE_LRU_HASH || s.type === b.BPF_MAP_TYPE_LRU_PERCPU_HASH;
  const own = (s.flags & b.BPF_F_NO_COMMON_LRU) !== 0;
  const flags = b.BPF_F_NO_PREALLOC | b.BPF_F_NO_COMMON_LRU | NUMA | ACCESS | b.BPF_F_ZERO_SEED;
  if (!only(s, flags) || (!lru && own)) return EINVAL;
  if (lru && (s.flags & b.BPF_F_NO_PREALLOC) !== 0) return ENOTSUPP;
  return (
    need(!((s.flags & NUMA) !== 0 && (percpu || own)), s.maxEntries > 0, s.keySize > 0, s.valueSize > 0) ||
    tooBig(s.keySize + s.valueSize >= KMALLOC_MAX - HASH_ELEMENT) ||
    tooBig(percpu && round8(s.valueSize) > PERCPU_MAX) ||
    tooBig(s.maxEntries > 2 ** 31)
  );
}

/** Arrays and hashes of maps: also the map that shows the shape (maps of maps are one level deep). */
function ofMaps(s: MapSpec): number {
  const own = s.type === b.BPF_MAP_TYPE_ARRAY_OF_MAPS ? fdArray(s) : need(s.valueSize === 4) || hash(s);
  if (own !== 0) return own;
  const inner = s.inner;
  if (inner === undefined || inner.inner !== undefined) return EINVAL;
  if (inner.type === b.BPF_MAP_TYPE_ARRAY_OF_MAPS || inner.type === b.BPF_MAP_TYPE_HASH_OF_MAPS) return EINVAL;
  return NOT_INSIDE.has(inner.type) ? ENOTSUPP : 0;
}
const NOT_INSIDE: ReadonlySet<number> = new Set([
  b.BPF_MAP_TYPE_PROG_ARRAY,
  b.BPF_MAP_TYPE_CGROUP_STORAGE,
  b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  b.BPF_MAP_TYPE_STRUCT_OPS,
]);

function trie(s: MapSpec): number {
  return need(
    s.maxEntries > 0,
    (s.flags & b.BPF_F_NO_PREALLOC) !== 0,
    only(s, b.BPF_F_NO_PREALLOC | NUMA | ACCESS),
    s.keySize > 4 && s.keySize <= 4 + TRIE_KEY_MAX,
    s.valueSize > 0 && s.valueSize <= KMALLOC_MAX - TRIE_KEY_MAX - TRIE_NODE,
  );
}

/** devmap, sockmap and xskmap: slots by number with a value of one of the sizes. */
const slots =
  (...sizes: readonly number[]): ((s: MapSpec) => number) =>
  (s) =>
    need(s.maxEntries > 0, s.keySize === 4, sizes.includes(s.valueSize), only(s, NUMA | USER_ACCESS));

function cpumap(s: MapSpec): number {
  return (
    need(s.maxEntries > 0, s.keySize === 4, s.valueSize === 4 || s.valueSize === 8, only(s, NUMA)) ||
    tooBig(s.maxEntries > NR_CPUS)
  );
}

function sockhash(s: MapSpec): number {
  return (
    need(s.maxEntries > 0, s.keySize > 0, s.valueSize === 4 || s.valueSize === 8, only(s, NUMA | USER_ACCESS)) ||
    tooBig(s.keySize > MAX_STACK) ||
    need(s.maxEntries <= 2 ** 31)
  );
}

function cgroupStorage(s: MapSpec): number {
  const percpu = s.type === b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE;
  return (
    need(s.keySize === 8 || s.keySize === 16, s.valueSize > 0) ||
    tooBig(s.valueSize > (percpu ? PERCPU_MAX : LOCAL_STORAGE_MAX)) ||
    need(only(s, NUMA | ACCESS), s.maxEntries === 0)
  );
}

function localStorage(s: MapSpec): number {
  return (
    need(
      (s.flags & b.BPF_F_NO_PREALLOC) !== 0,
      (s.flags & ~(b.BPF_F_NO_PREALLOC | b.BPF_F_CLONE)) === 0,
      s.maxEntries === 0,
      s.keySize === 4,
      s.valueSize > 0,
      (s.btfValueType ?? 0) !== 0 || s.record !== undefined,
    ) || tooBig(s.valueSize > LOCAL_STORAGE_MAX)
  );
}

function queue(s: MapSpec): number {
  return (
    need(s.maxEntries > 0, s.keySize === 0, s.valueSize > 0, only(s, NUMA | ACCESS)) ||
    tooBig(s.valueSize > KMALLOC_MAX)
  );
}

function bloom(s: MapSpec): number {
  return (
    tooBig(s.valueSize > KMALLOC_MAX) ||
    need(
      s.keySize === 0,
      s.valueSize > 0,
      s.maxEntries > 0,
      only(s, NUMA | b.BPF_F_ZERO_SEED | ACCESS),
      (s.mapExtra ?? 0n) <= 15n,
    )
  );
}

function ring(s: MapSpec): number {
  return need(
    only(s, NUMA),
    s.keySize === 0,
    s.valueSize === 0,
    isPowerOfTwo(s.maxEntries) && s.maxEntries % PAGE === 0,
  );
}

function stackTrace(s: MapSpec): number {
  const unit = (s.flags & b.BPF_F_STACK_BUILD_ID) !== 0 ? BUILD_ID : 8;
  return (
    need(
      only(s, NUMA | USER_ACCESS | b.BPF_F_STACK_BUILD_ID),
      s.maxEntries > 0,
      s.keySize === 4,
      s.valueSize >= 8 && s.valueSize % unit === 0,
      s.valueSize / unit <= STACK_DEPTH,
    ) || tooBig(s.maxEntries > 2 ** 31)
  );
}

function arena(s: MapSpec): number {
  return (
    need(
      s.keySize === 0,
      s.valueSize === 0,
      s.maxEntries > 0,
      (s.flags & b.BPF_F_MMAPABLE) !== 0,
      only(s, b.BPF_F_MMAPABLE | ARENA_SEGV_ON_FAULT | ARENA_NO_USER_CONV),
      (s.mapExtra ?? 0n) % BigInt(PAGE) === 0n,
    ) || tooBig(s.maxEntries > 2 ** 32 / PAGE)
  );
}

const reuseport = (s: MapSpec): number => need(s.valueSize === 4 || s.valueSize === 8) || array(s);
const devmapHash = (s: MapSpec): number => slots(4, 8)(s) || need(s.maxEntries <= 2 ** 31);

const RULES: ReadonlyMap<number, Rule> = new Map<number, Rule>([
  [b.BPF_MAP_TYPE_HASH, { check: hash, first: true }],
  [b.BPF_MAP_TYPE_ARRAY, { check: array, first: true }],
  [b.BPF_MAP_TYPE_PROG_ARRAY, { check: fdArray, first: true }],
  [b.BPF_MAP_TYPE_PERF_EVENT_ARRAY, { check: fdArray, first: true }],
  [b.BPF_MAP_TYPE_PERCPU_HASH, { check: hash, first: true }],
  [b.BPF_MAP_TYPE_PERCPU_ARRAY, { check: array, first: true }],
  [b.BPF_MAP_TYPE_STACK_TRACE, { check: stackTrace, cap: 'bpf', first: false }],
  [b.BPF_MAP_TYPE_CGROUP_ARRAY, { check: fdArray, first: true }],
  [b.BPF_MAP_TYPE_LRU_HASH, { check: hash, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_LRU_PERCPU_HASH, { check: hash, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_LPM_TRIE, { check: trie, cap: 'bpf', first: false }],
  [b.BPF_MAP_TYPE_ARRAY_OF_MAPS, { check: ofMaps, first: true }],
  [b.BPF_MAP_TYPE_HASH_OF_MAPS, { check: ofMaps, first: true }],
  [b.BPF_MAP_TYPE_DEVMAP, { check: slots(4, 8), cap: 'net', first: false }],
  [b.BPF_MAP_TYPE_SOCKMAP, { check: slots(4, 8), cap: 'net', first: false }],
  [b.BPF_MAP_TYPE_CPUMAP, { check: cpumap, cap: 'bpf', first: false }],
  [b.BPF_MAP_TYPE_XSKMAP, { check: slots(4), cap: 'net', first: false }],
  [b.BPF_MAP_TYPE_SOCKHASH, { check: sockhash, cap: 'net', first: false }],
  [b.BPF_MAP_TYPE_CGROUP_STORAGE, { check: cgroupStorage, first: false }],
  [b.BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, { check: reuseport, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, { check: cgroupStorage, first: false }],
  [b.BPF_MAP_TYPE_QUEUE, { check: queue, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_STACK, { check: queue, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_SK_STORAGE, { check: localStorage, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_DEVMAP_HASH, { check: devmapHash, cap: 'net', first: false }],
  // struct_ops maps are shaped by the kernel's own BTF, which netloom has no part of.
  [b.BPF_MAP_TYPE_STRUCT_OPS, { check: () => EINVAL, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_RINGBUF, { check: ring, first: false }],
  [b.BPF_MAP_TYPE_INODE_STORAGE, { check: localStorage, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_TASK_STORAGE, { check: localStorage, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_BLOOM_FILTER, { check: bloom, cap: 'bpf', first: false }],
  [b.BPF_MAP_TYPE_USER_RINGBUF, { check: ring, first: false }],
  [b.BPF_MAP_TYPE_CGRP_STORAGE, { check: localStorage, cap: 'bpf', first: true }],
  [b.BPF_MAP_TYPE_ARENA, { check: arena, cap: 'bpf', first: false }],
]);

/** Flags of the file descriptor, the type, and what a type wants first of all; undefined: go on. */
function refusedAtOnce(spec: MapSpec, mode: CreateMode): Answer {
  const extra = spec.mapExtra ?? 0n;
  if (extra !== 0n && spec.type !== b.BPF_MAP_TYPE_BLOOM_FILTER && spec.type !== b.BPF_MAP_TYPE_ARENA) return EINVAL;
  if ((spec.flags & USER_ACCESS) === USER_ACCESS) return EINVAL;
  const rule = RULES.get(spec.type);
  if (rule === undefined) return EINVAL;
  const seeded = rule.check === hash || spec.type === b.BPF_MAP_TYPE_HASH_OF_MAPS;
  if (seeded && (spec.flags & b.BPF_F_ZERO_SEED) !== 0 && mode !== 'root') return EPERM;
  return undefined;
}

/** 0 when the kernel would make this map for such a user, else the errno. */
export function checkMapCreate(spec: MapSpec, mode: CreateMode): number {
  const atOnce = refusedAtOnce(spec, mode);
  if (atOnce !== undefined) return atOnce;
  const rule = RULES.get(spec.type)!;
  const refused = mode === 'unpriv' && rule.cap !== undefined ? EPERM : 0;
  const shape = rule.check(spec);
  if (rule.first) return shape || refused;
  return refused || shape;
}
