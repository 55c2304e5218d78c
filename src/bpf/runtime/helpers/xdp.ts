/**
 * XDP helpers: xdp_adjust_head, xdp_adjust_tail, xdp_adjust_meta, xdp_load_bytes, xdp_store_bytes, xdp_get_buff_len.
 */
import { EACCES, EFAULT, EINVAL } from '../../../core/errno.ts';
import { refreshXdp } from '../ctx.ts';
import type { HelperImpl, HelperTable } from '../helper.ts';
import type { Run } from '../run.ts';
import { headroom } from './packet.ts';

const ETH_HLEN = 14;
/** Bytes at the start of the headroom that Linux keeps for `struct xdp_frame`. */
const XDP_FRAME = 40;
/** Metadata is a multiple of four bytes and its length fits into one. */
const MAX_META = 255;

const metaLength = (run: Run): number => (run.meta === 0 ? 0 : run.slab.head(run.packet) - run.meta);

function adjustHead(run: Run, _xdp: number, offset: number): number {
  const { slab, packet: p } = run;
  const meta = metaLength(run);
  if (headroom(run) + offset < XDP_FRAME + meta || slab.len(p) - offset < ETH_HLEN) return -EINVAL;
  const head = slab.head(p);
  if (meta > 0) run.u8.copyWithin(head - meta + offset, head - meta, head);
  if (offset < 0) slab.push(p, -offset);
  else slab.pull(p, offset);
  run.meta = slab.head(p) - meta;
  refreshXdp(run);
  return 0;
}

function adjustTail(run: Run, _xdp: number, offset: number): number {
  const { slab, packet: p } = run;
  const end = slab.end(p);
  const limit = run.tailLimit === 0 ? slab.limit(p) : run.tailLimit;
  if (end + offset > limit || slab.len(p) + offset < ETH_HLEN) return -EINVAL;
  slab.setLen(p, slab.len(p) + offset);
  if (offset > 0) run.u8.fill(0, end, end + offset);
  refreshXdp(run);
  return 0;
}

function adjustMeta(run: Run, _xdp: number, offset: number): number {
  const { slab, packet: p } = run;
  const length = metaLength(run) - offset;
  if (length < 0 || headroom(run) - length < XDP_FRAME) return -EINVAL;
  if ((length & 3) !== 0 || length > MAX_META) return -EACCES;
  run.meta = slab.head(p) - length;
  refreshXdp(run);
  return 0;
}

/** Where the bytes lie, or -errno. */
function bytesAt(run: Run, offset: number, length: number): number {
  if (offset >>> 0 > 0xffff || length >>> 0 > 0xffff) return -EFAULT;
  if (offset + length > run.slab.len(run.packet)) return -EINVAL;
  return run.slab.head(run.packet) + offset;
}

function loadBytes(run: Run, _xdp: number, offset: number, to: number, length: number): number {
  const from = bytesAt(run, offset, length);
  if (from < 0) return from;
  run.u8.copyWithin(to >>> 0, from, from + length);
  return 0;
}

function storeBytes(run: Run, _xdp: number, offset: number, from: number, length: number): number {
  const to = bytesAt(run, offset, length);
  if (to < 0) return to;
  run.u8.copyWithin(to, from >>> 0, (from >>> 0) + length);
  return 0;
}

export const xdpHelpers: HelperTable = new Map<number, HelperImpl>([
  [44, { call: adjustHead, ret: 'int', movesPacket: true }],
  [54, { call: adjustMeta, ret: 'int', movesPacket: true }],
  [65, { call: adjustTail, ret: 'int', movesPacket: true }],
  [188, { call: (run) => run.ret64(run.slab.len(run.packet)), ret: 'u64' }],
  [189, { call: loadBytes, ret: 'int' }],
  [190, { call: storeBytes, ret: 'int' }],
]);
