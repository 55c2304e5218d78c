/**
 * Kernel functions that programs call by name (Documentation/bpf/kfuncs.rst): dynptrs over packets, the number iterator,
 * XDP metadata, regions without preemption. Calling convention as for helpers.
 */
import { E2BIG, EINVAL, EOPNOTSUPP, ERANGE } from '../../core/errno.ts';
import type { HelperImpl, KfuncTable } from './helper.ts';
import {
  DYNPTR_RDONLY,
  DYNPTR_SKB,
  DYNPTR_SKB_META,
  DYNPTR_XDP,
  dynptrAt,
  initDynptr,
  nullDynptr,
  readDynptr,
  skbWritable,
} from './helpers/dynptr.ts';
import { conntrackKfuncs } from './kfuncs-ct.ts';
import { nftKfuncs } from './kfuncs-nft.ts';
import { stringKfuncs } from './kfuncs-string.ts';
import type { Run } from './run.ts';

const MAX_LOOPS = 8 * 1024 * 1024;

function fromPacket(kind: number) {
  return (run: Run, _ctx: number, flags: number, dynptr: number): number => {
    const at = dynptr >>> 0;
    if (flags !== 0) {
      nullDynptr(run, at);
      return -EINVAL;
    }
    const readonly = kind === DYNPTR_SKB && !skbWritable(run.progType);
    const size = kind === DYNPTR_SKB_META ? run.slab.head(run.packet) - run.meta : run.slab.len(run.packet);
    initDynptr(run, at, (kind | (readonly ? DYNPTR_RDONLY : 0)) >>> 0, run.packet >>> 0, size);
    return 0;
  };
}

function slice(writable: boolean) {
  return (run: Run, dynptr: number, offset: number, buffer: number, size: number): number => {
    const ptr = readDynptr(run, dynptr >>> 0);
    if (ptr === undefined || (writable && ptr.readonly)) return 0;
    const at = dynptrAt(run, ptr, offset >>> 0, size >>> 0);
    // Everything is linear here, so that the program's own buffer is never needed.
    if (at !== 0) run.grant(at, size >>> 0, writable);
    else if (buffer !== 0) run.grant(buffer >>> 0, 0);
    return at;
  };
}

function adjust(run: Run, dynptr: number, start: number, end: number): number {
  const at = dynptr >>> 0;
  const ptr = readDynptr(run, at);
  if (ptr === undefined || start >>> 0 > end >>> 0) return -EINVAL;
  if (start >>> 0 > ptr.size || end >>> 0 > ptr.size) return -ERANGE;
  run.dv.setUint32(at + 8, end - start, true);
  run.dv.setUint32(at + 12, ptr.offset + start, true);
  return 0;
}

function clone(run: Run, dynptr: number, to: number): number {
  if (readDynptr(run, dynptr >>> 0) === undefined) {
    nullDynptr(run, to >>> 0);
    return -EINVAL;
  }
  run.u8.copyWithin(to >>> 0, dynptr >>> 0, (dynptr >>> 0) + 16);
  return 0;
}

function copy(run: Run, to: number, toOffset: number, from: number, fromOffset: number, size: number): number {
  const target = readDynptr(run, to >>> 0);
  const source = readDynptr(run, from >>> 0);
  if (target === undefined || source === undefined || target.readonly) return -EINVAL;
  const at = dynptrAt(run, target, toOffset >>> 0, size >>> 0);
  const source0 = dynptrAt(run, source, fromOffset >>> 0, size >>> 0);
  if (at === 0 || source0 === 0) return -E2BIG;
  run.u8.copyWithin(at, source0, source0 + (size >>> 0));
  return 0;
}

function fill(run: Run, dynptr: number, offset: number, size: number, value: number): number {
  const ptr = readDynptr(run, dynptr >>> 0);
  if (ptr === undefined || ptr.readonly) return -EINVAL;
  const at = dynptrAt(run, ptr, offset >>> 0, size >>> 0);
  if (at === 0) return -E2BIG;
  run.u8.fill(value & 0xff, at, at + (size >>> 0));
  return 0;
}

/** struct bpf_iter_num: current number, end (not reached). */
function numNew(run: Run, it: number, start: number, end: number): number {
  const at = it >>> 0;
  run.u8.fill(0, at, at + 8);
  if (start > end) return -EINVAL;
  if (end - start > MAX_LOOPS) return -E2BIG;
  run.dv.setInt32(at, start - 1, true);
  run.dv.setInt32(at + 4, end, true);
  return 0;
}

function numNext(run: Run, it: number): number {
  const at = it >>> 0;
  const next = run.dv.getInt32(at, true) + 1;
  if (next >= run.dv.getInt32(at + 4, true)) {
    run.u8.fill(0, at, at + 8);
    return 0;
  }
  run.dv.setInt32(at, next, true);
  run.grant(at, 4, false);
  return at;
}

const int = (call: HelperImpl['call'], movesPacket = false): HelperImpl => ({ call, ret: 'int', movesPacket });
const pointer = (call: HelperImpl['call']): HelperImpl => ({ call, ret: 'u32' });
const nothing = int(() => 0);
const same = pointer((_run, r1) => r1);
const unsupported = int(() => -EOPNOTSUPP);

const table: readonly (readonly [string, HelperImpl])[] = [
  ['bpf_dynptr_from_skb', int(fromPacket(DYNPTR_SKB))],
  ['bpf_dynptr_from_xdp', int(fromPacket(DYNPTR_XDP))],
  ['bpf_dynptr_from_skb_meta', int(fromPacket(DYNPTR_SKB_META))],
  ['bpf_dynptr_slice', pointer(slice(false))],
  ['bpf_dynptr_slice_rdwr', pointer(slice(true))],
  ['bpf_dynptr_adjust', int(adjust)],
  ['bpf_dynptr_clone', int(clone)],
  ['bpf_dynptr_copy', int(copy)],
  ['bpf_dynptr_memset', int(fill)],
  ['bpf_dynptr_is_null', int((run, at) => (readDynptr(run, at >>> 0) === undefined ? 1 : 0))],
  ['bpf_dynptr_is_rdonly', int((run, at) => (readDynptr(run, at >>> 0)?.readonly === true ? 1 : 0))],
  ['bpf_dynptr_size', pointer((run, at) => readDynptr(run, at >>> 0)?.size ?? -EINVAL)],
  ['bpf_iter_num_new', int(numNew)],
  ['bpf_iter_num_next', pointer(numNext)],
  [
    'bpf_iter_num_destroy',
    int((run, at) => {
      run.u8.fill(0, at >>> 0, (at >>> 0) + 8);
      return 0;
    }),
  ],
  // One thread: nothing to hold off.
  ['bpf_rcu_read_lock', nothing],
  ['bpf_rcu_read_unlock', nothing],
  ['bpf_preempt_disable', nothing],
  ['bpf_preempt_enable', nothing],
  ['bpf_local_irq_save', nothing],
  ['bpf_local_irq_restore', nothing],
  ['bpf_cast_to_kern_ctx', same],
  ['bpf_rdonly_cast', same],
  ['bpf_xdp_pull_data', int((run, _xdp, length) => (length >>> 0 > run.slab.len(run.packet) ? -EINVAL : 0), true)],
  // No device here stamps, hashes or untags.
  ['bpf_xdp_metadata_rx_timestamp', unsupported],
  ['bpf_xdp_metadata_rx_hash', unsupported],
  ['bpf_xdp_metadata_rx_vlan_tag', unsupported],
];

export const KFUNCS: KfuncTable = new Map([...table, ...conntrackKfuncs, ...stringKfuncs, ...nftKfuncs]);

/** Why a kernel function cannot be called, '' when it can. */
export function unsupportedKfunc(name: string): string {
  return KFUNCS.has(name) ? '' : `netloom does not implement kernel function ${name}`;
}
