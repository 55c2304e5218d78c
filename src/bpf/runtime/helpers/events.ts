/**
 * Data to user space: ringbuf_*, perf_event_output, and the dynptr forms of the ring buffer.
 */
import { E2BIG, EFAULT, EINVAL, ENOENT } from '../../../core/errno.ts';
import { ringOwner } from '../../maps/ring.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import { DYNPTR_MAX_SIZE, DYNPTR_RINGBUF, initDynptr, nullDynptr } from './dynptr.ts';

const CURRENT_CPU = 0xffff_ffff;

function reserve(run: Run, mapAt: number, size: number, flags: number): number {
  const { ring } = run.machine.mapAt(mapAt >>> 0);
  if (flags !== 0 || run.hi(3) !== 0 || run.hi(2) !== 0 || ring === undefined) return 0;
  const at = ring.reserve(size >>> 0, 0);
  if (at !== 0) run.grant(at, size >>> 0);
  return at;
}

/** Ends a record that was reserved. */
function end(run: Run, sample: number, flags: number, how: 'submit' | 'discard'): number {
  const at = sample >>> 0;
  run.machine.maps[ringOwner(run.dv, at)]?.ring?.[how](at, flags >>> 0);
  return 0;
}

function output(run: Run, mapAt: number, data: number, size: number, flags: number): number {
  const { ring } = run.machine.mapAt(mapAt >>> 0);
  // Only BPF_RB_NO_WAKEUP and BPF_RB_FORCE_WAKEUP.
  if (run.hi(4) !== 0 || (flags & ~3) !== 0 || ring === undefined) return -EINVAL;
  return ring.output(data >>> 0, size >>> 0, flags);
}

function query(run: Run, mapAt: number, what: number): number {
  const { ring } = run.machine.mapAt(mapAt >>> 0);
  return run.ret64(ring === undefined || run.hi(2) !== 0 ? 0 : ring.query(what >>> 0));
}

function reserveDynptr(run: Run, mapAt: number, size: number, flags: number, dynptr: number): number {
  const at = dynptr >>> 0;
  const { ring } = run.machine.mapAt(mapAt >>> 0);
  nullDynptr(run, at);
  if (flags !== 0 || run.hi(3) !== 0 || ring === undefined) return -EINVAL;
  if (size >>> 0 > DYNPTR_MAX_SIZE) return -E2BIG;
  const sample = ring.reserve(size >>> 0, 0);
  if (sample === 0) return -EINVAL;
  initDynptr(run, at, DYNPTR_RINGBUF, sample, size >>> 0);
  return 0;
}

function endDynptr(run: Run, dynptr: number, flags: number, how: 'submit' | 'discard'): number {
  const at = dynptr >>> 0;
  const sample = run.dv.getUint32(at, true);
  if (sample !== 0) end(run, sample, flags, how);
  nullDynptr(run, at);
  return 0;
}

/** Flags: the low word is the index (or this CPU), above it the bytes of packet to add. */
function perfEventOutput(run: Run, _ctx: number, mapAt: number, flags: number, data: number, size: number): number {
  const { machine } = run;
  const packetBytes = run.hi(3) >>> 0;
  if (packetBytes > 0xf_ffff) return -EINVAL;
  if (packetBytes > 0 && (run.packet < 0 || packetBytes > run.slab.len(run.packet))) return -EFAULT;
  const map = machine.mapAt(mapAt >>> 0);
  const index = flags >>> 0 === CURRENT_CPU ? 0 : flags >>> 0;
  if (index >= map.maxEntries) return -E2BIG;
  if (machine.env.perfEvent === undefined) return -ENOENT;
  const record = new Uint8Array((size >>> 0) + packetBytes);
  record.set(run.u8.subarray(data >>> 0, (data >>> 0) + (size >>> 0)));
  if (packetBytes > 0) {
    const head = run.slab.head(run.packet);
    record.set(run.u8.subarray(head, head + packetBytes), size >>> 0);
  }
  return machine.env.perfEvent(map.id, index, record);
}

/** bpf_user_ringbuf_drain: the callback gets each record as a dynptr. */
function drain(run: Run, mapAt: number, fn: number, ctx: number, flags: number): number {
  const { ring } = run.machine.mapAt(mapAt >>> 0);
  if (run.hi(4) !== 0 || (flags & ~3) !== 0 || ring === undefined) return -EINVAL;
  const dynptr = run.machine.heap.alloc(16);
  const count = ring.drain((at, size) => {
    initDynptr(run, dynptr, 1, at, size);
    run.grant(dynptr, 16, false);
    run.grant(at, size, false);
    return run.callback(fn, dynptr, ctx, 0, 0);
  }, flags);
  run.machine.grace.free(dynptr);
  return count;
}

export const eventHelpers: HelperTable = new Map<number, HelperImpl>([
  [25, { call: perfEventOutput, ret: 'int', wide: wide(3) }],
  [130, { call: output, ret: 'int', wide: wide(4) }],
  [131, { call: reserve, ret: 'u32', wide: wide(2, 3) }],
  [132, { call: (run, at, flags) => end(run, at, flags, 'submit'), ret: 'int' }],
  [133, { call: (run, at, flags) => end(run, at, flags, 'discard'), ret: 'int' }],
  [134, { call: query, ret: 'u64', wide: wide(2) }],
  [198, { call: reserveDynptr, ret: 'int', wide: wide(3) }],
  [199, { call: (run, at, flags) => endDynptr(run, at, flags, 'submit'), ret: 'int' }],
  [200, { call: (run, at, flags) => endDynptr(run, at, flags, 'discard'), ret: 'int' }],
  [209, { call: drain, ret: 'int', wide: wide(4) }],
]);
