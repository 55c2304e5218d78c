/**
 * Dynamic pointers (Documentation/bpf/kfuncs.rst and bpf-helpers(7)): 16 bytes on the program's stack that say where some
 * bytes are and how many. In memory here: data (address, or the packet's handle), kind and flags, size, offset.
 */
import { E2BIG, EFAULT, EINVAL } from '../../../core/errno.ts';
import * as uapi from '../../../wire/uapi/bpf.ts';
import { refresh } from '../ctx.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';

export const DYNPTR_LOCAL = 1;
export const DYNPTR_RINGBUF = 2;
export const DYNPTR_SKB = 3;
export const DYNPTR_XDP = 4;
export const DYNPTR_SKB_META = 5;
export const DYNPTR_RDONLY = 0x8000_0000;
export const DYNPTR_MAX_SIZE = 0xff_ffff;

export type Dynptr = { data: number; kind: number; readonly: boolean; size: number; offset: number };

export function initDynptr(run: Run, at: number, kind: number, data: number, size: number, offset = 0): void {
  run.dv.setUint32(at, data, true);
  run.dv.setUint32(at + 4, kind, true);
  run.dv.setUint32(at + 8, size, true);
  run.dv.setUint32(at + 12, offset, true);
}

export function nullDynptr(run: Run, at: number): void {
  run.u8.fill(0, at, at + 16);
}

/** What stands at `at`; undefined for a null dynptr. */
export function readDynptr(run: Run, at: number): Dynptr | undefined {
  const word = run.dv.getUint32(at + 4, true);
  if (word === 0) return undefined;
  return {
    data: run.dv.getUint32(at, true),
    kind: word & 0xff,
    readonly: (word & DYNPTR_RDONLY) !== 0,
    size: run.dv.getUint32(at + 8, true),
    offset: run.dv.getUint32(at + 12, true),
  };
}

/** Address of `length` bytes at `offset`; 0 when they are not all there. Packets move, so they are looked up each time. */
export function dynptrAt(run: Run, ptr: Dynptr, offset: number, length: number): number {
  if (length > ptr.size || offset > ptr.size - length) return 0;
  if (ptr.kind === DYNPTR_SKB || ptr.kind === DYNPTR_XDP) {
    const from = ptr.offset + offset;
    return from + length <= run.slab.len(run.packet) ? run.slab.head(run.packet) + from : 0;
  }
  if (ptr.kind === DYNPTR_SKB_META) return run.meta + ptr.offset + offset;
  return ptr.data + ptr.offset + offset;
}

const fits = (ptr: Dynptr, offset: number, length: number): boolean =>
  length <= ptr.size && offset <= ptr.size - length;

function fromMem(run: Run, data: number, size: number, flags: number, dynptr: number): number {
  const at = dynptr >>> 0;
  nullDynptr(run, at);
  if (size >>> 0 > DYNPTR_MAX_SIZE) return -E2BIG;
  if (flags !== 0 || run.hi(3) !== 0) return -EINVAL;
  initDynptr(run, at, DYNPTR_LOCAL, data >>> 0, size >>> 0);
  return 0;
}

function read(run: Run, to: number, length: number, dynptr: number, offset: number, flags: number): number {
  const ptr = readDynptr(run, dynptr >>> 0);
  if (ptr === undefined || flags !== 0 || run.hi(5) !== 0) return -EINVAL;
  if (!fits(ptr, offset >>> 0, length >>> 0)) return -E2BIG;
  const at = dynptrAt(run, ptr, offset >>> 0, length >>> 0);
  if (at === 0) return ptr.kind === DYNPTR_XDP ? -EINVAL : -EFAULT;
  run.u8.copyWithin(to >>> 0, at, at + (length >>> 0));
  return 0;
}

function write(run: Run, dynptr: number, offset: number, from: number, length: number, flags: number): number {
  const ptr = readDynptr(run, dynptr >>> 0);
  if (ptr === undefined || ptr.readonly || run.hi(5) !== 0) return -EINVAL;
  if (!fits(ptr, offset >>> 0, length >>> 0)) return -E2BIG;
  // Packets take the flags of skb_store_bytes.
  if (ptr.kind === DYNPTR_SKB ? (flags & ~3) !== 0 : flags !== 0) return -EINVAL;
  const at = dynptrAt(run, ptr, offset >>> 0, length >>> 0);
  if (at === 0) return ptr.kind === DYNPTR_XDP ? -EINVAL : -EFAULT;
  run.u8.copyWithin(at, from >>> 0, (from >>> 0) + (length >>> 0));
  if (ptr.kind === DYNPTR_SKB && (flags & 2) !== 0) {
    run.slab.setHash(run.packet, 0);
    refresh(run);
  }
  return 0;
}

function data(run: Run, dynptr: number, offset: number, length: number): number {
  const ptr = readDynptr(run, dynptr >>> 0);
  if (ptr === undefined || ptr.readonly || (ptr.kind !== DYNPTR_LOCAL && ptr.kind !== DYNPTR_RINGBUF)) return 0;
  const at = dynptrAt(run, ptr, offset >>> 0, length >>> 0);
  if (at !== 0) run.grant(at, length >>> 0);
  return at;
}

/** Kinds of skb programs whose packets may be written directly. */
export function skbWritable(progType: number): boolean {
  return (
    progType === uapi.BPF_PROG_TYPE_SCHED_CLS ||
    progType === uapi.BPF_PROG_TYPE_SCHED_ACT ||
    progType === uapi.BPF_PROG_TYPE_LWT_XMIT ||
    progType === uapi.BPF_PROG_TYPE_SK_SKB
  );
}

export const dynptrHelpers: HelperTable = new Map<number, HelperImpl>([
  [197, { call: fromMem, ret: 'int', wide: wide(3) }],
  [201, { call: read, ret: 'int', wide: wide(5) }],
  [202, { call: write, ret: 'int', wide: wide(5) }],
  [203, { call: data, ret: 'u32' }],
]);
