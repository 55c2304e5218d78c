/**
 * How a packet that was put together had been cut. Connection tracking sees whole packets, but what came in fragments
 * leaves in the same ones (the kernel keeps them as a list). The payload lengths lie behind the data in the packet's slot:
 *
 *     | headers | payload | length of piece 0, 16 bits | piece 1 | ... |
 *
 * They count as long as they add up to the payload: a packet that was changed in length or copied is cut anew.
 */
import type { Slab } from '../core/slab.ts';
import { CB_GEOMETRY } from './stack.ts';

/** Bytes to allocate behind the data for so many pieces. */
export function geometrySize(pieces: number): number {
  return pieces * 2;
}

/** Writes the lengths of the pieces behind the data. */
export function setGeometry(slab: Slab, p: number, pieces: readonly { from: number; to: number }[]): void {
  let at = slab.end(p);
  if (at + geometrySize(pieces.length) > slab.limit(p)) return;
  slab.setCb(p, CB_GEOMETRY, pieces.length);
  for (const { from, to } of pieces) {
    slab.dv.setUint16(at, to - from);
    at += 2;
  }
}

/**
 * Pieces that a packet with `payload` bytes to cut goes out in, when all are at most `room` and, but for the last,
 * multiples of eight; 0 when it has to be cut anew.
 */
export function geometryOf(slab: Slab, p: number, payload: number, room: number): number {
  const count = slab.cb(p, CB_GEOMETRY);
  const at = slab.end(p);
  if (count === 0 || at + geometrySize(count) > slab.limit(p)) return 0;
  let sum = 0;
  for (let i = 0; i < count; i++) {
    const length = slab.dv.getUint16(at + i * 2);
    if (length > room || (i < count - 1 && (length & 7) !== 0)) return 0;
    sum += length;
  }
  return sum === payload ? count : 0;
}

/** Payload length of piece `i`. */
export function pieceLength(slab: Slab, p: number, i: number): number {
  return slab.dv.getUint16(slab.end(p) + i * 2);
}
