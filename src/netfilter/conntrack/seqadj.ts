/**
 * Correcting TCP sequence numbers after a payload changed its length (`nf_conntrack_seqadj`): up to a position the old offset
 * holds, from there on the new one. Acknowledgements and SACK blocks of the other direction are corrected back.
 */
import type { Slab } from '../../core/slab.ts';
import { update32 } from '../../wire/checksum.ts';
import * as tcp from '../../wire/tcp.ts';
import { IP_CT_IS_REPLY, IPS_SEQ_ADJUST } from '../../wire/uapi/ctnetlink.ts';
import type { Conn } from './entry.ts';
import { before } from './tcp-window.ts';

/** One direction (`struct nf_ct_seqadj`). */
export type SeqAdjust = { correctionPos: number; offsetBefore: number; offsetAfter: number };

function fresh(): SeqAdjust {
  return { correctionPos: 0, offsetBefore: 0, offsetAfter: 0 };
}

/** Notes that the segment at `seq` of the packet's direction grew by `offset` bytes. */
export function setSeqAdjust(ct: Conn, ctinfo: number, seq: number, offset: number): void {
  if (offset === 0) return;
  ct.status |= IPS_SEQ_ADJUST;
  const extras = ct.extend();
  extras.seqadj ??= [fresh(), fresh()];
  const way = extras.seqadj[ctinfo >= IP_CT_IS_REPLY ? 1 : 0];
  if (way.offsetBefore === way.offsetAfter || before(way.correctionPos, seq)) {
    way.correctionPos = seq;
    way.offsetBefore = way.offsetAfter;
    way.offsetAfter += offset;
  }
}

/** The correction of a direction for sequence number `seq`. */
export function seqOffset(ct: Conn, dir: number, seq: number): number {
  const way = ct.extras?.seqadj?.[dir];
  if (way === undefined) return 0;
  return before(way.correctionPos, seq) ? way.offsetAfter : way.offsetBefore;
}

function write32(dv: DataView, at: number, check: number, value: number): void {
  dv.setUint16(check, update32(dv.getUint16(check), dv.getUint32(at), value >>> 0));
  dv.setUint32(at, value >>> 0);
}

/** The same for a word at an odd offset: its bytes are in the checksum with high and low exchanged. */
function writeOdd(dv: DataView, at: number, check: number, value: number): void {
  const swap = (v: number): number => (((v >>> 8) & 0x00ff00ff) | ((v << 8) & 0xff00ff00)) >>> 0;
  dv.setUint16(check, update32(dv.getUint16(check), swap(dv.getUint32(at)), swap(value >>> 0)));
  dv.setUint32(at, value >>> 0);
}

function adjustSack(dv: DataView, at: number, end: number, other: SeqAdjust): void {
  const options = Math.min(at + tcp.headerLength(dv, at), end);
  const edge = (i: number): void => {
    const value = dv.getUint32(i);
    const offset = before(other.correctionPos, value - other.offsetBefore) ? other.offsetAfter : other.offsetBefore;
    if (offset === 0) return;
    ((i - at) & 1 ? writeOdd : write32)(dv, i, at + 16, value - offset);
  };
  for (let i = at + tcp.HEADER_LENGTH; i < options; ) {
    const kind = dv.getUint8(i);
    if (kind === tcp.TCPOPT_EOL) return;
    if (kind === tcp.TCPOPT_NOP) {
      i++;
      continue;
    }
    if (i + 2 > options) return;
    const length = dv.getUint8(i + 1);
    if (length < 2 || i + length > options) return;
    if (kind === tcp.TCPOPT_SACK && length >= 10 && (length - 2) % 8 === 0)
      for (let b = i + 2; b < i + length; b += 4) edge(b);
    i += length;
  }
}

/** Corrects a TCP segment at `at`; false when its header is not all there. */
export function adjustSequence(slab: Slab, ct: Conn, ctinfo: number, at: number, end: number): boolean {
  const adjust = ct.extras?.seqadj;
  if (adjust === undefined) return true;
  const { dv } = slab;
  if (at + tcp.HEADER_LENGTH > end) return false;
  const dir = ctinfo >= IP_CT_IS_REPLY ? 1 : 0;
  const [own, other] = [adjust[dir], adjust[1 - dir]];
  const seq = tcp.seq(dv, at);
  const offset = before(own.correctionPos, seq) ? own.offsetAfter : own.offsetBefore;
  if (offset !== 0) write32(dv, at + 4, at + 16, seq + offset);
  if (!(tcp.flags(dv, at) & tcp.ACK)) return true;
  const ack = tcp.ackSeq(dv, at);
  const back = before(other.correctionPos, ack - other.offsetBefore) ? other.offsetAfter : other.offsetBefore;
  if (back !== 0) write32(dv, at + 8, at + 16, ack - back);
  adjustSack(dv, at, end, other);
  return true;
}
