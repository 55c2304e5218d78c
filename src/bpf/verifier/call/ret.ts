/** What a helper's return value is. */
import { EINVAL } from '../../../core/errno.ts';
import {
  BPF_MAP_TYPE_ARRAY,
  BPF_MAP_TYPE_PERCPU_ARRAY,
  BPF_MAP_TYPE_SOCKHASH,
  BPF_MAP_TYPE_SOCKMAP,
} from '../../../wire/uapi/bpf.ts';
import type { Verifier } from '../env.ts';
import type { RetKind } from '../helper-table.ts';
import { acquireRef } from '../refs.ts';
import {
  MEM_RINGBUF,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_TCP_SOCK,
  PTR_TRUSTED,
  type Reg,
} from '../reg.ts';
import { lowS32, updateBounds } from '../scalar.ts';
import { setPointer, setUninit, setUnknown } from '../values.ts';
import type { CallMeta } from './meta.ts';

const MAP_LOOKUP_ELEM = 1;
const GET_SMP_PROCESSOR_ID = 8;
const RINGBUF_RESERVE = 131;
const DYNPTR_DATA = 203;
/** sk_lookup_tcp, sk_lookup_udp, skc_lookup_tcp, ringbuf_reserve, kptr_xchg. */
const ACQUIRING: ReadonlySet<number> = new Set([84, 85, 99, RINGBUF_RESERVE, 194]);
/** tcp_sock, sk_fullsock and the skc_to_* family: another view of the same object. */
const CASTING: ReadonlySet<number> = new Set([95, 96, 136, 137, 138, 139, 140, 178, 196]);
/** get_stack, get_task_stack, probe_read_str and its kin: a length of at most the size given, or an error. */
const SIZED: ReadonlySet<number> = new Set([67, 141, 45, 114, 115]);
const MAX_ERRNO = 4095;

const POINTERS: Readonly<Partial<Record<RetKind, number>>> = {
  map_value: PTR_TO_MAP_VALUE,
  socket: PTR_TO_SOCKET,
  tcp_sock: PTR_TO_TCP_SOCK,
  sock_common: PTR_TO_SOCK_COMMON,
  mem: PTR_TO_MEM,
  btf: PTR_TO_BTF_ID,
};

/** A lookup in an array with a key that is known to be inside always finds its element. */
function alwaysFound(id: number, meta: CallMeta): boolean {
  const { map } = meta;
  if (id !== MAP_LOOKUP_ELEM || map === undefined) return false;
  if (map.type !== BPF_MAP_TYPE_ARRAY && map.type !== BPF_MAP_TYPE_PERCPU_ARRAY) return false;
  return meta.constKey >= 0n && meta.constKey < BigInt(map.maxEntries);
}

function acquires(id: number, meta: CallMeta): boolean {
  if (ACQUIRING.has(id)) return true;
  return (
    id === MAP_LOOKUP_ELEM && (meta.map?.type === BPF_MAP_TYPE_SOCKMAP || meta.map?.type === BPF_MAP_TYPE_SOCKHASH)
  );
}

/** Gives R0 the helper's return type. */
export function setReturn(v: Verifier, meta: CallMeta): void {
  const { id, ret } = meta.proto!;
  const r0 = v.regs[0];
  v.scratchReg(0);
  if (ret.kind === 'int') {
    setUnknown(v, r0);
    refine(v, r0, id, meta);
  } else if (ret.kind === 'void') {
    setUninit(r0);
  } else {
    pointer(v, r0, meta);
  }
  if (mayBeNull(r0.type)) r0.id = v.newId();
  if (id === DYNPTR_DATA) r0.dynptrId = meta.dynptrId;
  if (CASTING.has(id) || id === DYNPTR_DATA) {
    r0.refId = meta.refId;
  } else if (acquires(id, meta)) {
    r0.id = acquireRef(v, v.insn);
    r0.refId = r0.id;
  }
}

function pointer(v: Verifier, r0: Reg, meta: CallMeta): void {
  const { id, ret } = meta.proto!;
  const base = POINTERS[ret.kind];
  if (base === undefined) return v.reject(EINVAL, `netloom does not support per-CPU kernel variables (${meta.name})`);
  const nullable = ret.nullable === true && !alwaysFound(id, meta);
  let type = base | (nullable ? PTR_MAYBE_NULL : 0);
  if (id === RINGBUF_RESERVE) type |= MEM_RINGBUF;
  if (ret.trusted === true) type |= PTR_TRUSTED;
  setPointer(r0, type);
  if (ret.kind === 'mem') r0.memSize = meta.memSize;
  if (ret.kind === 'btf') r0.btfName = ret.btf ?? '';
  if (ret.kind !== 'map_value') return;
  if (meta.map === undefined) return v.reject(EINVAL, 'kernel subsystem misconfigured verifier');
  r0.map = meta.map;
  r0.mapUid = meta.mapUid;
  // Locks of different lookups are different locks.
  if (!nullable && meta.map.record?.spinLock !== undefined) r0.id = v.newId();
}

function refine(v: Verifier, r0: Reg, id: number, meta: CallMeta): void {
  if (SIZED.has(id) && meta.maxSize !== undefined) {
    r0.smax = BigInt.asIntN(64, meta.maxSize);
    r0.s32max = lowS32(meta.maxSize);
    r0.smin = BigInt(-MAX_ERRNO);
    r0.s32min = -MAX_ERRNO;
    updateBounds(r0);
  } else if (id === GET_SMP_PROCESSOR_ID) {
    const last = v.cpus - 1;
    r0.umin = 0n;
    r0.u32min = 0;
    r0.smin = 0n;
    r0.s32min = 0;
    r0.umax = BigInt(last);
    r0.u32max = last;
    r0.smax = BigInt(last);
    r0.s32max = last;
    updateBounds(r0);
  }
}
