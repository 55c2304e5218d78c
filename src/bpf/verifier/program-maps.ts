/** Which maps a program of a type may name at all: fields with a life of their own, cgroup storage, sleeping programs. */
import { EBUSY, EINVAL } from '../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_CGROUP_STORAGE,
  BPF_MAP_TYPE_CGRP_STORAGE,
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_INODE_STORAGE,
  BPF_MAP_TYPE_LPM_TRIE,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_SK_STORAGE,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_STRUCT_OPS,
  BPF_MAP_TYPE_TASK_STORAGE,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_TRACEPOINT,
} from '../../wire/uapi/bpf.ts';
import {
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
  BPF_PSEUDO_MAP_VALUE,
  isLdImm64,
} from '../insn.ts';
import type { MapInfo } from '../program.ts';
import type { Verifier } from './env.ts';

const NAMES_MAP: ReadonlySet<number> = new Set([
  BPF_PSEUDO_MAP_FD,
  BPF_PSEUDO_MAP_VALUE,
  BPF_PSEUDO_MAP_IDX,
  BPF_PSEUDO_MAP_IDX_VALUE,
]);
/** Programs that may run anywhere in the kernel, even where a lock is held. */
const TRACING: ReadonlySet<number> = new Set([
  BPF_PROG_TYPE_KPROBE,
  BPF_PROG_TYPE_TRACEPOINT,
  BPF_PROG_TYPE_PERF_EVENT,
  BPF_PROG_TYPE_RAW_TRACEPOINT,
  BPF_PROG_TYPE_RAW_TRACEPOINT_WRITABLE,
]);
const SLEEPABLE: ReadonlySet<number> = new Set([
  BPF_MAP_TYPE_HASH,
  BPF_MAP_TYPE_LRU_HASH,
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_TYPE_INODE_STORAGE,
  BPF_MAP_TYPE_SK_STORAGE,
  BPF_MAP_TYPE_TASK_STORAGE,
  BPF_MAP_TYPE_CGRP_STORAGE,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_ARENA,
  BPF_MAP_TYPE_LPM_TRIE,
]);
const BPF_F_SLEEPABLE = 16;

/** Checks every map that an instruction names. */
export function checkProgramMaps(v: Verifier): void {
  const seen = new Set<MapInfo>();
  const storage = new Set<number>();
  v.insns.forEach((insn) => {
    if (!isLdImm64(insn) || !NAMES_MAP.has(insn.src)) return;
    const map = v.maps[insn.imm];
    if (map === undefined || seen.has(map)) return;
    seen.add(map);
    checkMap(v, map);
    if (map.type !== BPF_MAP_TYPE_CGROUP_STORAGE && map.type !== BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE) return;
    if (storage.has(map.type)) v.reject(EBUSY, 'only one cgroup storage of each type is allowed');
    storage.add(map.type);
  });
}

function checkMap(v: Verifier, map: MapInfo): void {
  const { type, flags } = v.spec;
  const { record } = map;
  const tracing = TRACING.has(type);
  if (record?.spinLock !== undefined) {
    if (type === BPF_PROG_TYPE_SOCKET_FILTER) v.reject(EINVAL, 'socket filter progs cannot use bpf_spin_lock yet');
    if (tracing) v.reject(EINVAL, 'tracing progs cannot use bpf_spin_lock yet');
  }
  if (record?.timer !== undefined && tracing) v.reject(EINVAL, 'tracing progs cannot use bpf_timer yet');
  if (record?.workqueue !== undefined && tracing) v.reject(EINVAL, 'tracing progs cannot use bpf_wq yet');
  if (map.type === BPF_MAP_TYPE_STRUCT_OPS) v.reject(EINVAL, 'bpf_struct_ops map cannot be used in prog');
  if ((flags & BPF_F_SLEEPABLE) !== 0 && !SLEEPABLE.has(map.type))
    v.reject(EINVAL, 'Sleepable programs can only use array, hash, ringbuf and local storage maps');
}
