/**
 * Checksum helpers: csum_diff, l3_csum_replace, l4_csum_replace, csum_update, csum_level.
 */
import { EACCES, EFAULT, EINVAL } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';
import {
  csumAdd,
  csumFold,
  csumPartial,
  csumReplace2,
  csumReplace4,
  csumReplaceByDiff,
  csumSub,
  from32to16,
} from './csum.ts';
import { writable } from './packet.ts';

/** The kernel's own ENOTSUPP, which no C library knows. */
export const ENOTSUPP = 524;

const BPF_F_PSEUDO_HDR = 0x10;
const BPF_F_MARK_MANGLED_0 = 0x20;
const BPF_F_MARK_ENFORCE = 0x40;
const BPF_F_IPV6 = 0x80;
const BPF_F_HDR_FIELD_MASK = 0xf;
const CSUM_MANGLED_0 = 0xffff;
const CHECKSUM_UNNECESSARY = 1;
const CHECKSUM_COMPLETE = 2;
const CHECKSUM_PARTIAL = 3;

function csumDiff(run: Run, from: number, fromSize: number, to: number, toSize: number, seed: number): number {
  let sum = seed >>> 0;
  if (fromSize > 0 && toSize > 0)
    sum = csumSub(csumPartial(run.dv, to >>> 0, toSize, sum), csumPartial(run.dv, from >>> 0, fromSize, 0));
  else if (toSize > 0) sum = csumPartial(run.dv, to >>> 0, toSize, sum);
  else if (fromSize > 0) sum = ~csumPartial(run.dv, from >>> 0, fromSize, ~sum >>> 0) >>> 0;
  return run.ret64(from32to16(sum));
}

/** Where the checksum field lies, or 0 when it cannot be written. */
function fieldAt(run: Run, offset: number): number {
  const off = offset >>> 0;
  if (off > 0xffff || (off & 1) !== 0 || !writable(run, off + 2)) return 0;
  return run.slab.head(run.packet) + off;
}

function l3CsumReplace(run: Run, _skb: number, offset: number, from: number, to: number, flags: number): number {
  if (run.hi(5) !== 0 || (flags & ~BPF_F_HDR_FIELD_MASK) !== 0) return -EINVAL;
  const at = fieldAt(run, offset);
  if (at === 0) return -EFAULT;
  const sum = run.dv.getUint16(at, true);
  switch (flags & BPF_F_HDR_FIELD_MASK) {
    case 0:
      if (from !== 0 || run.hi(3) !== 0) return -EINVAL;
      run.dv.setUint16(at, csumReplaceByDiff(sum, to), true);
      return 0;
    case 2:
      run.dv.setUint16(at, csumReplace2(sum, from, to), true);
      return 0;
    case 4:
      run.dv.setUint16(at, csumReplace4(sum, from, to), true);
      return 0;
    default:
      return -EINVAL;
  }
}

function l4CsumReplace(run: Run, _skb: number, offset: number, from: number, to: number, flags: number): number {
  const pseudo = (flags & BPF_F_PSEUDO_HDR) !== 0;
  const mangled = (flags & BPF_F_MARK_MANGLED_0) !== 0;
  const known = BPF_F_MARK_MANGLED_0 | BPF_F_MARK_ENFORCE | BPF_F_PSEUDO_HDR | BPF_F_HDR_FIELD_MASK | BPF_F_IPV6;
  if (run.hi(5) !== 0 || (flags & ~known) !== 0) return -EINVAL;
  const at = fieldAt(run, offset);
  if (at === 0) return -EFAULT;
  const sum = run.dv.getUint16(at, true);
  if (mangled && (flags & BPF_F_MARK_ENFORCE) === 0 && sum === 0) return 0;
  let next: number;
  switch (flags & BPF_F_HDR_FIELD_MASK) {
    case 0:
      if (from !== 0 || run.hi(3) !== 0) return -EINVAL;
      if (run.ipSummed !== CHECKSUM_PARTIAL) {
        next = csumReplaceByDiff(sum, to);
        if (run.ipSummed === CHECKSUM_COMPLETE && pseudo && (flags & BPF_F_IPV6) === 0)
          run.csum = ~csumAdd(to, ~run.csum >>> 0) >>> 0;
      } else next = pseudo ? ~csumFold(csumAdd(to, sum)) & 0xffff : sum;
      break;
    case 2:
      next = replace(run, sum, from & 0xffff, to & 0xffff, pseudo);
      break;
    case 4:
      next = replace(run, sum, from, to, pseudo);
      break;
    default:
      return -EINVAL;
  }
  if (mangled && next === 0) next = CSUM_MANGLED_0;
  run.dv.setUint16(at, next, true);
  return 0;
}

/** A word under a transport checksum changed, which a device may still have to finish (CHECKSUM_PARTIAL). */
function replace(run: Run, sum: number, from: number, to: number, pseudo: boolean): number {
  if (run.ipSummed !== CHECKSUM_PARTIAL) {
    if (run.ipSummed === CHECKSUM_COMPLETE && pseudo) run.csum = ~csumAdd(csumSub(~run.csum >>> 0, from), to) >>> 0;
    return csumReplace4(sum, from, to);
  }
  return pseudo ? ~csumFold(csumAdd(csumSub(sum, from), to)) & 0xffff : sum;
}

function csumUpdate(run: Run, _skb: number, csum: number): number {
  if (run.ipSummed !== CHECKSUM_COMPLETE) return run.retErr(-ENOTSUPP);
  run.csum = csumAdd(run.csum, csum);
  return run.ret64(run.csum);
}

/** Levels: 0 query, 1 one more, 2 one less, 3 none checked. netloom knows one level. */
function csumLevel(run: Run, _skb: number, level: number): number {
  switch (level) {
    case 0:
      return run.ipSummed === CHECKSUM_UNNECESSARY ? 0 : -EACCES;
    case 1:
    case 2:
      if (level === 1 && run.ipSummed === 0) run.ipSummed = CHECKSUM_UNNECESSARY;
      else if (level === 2 && run.ipSummed === CHECKSUM_UNNECESSARY) run.ipSummed = 0;
      return 0;
    case 3:
      if (run.ipSummed === CHECKSUM_UNNECESSARY) run.ipSummed = 0;
      return 0;
    default:
      return -EINVAL;
  }
}

export const checksumHelpers: HelperTable = new Map<number, HelperImpl>([
  [10, { call: l3CsumReplace, ret: 'int', wide: wide(3, 4, 5), movesPacket: true }],
  [11, { call: l4CsumReplace, ret: 'int', wide: wide(3, 4, 5), movesPacket: true }],
  [28, { call: csumDiff, ret: 'u64' }],
  [40, { call: csumUpdate, ret: 'u64' }],
  [135, { call: csumLevel, ret: 'int', wide: wide(2) }],
]);
