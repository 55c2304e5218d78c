/**
 * TCP window tracking: is a segment plausible for the connection? After Guido van Rooij, "Real Stateful TCP Packet
 * Filtering in IP Filter" (2001), with SACK (RFC 2018), window scaling (RFC 7323) and the kernel's own allowances.
 *
 * For a segment [seq, end) with acknowledgement `sack` the four conditions are:
 *   I   seq  <= highest allowed by the receiver's window      (sender.maxend)
 *   II  end  >= what the receiver may still want              (sender.end - receiver.maxwin)
 *   III sack <= highest the receiver has sent                 (receiver.end)
 *   IV  sack >= receiver.end - MAXACKWINDOW
 * All arithmetic is modulo 2^32.
 */
import * as tcp from '../../wire/tcp.ts';
import {
  IP_CT_DIR_REPLY,
  IP_CT_TCP_FLAG_BE_LIBERAL,
  IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED,
  IP_CT_TCP_FLAG_MAXACK_SET,
  IP_CT_TCP_FLAG_SACK_PERM,
  IP_CT_TCP_FLAG_WINDOW_SCALE,
  TCP_CONNTRACK_SYN_RECV,
  TCP_CONNTRACK_SYN_SENT,
} from '../../wire/uapi/ctnetlink.ts';
import type { TcpSide, TcpState } from './tcp-state.ts';

export const WINDOW_ACCEPT = 0;
/** Outside, but not worth calling invalid: it goes on and changes nothing. */
export const WINDOW_IGNORE = 1;
export const WINDOW_INVALID = 2;

/** At least so far behind an acknowledgement may lag (condition IV). */
const MAXACKWINCONST = 66000;
const MAX_SCALE = 14;

/** a < b modulo 2^32. */
export function before(a: number, b: number): boolean {
  return ((a - b) | 0) < 0;
}
function after(a: number, b: number): boolean {
  return ((b - a) | 0) < 0;
}

/** Sequence number behind the segment: data, SYN and FIN counted. */
export function segmentEnd(dv: DataView, at: number, end: number): number {
  const flags = tcp.flags(dv, at);
  const data = end - at - tcp.headerLength(dv, at);
  return (tcp.seq(dv, at) + data + (flags & tcp.SYN ? 1 : 0) + (flags & tcp.FIN ? 1 : 0)) >>> 0;
}

/** Takes window scale and SACK permission from a SYN's options. */
export function readOptions(dv: DataView, at: number, side: TcpSide): void {
  side.scale = 0;
  side.flags &= IP_CT_TCP_FLAG_BE_LIBERAL;
  const end = at + tcp.headerLength(dv, at);
  for (let i = at + tcp.HEADER_LENGTH; i < end; ) {
    const kind = dv.getUint8(i);
    if (kind === tcp.TCPOPT_EOL) return;
    if (kind === tcp.TCPOPT_NOP) {
      i++;
      continue;
    }
    if (i + 2 > end) return;
    const length = dv.getUint8(i + 1);
    if (length < 2 || i + length > end) return;
    if (kind === tcp.TCPOPT_SACK_PERM && length === 2) side.flags |= IP_CT_TCP_FLAG_SACK_PERM;
    else if (kind === tcp.TCPOPT_WINDOW && length === 3) {
      side.scale = Math.min(dv.getUint8(i + 2), MAX_SCALE);
      side.flags |= IP_CT_TCP_FLAG_WINDOW_SCALE;
    }
    i += length;
  }
}

/** The highest sequence number that the segment's SACK blocks acknowledge, from `sack` up. */
function readSack(dv: DataView, at: number, sack: number, offset: number): number {
  const end = at + tcp.headerLength(dv, at);
  for (let i = at + tcp.HEADER_LENGTH; i < end; ) {
    const kind = dv.getUint8(i);
    if (kind === tcp.TCPOPT_EOL) return sack;
    if (kind === tcp.TCPOPT_NOP) {
      i++;
      continue;
    }
    if (i + 2 > end) return sack;
    const length = dv.getUint8(i + 1);
    if (length < 2 || i + length > end) return sack;
    if (kind === tcp.TCPOPT_SACK && length >= 10 && (length - 2) % 8 === 0)
      for (let b = i + 2; b < i + length; b += 8) {
        const right = (dv.getUint32(b + 4) - offset) >>> 0;
        if (after(right, sack)) sack = right;
      }
    i += length;
  }
  return sack;
}

function initSender(
  sender: TcpSide,
  receiver: TcpSide,
  dv: DataView,
  at: number,
  end: number,
  win: number,
  dir: number,
): void {
  sender.end = sender.maxend = end;
  sender.maxwin = win === 0 ? 1 : win;
  readOptions(dv, at, sender);
  // Scaling is on only when both sides asked for it.
  if (dir === IP_CT_DIR_REPLY && !(sender.flags & receiver.flags & IP_CT_TCP_FLAG_WINDOW_SCALE))
    sender.scale = receiver.scale = 0;
}

/** Judges a segment and moves the window; `limit` is one past its last byte, `isAck` true for a plain ACK, `offset`
 * what helpers have added to the numbers that it acknowledges. */
export function inWindow(
  state: TcpState,
  dir: number,
  isAck: boolean,
  dv: DataView,
  at: number,
  limit: number,
  liberal: boolean,
  offset = 0,
): number {
  const sender = state.seen[dir];
  const receiver = state.seen[1 - dir];
  const flags = tcp.flags(dv, at);
  let seq = tcp.seq(dv, at);
  let ack = (tcp.ackSeq(dv, at) - offset) >>> 0;
  let sack = ack;
  const rawWindow = tcp.window(dv, at);
  let win = rawWindow;
  let end = segmentEnd(dv, at, limit);
  const forgiving = liberal || (sender.flags & IP_CT_TCP_FLAG_BE_LIBERAL) !== 0;

  if (receiver.flags & IP_CT_TCP_FLAG_SACK_PERM) sack = readSack(dv, at, sack, offset);

  if (sender.maxwin === 0) {
    // The first segment from this side.
    if (flags & tcp.SYN) {
      initSender(sender, receiver, dv, at, end, win, dir);
      if (!(flags & tcp.ACK)) return WINDOW_ACCEPT; // simultaneous open
    } else {
      // Picked up in the middle: believe what the segment says.
      sender.end = end;
      const scaled = (win << sender.scale) >>> 0;
      sender.maxwin = scaled === 0 ? 1 : scaled;
      sender.maxend = (end + sender.maxwin) >>> 0;
      if (receiver.maxwin === 0) receiver.end = receiver.maxend = sack;
      else if (sack === (receiver.end + 1) >>> 0) receiver.end = sack; // answer to a keepalive
    }
  } else if (
    flags & tcp.SYN &&
    after(end, sender.end) &&
    (state.state === TCP_CONNTRACK_SYN_SENT || state.state === TCP_CONNTRACK_SYN_RECV)
  ) {
    // Another SYN or SYN,ACK of this side, perhaps with another sequence number or other options: start again.
    initSender(sender, receiver, dv, at, end, win, dir);
    if (dir === IP_CT_DIR_REPLY && !(flags & tcp.ACK)) return WINDOW_ACCEPT;
  }

  // Without ACK, or RST,ACK with an empty acknowledgement: pretend that it is fine.
  if (!(flags & tcp.ACK) || (flags & tcp.RST && ack === 0)) ack = sack = receiver.end;
  // A RST in answer to a SYN has no sequence number of its own.
  if (flags & tcp.RST && seq === 0 && state.state === TCP_CONNTRACK_SYN_SENT) seq = end = sender.end;

  const ackWindow = Math.max(sender.maxwin, MAXACKWINCONST);
  if (!before(seq, (sender.maxend + 1) >>> 0)) {
    const overshot = (end - sender.maxend + 1) >>> 0;
    const ackOk = after(sack, (receiver.end - ackWindow - 1) >>> 0);
    const inReceive = receiver.maxwin !== 0 && after(end, (sender.end - receiver.maxwin - 1) >>> 0);
    if (inReceive && ackOk && overshot <= receiver.maxwin && before(sack, (receiver.end + 1) >>> 0)) {
      // Some stacks send a little more than the window: should it pass, its acknowledgement must not be refused.
      sender.end = end;
      sender.flags |= IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED;
      return forgiving ? WINDOW_ACCEPT : WINDOW_IGNORE;
    }
    return forgiving ? WINDOW_ACCEPT : WINDOW_INVALID;
  }
  if (!before(sack, (receiver.end + 1) >>> 0)) return forgiving ? WINDOW_ACCEPT : WINDOW_INVALID;
  if (receiver.maxwin !== 0 && !after(end, (sender.end - receiver.maxwin - 1) >>> 0))
    return forgiving ? WINDOW_ACCEPT : WINDOW_IGNORE;
  if (!after(sack, (receiver.end - ackWindow - 1) >>> 0)) return forgiving ? WINDOW_ACCEPT : WINDOW_IGNORE;

  if (!(flags & tcp.SYN)) win = (win << sender.scale) >>> 0;
  const wide = (win + (sack - ack)) >>> 0;
  if (sender.maxwin < wide) sender.maxwin = wide;
  if (after(end, sender.end)) {
    sender.end = end;
    sender.flags |= IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED;
  }
  if (flags & tcp.ACK) {
    if (!(sender.flags & IP_CT_TCP_FLAG_MAXACK_SET) || after(ack, sender.maxack)) sender.maxack = ack;
    sender.flags |= IP_CT_TCP_FLAG_MAXACK_SET;
  }
  if (receiver.maxwin !== 0 && after(end, sender.maxend))
    receiver.maxwin = (receiver.maxwin + (end - sender.maxend)) >>> 0;
  const edge = (sack + win) >>> 0;
  if (after(edge, (receiver.maxend - 1) >>> 0)) receiver.maxend = (win === 0 ? edge + 1 : edge) >>> 0;
  if (ack === receiver.end) receiver.flags &= ~IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED;

  if (isAck) {
    if (
      state.lastDir === dir &&
      state.lastSeq === seq &&
      state.lastAck === ack &&
      state.lastEnd === end &&
      state.lastWin === rawWindow
    )
      state.retrans = (state.retrans + 1) & 0xff;
    else {
      state.lastDir = dir;
      state.lastSeq = seq;
      state.lastAck = ack;
      state.lastEnd = end;
      state.lastWin = rawWindow;
      state.retrans = 0;
    }
  }
  return WINDOW_ACCEPT;
}
