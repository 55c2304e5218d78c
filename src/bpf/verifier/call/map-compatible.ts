/** Which helpers go with which map types. A restricted map type takes only its helpers, and some helpers only their map types. */
import { EINVAL } from '../../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARRAY_OF_MAPS,
  BPF_MAP_TYPE_BLOOM_FILTER,
  BPF_MAP_TYPE_CGROUP_ARRAY,
  BPF_MAP_TYPE_CGROUP_STORAGE,
  BPF_MAP_TYPE_CGRP_STORAGE,
  BPF_MAP_TYPE_CPUMAP,
  BPF_MAP_TYPE_DEVMAP,
  BPF_MAP_TYPE_DEVMAP_HASH,
  BPF_MAP_TYPE_HASH_OF_MAPS,
  BPF_MAP_TYPE_INODE_STORAGE,
  BPF_MAP_TYPE_LRU_PERCPU_HASH,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE,
  BPF_MAP_TYPE_PERCPU_HASH,
  BPF_MAP_TYPE_PERF_EVENT_ARRAY,
  BPF_MAP_TYPE_PROG_ARRAY,
  BPF_MAP_TYPE_QUEUE,
  BPF_MAP_TYPE_REUSEPORT_SOCKARRAY,
  BPF_MAP_TYPE_RINGBUF,
  BPF_MAP_TYPE_SK_STORAGE,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_SOCKMAP,
  BPF_MAP_TYPE_STACK,
  BPF_MAP_TYPE_STACK_TRACE,
  BPF_MAP_TYPE_TASK_STORAGE,
  BPF_MAP_TYPE_USER_RINGBUF,
  BPF_MAP_TYPE_XSKMAP,
  BPF_PROG_TYPE_FLOW_DISSECTOR,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_LOOKUP,
  BPF_PROG_TYPE_SK_REUSEPORT,
  BPF_PROG_TYPE_SOCK_OPS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_XDP,
  BPF_TRACE_ITER,
  HELPER_NAMES,
} from '../../../wire/uapi/bpf.ts';
import type { MapInfo } from '../../program.ts';
import type { Verifier } from '../env.ts';

const ids = (names: string): ReadonlySet<number> => new Set(names.split(' ').map((n) => HELPER_NAMES.indexOf(n)));
const LOCAL_STORAGE: readonly (readonly [number, string])[] = [
  [BPF_MAP_TYPE_SK_STORAGE, 'sk'],
  [BPF_MAP_TYPE_INODE_STORAGE, 'inode'],
  [BPF_MAP_TYPE_TASK_STORAGE, 'task'],
  [BPF_MAP_TYPE_CGRP_STORAGE, 'cgrp'],
];
const CGROUP_STORAGE = [BPF_MAP_TYPE_CGROUP_STORAGE, BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE];
const EVENTS = 'perf_event_read perf_event_output skb_output perf_event_read_value xdp_output';
const RINGBUF =
  'ringbuf_output ringbuf_reserve ringbuf_query ringbuf_reserve_dynptr ringbuf_submit_dynptr ringbuf_discard_dynptr';

/** Map types that only these helpers take. */
const HELPERS_OF: ReadonlyMap<number, ReadonlySet<number>> = new Map([
  [BPF_MAP_TYPE_PROG_ARRAY, ids('tail_call')],
  [BPF_MAP_TYPE_PERF_EVENT_ARRAY, ids(EVENTS)],
  [BPF_MAP_TYPE_RINGBUF, ids(RINGBUF)],
  [BPF_MAP_TYPE_USER_RINGBUF, ids('user_ringbuf_drain')],
  [BPF_MAP_TYPE_STACK_TRACE, ids('get_stackid')],
  [BPF_MAP_TYPE_CGROUP_ARRAY, ids('skb_under_cgroup current_task_under_cgroup')],
  ...CGROUP_STORAGE.map((type) => [type, ids('get_local_storage')] as const),
  [BPF_MAP_TYPE_DEVMAP, ids('redirect_map map_lookup_elem')],
  [BPF_MAP_TYPE_DEVMAP_HASH, ids('redirect_map map_lookup_elem')],
  [BPF_MAP_TYPE_CPUMAP, ids('redirect_map')],
  [BPF_MAP_TYPE_XSKMAP, ids('redirect_map map_lookup_elem')],
  [BPF_MAP_TYPE_ARRAY_OF_MAPS, ids('map_lookup_elem')],
  [BPF_MAP_TYPE_HASH_OF_MAPS, ids('map_lookup_elem')],
  [
    BPF_MAP_TYPE_SOCKMAP,
    ids('sk_redirect_map sock_map_update map_delete_elem msg_redirect_map sk_select_reuseport map_lookup_elem'),
  ],
  [
    BPF_MAP_TYPE_SOCKHASH,
    ids('sk_redirect_hash sock_hash_update map_delete_elem msg_redirect_hash sk_select_reuseport map_lookup_elem'),
  ],
  [BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, ids('sk_select_reuseport')],
  [BPF_MAP_TYPE_QUEUE, ids('map_peek_elem map_pop_elem map_push_elem')],
  [BPF_MAP_TYPE_STACK, ids('map_peek_elem map_pop_elem map_push_elem')],
  [BPF_MAP_TYPE_BLOOM_FILTER, ids('map_peek_elem map_push_elem')],
  ...LOCAL_STORAGE.map(([type, who]) => [type, ids(`${who}_storage_get ${who}_storage_delete kptr_xchg`)] as const),
]);

/** Helpers that take only these map types. */
const MAPS_OF: ReadonlyMap<number, readonly number[]> = new Map(
  (
    [
      ['tail_call', [BPF_MAP_TYPE_PROG_ARRAY]],
      [EVENTS, [BPF_MAP_TYPE_PERF_EVENT_ARRAY]],
      [RINGBUF, [BPF_MAP_TYPE_RINGBUF]],
      ['user_ringbuf_drain', [BPF_MAP_TYPE_USER_RINGBUF]],
      ['get_stackid', [BPF_MAP_TYPE_STACK_TRACE]],
      ['current_task_under_cgroup skb_under_cgroup', [BPF_MAP_TYPE_CGROUP_ARRAY]],
      ['redirect_map', [BPF_MAP_TYPE_DEVMAP, BPF_MAP_TYPE_DEVMAP_HASH, BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP]],
      ['sk_redirect_map msg_redirect_map sock_map_update', [BPF_MAP_TYPE_SOCKMAP]],
      ['sk_redirect_hash msg_redirect_hash sock_hash_update', [BPF_MAP_TYPE_SOCKHASH]],
      ['get_local_storage', CGROUP_STORAGE],
      ['sk_select_reuseport', [BPF_MAP_TYPE_REUSEPORT_SOCKARRAY, BPF_MAP_TYPE_SOCKMAP, BPF_MAP_TYPE_SOCKHASH]],
      ['map_pop_elem', [BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK]],
      ['map_peek_elem map_push_elem', [BPF_MAP_TYPE_QUEUE, BPF_MAP_TYPE_STACK, BPF_MAP_TYPE_BLOOM_FILTER]],
      ['map_lookup_percpu_elem', [BPF_MAP_TYPE_PERCPU_ARRAY, BPF_MAP_TYPE_PERCPU_HASH, BPF_MAP_TYPE_LRU_PERCPU_HASH]],
      ...LOCAL_STORAGE.map(([type, who]) => [`${who}_storage_get ${who}_storage_delete`, [type]] as const),
    ] as const
  ).flatMap(([names, types]) => [...ids(names)].map((id) => [id, types] as const)),
);

const MAP_UPDATE_ELEM = 2;
const MAP_DELETE_ELEM = 3;

/** Sockets may be put into and taken from a map from here. */
function mayUpdateSockmap(v: Verifier, helper: number): boolean {
  if (helper !== MAP_UPDATE_ELEM && helper !== MAP_DELETE_ELEM) return false;
  switch (v.spec.type) {
    case BPF_PROG_TYPE_TRACING:
      if (v.spec.expectedAttachType === BPF_TRACE_ITER) return true;
      break;
    case BPF_PROG_TYPE_SOCK_OPS:
      if (helper === MAP_DELETE_ELEM) return true;
      break;
    case BPF_PROG_TYPE_SOCKET_FILTER:
    case BPF_PROG_TYPE_SCHED_CLS:
    case BPF_PROG_TYPE_SCHED_ACT:
    case BPF_PROG_TYPE_XDP:
    case BPF_PROG_TYPE_SK_REUSEPORT:
    case BPF_PROG_TYPE_FLOW_DISSECTOR:
    case BPF_PROG_TYPE_SK_LOOKUP:
      return true;
  }
  v.note('cannot update sockmap in this context');
  return false;
}

/** The helper can work on this map. */
export function checkMapHelper(v: Verifier, map: MapInfo, helper: number): void {
  const helpers = HELPERS_OF.get(map.type);
  const sockets = map.type === BPF_MAP_TYPE_SOCKMAP || map.type === BPF_MAP_TYPE_SOCKHASH;
  const mapTakes = helpers === undefined || helpers.has(helper) || (sockets && mayUpdateSockmap(v, helper));
  const types = MAPS_OF.get(helper);
  if (mapTakes && (types === undefined || types.includes(map.type))) return;
  v.reject(EINVAL, `cannot pass map_type ${map.type} into func bpf_${HELPER_NAMES[helper]}#${helper}`);
}
