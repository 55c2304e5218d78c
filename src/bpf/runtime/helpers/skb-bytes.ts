/**
 * Helpers that read and write packet bytes of a `struct __sk_buff` program, and change how many there are:
 * skb_load_bytes, skb_load_bytes_relative, skb_store_bytes, skb_pull_data, skb_change_tail, skb_change_head.
 */
import { EFAULT, EINVAL, ENOMEM } from '../../../core/errno.ts';
import { NO_OFFSET } from '../../../core/slab.ts';
import { networkAt, refresh } from '../ctx.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import { headroom, moved, writable } from './packet.ts';

const BPF_F_RECOMPUTE_CSUM = 1;
const BPF_F_INVALIDATE_HASH = 2;
/** SKB_MAX_ALLOC: what a packet may grow to. */
export const SKB_MAX_ALLOC = 16_064;

function loadBytes(run: Run, _skb: number, offset: number, to: number, length: number): number {
  const { slab, packet: p } = run;
  if (offset < 0 || offset + length > slab.len(p)) {
    run.u8.fill(0, to >>> 0, (to >>> 0) + length);
    return -EFAULT;
  }
  const from = slab.head(p) + offset;
  run.u8.copyWithin(to >>> 0, from, from + length);
  return 0;
}

function loadBytesRelative(run: Run, _skb: number, offset: number, to: number, length: number, start: number): number {
  const { slab, packet: p } = run;
  const base = start === 0 ? slab.mac(p) : start === 1 ? networkAt(slab, p) : NO_OFFSET;
  if (offset >>> 0 > 0xffff || base === NO_OFFSET || base + offset + length > slab.end(p)) {
    run.u8.fill(0, to >>> 0, (to >>> 0) + length);
    return -EFAULT;
  }
  run.u8.copyWithin(to >>> 0, base + offset, base + offset + length);
  return 0;
}

function storeBytes(run: Run, _skb: number, offset: number, from: number, length: number, flags: number): number {
  if (run.hi(5) !== 0 || (flags & ~(BPF_F_RECOMPUTE_CSUM | BPF_F_INVALIDATE_HASH)) !== 0) return -EINVAL;
  if (offset < 0 || !writable(run, offset + length)) return -EFAULT;
  run.u8.copyWithin(run.slab.head(run.packet) + offset, from >>> 0, (from >>> 0) + length);
  if ((flags & BPF_F_INVALIDATE_HASH) !== 0) run.slab.setHash(run.packet, 0);
  refresh(run);
  return 0;
}

function pullData(run: Run, _skb: number, length: number): number {
  return writable(run, length >>> 0) ? 0 : -ENOMEM;
}

/** Tail length: at least the headers in front of the outermost header found. */
function minLength(run: Run): number {
  const { slab, packet: p } = run;
  const head = slab.head(p);
  const transport = slab.transport(p);
  if (transport !== NO_OFFSET && transport > head) return transport - head;
  return Math.max(0, networkAt(slab, p) - head);
}

function changeTail(run: Run, _skb: number, length: number, flags: number): number {
  const { slab, packet: p } = run;
  const size = length >>> 0;
  if (flags !== 0 || run.hi(3) !== 0 || size > SKB_MAX_ALLOC || size < minLength(run)) return -EINVAL;
  const before = slab.len(p);
  if (!slab.setLen(p, size)) return -ENOMEM;
  if (size > before) run.u8.fill(0, slab.head(p) + before, slab.head(p) + size);
  moved(run);
  return 0;
}

function changeHead(run: Run, _skb: number, room: number, flags: number): number {
  const { slab, packet: p } = run;
  const size = slab.len(p) + (room >>> 0);
  if (flags !== 0 || run.hi(3) !== 0 || size > SKB_MAX_ALLOC) return -EINVAL;
  if (headroom(run) < room || !slab.push(p, room)) return -ENOMEM;
  run.u8.fill(0, slab.head(p), slab.head(p) + room);
  slab.setMac(p, slab.head(p));
  moved(run);
  return 0;
}

export const skbBytesHelpers: HelperTable = new Map<number, HelperImpl>([
  [9, { call: storeBytes, ret: 'int', wide: wide(5), movesPacket: true }],
  [26, { call: loadBytes, ret: 'int' }],
  [68, { call: loadBytesRelative, ret: 'int' }],
  [39, { call: pullData, ret: 'int', movesPacket: true }],
  [38, { call: changeTail, ret: 'int', wide: wide(3), movesPacket: true }],
  [43, { call: changeHead, ret: 'int', wide: wide(3), movesPacket: true }],
]);
