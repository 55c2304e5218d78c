/**
 * TCP connections (RFC 9293) as a middlebox sees them: the state table, the window (tcp-window.ts), and the cases in which
 * the ends know more than we do: reused ports, challenge ACKs (RFC 5961), resets, simultaneous open.
 * A connection that lives on although we think otherwise must resynchronise; a forged segment must not close one.
 */
import type { HookState } from '../../core/hook.ts';
import { IPPROTO_TCP } from '../../wire/ipv4.ts';
import * as tcp from '../../wire/tcp.ts';
import {
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IP_CT_EXP_CHALLENGE_ACK,
  IP_CT_IS_REPLY,
  IP_CT_TCP_FLAG_BE_LIBERAL,
  IP_CT_TCP_FLAG_CLOSE_INIT,
  IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED,
  IP_CT_TCP_FLAG_MAXACK_SET,
  IP_CT_TCP_FLAG_SACK_PERM,
  IP_CT_TCP_FLAG_WINDOW_SCALE,
  IP_CT_TCP_SIMULTANEOUS_OPEN,
  IPCT_ASSURED,
  IPCT_PROTOINFO,
  IPS_ASSURED,
  IPS_FIXED_TIMEOUT,
  IPS_SEEN_REPLY,
  IPS_SEQ_ADJUST,
  TCP_CONNTRACK_CLOSE,
  TCP_CONNTRACK_CLOSE_WAIT,
  TCP_CONNTRACK_ESTABLISHED,
  TCP_CONNTRACK_FIN_WAIT,
  TCP_CONNTRACK_LAST_ACK,
  TCP_CONNTRACK_NONE,
  TCP_CONNTRACK_RETRANS,
  TCP_CONNTRACK_SYN_RECV,
  TCP_CONNTRACK_SYN_SENT,
  TCP_CONNTRACK_SYN_SENT2,
  TCP_CONNTRACK_TIME_WAIT,
  TCP_CONNTRACK_UNACK,
} from '../../wire/uapi/ctnetlink.ts';
import { NF_INET_PRE_ROUTING } from '../../wire/uapi/netfilter.ts';
import type { Conn } from './entry.ts';
import { packetEnd, transportChecksumOk } from './packet.ts';
import { seqOffset } from './seqadj.ts';
import type { ConntrackSysctls } from './sysctl.ts';
import type { TcpSide, TcpState } from './tcp-state.ts';
import { before, inWindow, readOptions, segmentEnd, WINDOW_ACCEPT, WINDOW_IGNORE } from './tcp-window.ts';
import {
  CT_ACCEPT,
  CT_DROP,
  CT_INVALID,
  CT_REPEAT,
  portsFromHeader,
  swapPorts,
  type Tracker,
  type TrackerContext,
} from './tracker.ts';

/** State names as listings print them. */
export const TCP_STATE_NAMES: readonly string[] = [
  'NONE',
  'SYN_SENT',
  'SYN_RECV',
  'ESTABLISHED',
  'FIN_WAIT',
  'CLOSE_WAIT',
  'LAST_ACK',
  'TIME_WAIT',
  'CLOSE',
  'SYN_SENT2',
];

// Kinds of segments, the rows of the table.
const SYN = 0;
const SYNACK = 1;
const FIN = 2;
const ACK = 3;
const RST = 4;
const NONE = 5;

const INVALID = 10;
const IGNORE = 11;

/**
 * New state by direction, kind of segment and old state. Columns: NONE, SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT,
 * CLOSE_WAIT, LAST_ACK, TIME_WAIT, CLOSE, SYN_SENT2. A digit is the new state, x invalid, i ignored: the
 * segment may mean that the ends know better; it passes and waits for what the other end says.
 */
const TABLE: readonly (readonly Uint8Array[])[] = [
  ['11iiiii119', 'xx2xxxxxx2', 'xx446667 8x', '3x33557 78x', 'x888888888', 'xxxxxxxxxx'],
  ['x9xxxxx1x9', 'x2iiiiiii2', 'xx446667 8x', 'xi235577 8i', 'x888888888', 'xxxxxxxxxx'],
].map((rows) => rows.map(parseRow));

function parseRow(row: string): Uint8Array {
  return Uint8Array.from(row.replaceAll(' ', ''), (c) => (c === 'x' ? INVALID : c === 'i' ? IGNORE : Number(c)));
}

/** Flag combinations (without PSH, ECE, CWR) that a segment may carry. */
const VALID_FLAGS: ReadonlySet<number> = new Set([
  tcp.SYN,
  tcp.SYN | tcp.URG,
  tcp.SYN | tcp.ACK,
  tcp.RST,
  tcp.RST | tcp.ACK,
  tcp.FIN | tcp.ACK,
  tcp.FIN | tcp.ACK | tcp.URG,
  tcp.ACK,
  tcp.ACK | tcp.URG,
]);

function kindOf(flags: number): number {
  if (flags & tcp.RST) return RST;
  if (flags & tcp.SYN) return flags & tcp.ACK ? SYNACK : SYN;
  if (flags & tcp.FIN) return FIN;
  return flags & tcp.ACK ? ACK : NONE;
}

/** Sysctl of each state's timeout, by state number (RETRANS and UNACK behind). */
const TIMEOUT_KEYS: Readonly<Record<number, keyof ConntrackSysctls>> = {
  [TCP_CONNTRACK_SYN_SENT]: 'tcp_timeout_syn_sent',
  [TCP_CONNTRACK_SYN_RECV]: 'tcp_timeout_syn_recv',
  [TCP_CONNTRACK_ESTABLISHED]: 'tcp_timeout_established',
  [TCP_CONNTRACK_FIN_WAIT]: 'tcp_timeout_fin_wait',
  [TCP_CONNTRACK_CLOSE_WAIT]: 'tcp_timeout_close_wait',
  [TCP_CONNTRACK_LAST_ACK]: 'tcp_timeout_last_ack',
  [TCP_CONNTRACK_TIME_WAIT]: 'tcp_timeout_time_wait',
  [TCP_CONNTRACK_CLOSE]: 'tcp_timeout_close',
  [TCP_CONNTRACK_SYN_SENT2]: 'tcp_timeout_syn_sent',
  [TCP_CONNTRACK_RETRANS]: 'tcp_timeout_max_retrans',
  [TCP_CONNTRACK_UNACK]: 'tcp_timeout_unacknowledged',
};

function timeoutOf(ctx: TrackerContext, ct: Conn, state: number): number {
  return ct.timeouts?.[state] ?? ctx.sysctls[TIMEOUT_KEYS[state]];
}

function segmentOk(ctx: TrackerContext, p: number, at: number, end: number, state: HookState): boolean {
  const { slab } = ctx.world;
  if (!tcp.check(slab.dv, at, end - at)) return false;
  if (state.hook === NF_INET_PRE_ROUTING && ctx.sysctls.checksum)
    if (!transportChecksumOk(slab, p, state.pf, IPPROTO_TCP, at, end)) return false;
  return VALID_FLAGS.has(tcp.flags(slab.dv, at) & ~(tcp.ECE | tcp.CWR | tcp.PSH));
}

/** A first segment: false when it cannot open a connection. */
function open(ctx: TrackerContext, ct: Conn, dv: DataView, at: number, end: number): boolean {
  const state = TABLE[0][kindOf(tcp.flags(dv, at))][TCP_CONNTRACK_NONE];
  if (state === INVALID || state === IGNORE) return false;
  if (state !== TCP_CONNTRACK_SYN_SENT && !ctx.sysctls.tcp_loose) return false;
  const t = ct.openTcp();
  const [side, other] = t.seen;
  side.end = segmentEnd(dv, at, end);
  side.maxwin = tcp.window(dv, at) || 1;
  if (state === TCP_CONNTRACK_SYN_SENT) {
    side.maxend = side.end;
    readOptions(dv, at, side);
  } else {
    // In the middle of a connection whose history we do not know: trust the ends.
    side.maxend = (side.end + side.maxwin) >>> 0;
    side.flags = other.flags = IP_CT_TCP_FLAG_SACK_PERM | IP_CT_TCP_FLAG_BE_LIBERAL;
  }
  return true;
}

function established(ct: Conn, t: TcpState): boolean {
  return t.state === TCP_CONNTRACK_ESTABLISHED && (ct.status & IPS_ASSURED) !== 0;
}

function closing(t: TcpState): boolean {
  return t.state >= TCP_CONNTRACK_FIN_WAIT && t.state <= TCP_CONNTRACK_CLOSE;
}

/** A closing segment outside the window: should the other end close too, the entry does not stay for days. */
function shortenAfterInvalid(ctx: TrackerContext, ct: Conn, t: TcpState, dir: number, kind: number): void {
  if (!(ct.status & IPS_ASSURED) || ct.status & IPS_FIXED_TIMEOUT || (kind !== RST && kind !== FIN)) return;
  if (t.lastDir !== dir && (t.lastIndex === FIN || t.lastIndex === RST)) {
    const left = ctx.expires(ct);
    if (left < 120) return;
    const timeout = timeoutOf(ctx, ct, TCP_CONNTRACK_UNACK);
    if (left > timeout) ctx.setTimeout(ct, timeout);
  } else {
    t.lastIndex = kind;
    t.lastDir = dir;
  }
}

/** What is to be done with a segment after the special cases of its new state. */
const CHECK_WINDOW = 100;
const SKIP_WINDOW = 101;

/** An ignored segment: it is remembered, and when the other end answers it, tracking follows the ends. */
function remember(t: TcpState, dir: number, kind: number, old: number, dv: DataView, at: number, end: number): void {
  t.lastIndex = kind;
  t.lastDir = dir;
  t.lastSeq = tcp.seq(dv, at);
  t.lastEnd = segmentEnd(dv, at, end);
  t.lastWin = tcp.window(dv, at);
  if (kind === SYN && dir === IP_CT_DIR_ORIGINAL) {
    const side: TcpSide = { end: 0, maxend: 0, maxwin: 0, maxack: 0, scale: 0, flags: 0 };
    readOptions(dv, at, side);
    t.lastFlags = side.flags & (IP_CT_TCP_FLAG_WINDOW_SCALE | IP_CT_TCP_FLAG_SACK_PERM);
    t.lastWscale = side.flags & IP_CT_TCP_FLAG_WINDOW_SCALE ? side.scale : 0;
    // The far end may answer with a challenge ACK, which must not be taken for the ACK of the last FIN.
    if (old === TCP_CONNTRACK_LAST_ACK) t.lastFlags |= IP_CT_EXP_CHALLENGE_ACK;
  }
  if (old === TCP_CONNTRACK_SYN_SENT && kind === ACK && dir === IP_CT_DIR_REPLY) t.lastAck = tcp.ackSeq(dv, at);
}

/** A SYN,ACK that answers a SYN we ignored: both ends are in step, we were not. */
function resynchronise(t: TcpState, dir: number): void {
  const side = t.seen[t.lastDir];
  side.end = side.maxend = t.lastEnd;
  side.maxwin = t.lastWin || 1;
  side.scale = t.lastWscale;
  t.lastFlags &= ~IP_CT_EXP_CHALLENGE_ACK;
  side.flags = t.lastFlags;
  const other = t.seen[dir];
  const flags = other.flags & IP_CT_TCP_FLAG_BE_LIBERAL;
  other.end = other.maxend = other.maxwin = other.maxack = other.scale = 0;
  other.flags = flags;
}

/** A reset that the table takes for the end: CT_INVALID, SKIP_WINDOW, the old state (stay), or CHECK_WINDOW. */
function judgeReset(ctx: TrackerContext, ct: Conn, t: TcpState, dir: number, dv: DataView, at: number): number {
  if (closing(t)) return SKIP_WINDOW; // the ports may already be used anew
  const seq = tcp.seq(dv, at);
  const peer = t.seen[1 - dir];
  let stay = false;
  if (peer.flags & IP_CT_TCP_FLAG_MAXACK_SET && t.lastIndex !== SYN) {
    // Sequence 0 outside of an established connection: most likely the answer to a SYN that was let through.
    if (seq === 0 && !established(ct, t)) return CHECK_WINDOW;
    if (before(seq, peer.maxack) && !ctx.sysctls.tcp_ignore_invalid_rst) return CT_INVALID;
    if (!established(ct, t) || seq === peer.maxack) return CHECK_WINDOW;
    // Directly behind the data sent before it: believable. Otherwise a challenge ACK may follow, so the state stays.
    if (t.lastIndex === ACK && t.lastDir === dir && seq === t.lastEnd) return CHECK_WINDOW;
    stay = true;
  }
  if (
    tcp.ackSeq(dv, at) === t.lastEnd &&
    ((ct.status & IPS_SEEN_REPLY && t.lastIndex === SYN && t.lastDir !== dir) ||
      (!(ct.status & IPS_ASSURED) && t.lastIndex === ACK))
  )
    return stay ? t.state : SKIP_WINDOW;
  // In answer to a challenge ACK that was let through.
  if (t.state === TCP_CONNTRACK_SYN_SENT && t.lastIndex === ACK && t.lastDir === IP_CT_DIR_REPLY && seq === t.lastAck)
    return SKIP_WINDOW;
  return stay ? t.state : CHECK_WINDOW;
}

function packet(ctx: TrackerContext, ct: Conn, p: number, at: number, ctinfo: number, state: HookState): number {
  const { dv } = ctx.world.slab;
  const end = packetEnd(ctx.world.slab, p, state.pf);
  if (!segmentOk(ctx, p, at, end, state)) return CT_INVALID;
  if (!ct.confirmed && !open(ctx, ct, dv, at, end)) return CT_INVALID;
  const t = ct.tcp;
  if (t === undefined) return CT_INVALID;
  const dir = ctinfo >= IP_CT_IS_REPLY ? 1 : 0;
  const kind = kindOf(tcp.flags(dv, at));
  let old = t.state;
  let next = TABLE[dir][kind][old];
  let windowed = true;

  // A SYN on a connection that is over: both ends closed it, or it was reset. Make room for a new one.
  if (next === TCP_CONNTRACK_SYN_SENT && old >= TCP_CONNTRACK_TIME_WAIT) {
    const closedByFin = ((t.seen[0].flags | t.seen[1].flags) & IP_CT_TCP_FLAG_CLOSE_INIT) !== 0;
    if (closedByFin || (t.lastDir === dir && t.lastIndex === RST)) return ctx.kill(ct) ? CT_REPEAT : CT_DROP;
    next = IGNORE;
  }
  switch (next) {
    case INVALID:
      return CT_INVALID;
    case IGNORE:
      if (kind === SYNACK && t.lastIndex === SYN && t.lastDir !== dir && tcp.ackSeq(dv, at) === t.lastEnd) {
        old = TCP_CONNTRACK_SYN_SENT;
        next = TCP_CONNTRACK_SYN_RECV;
        resynchronise(t, dir);
        break;
      }
      remember(t, dir, kind, old, dv, at, end);
      return CT_ACCEPT;
    case TCP_CONNTRACK_TIME_WAIT:
      if (
        old === TCP_CONNTRACK_LAST_ACK &&
        kind === ACK &&
        t.lastDir !== dir &&
        t.lastIndex === SYN &&
        t.lastFlags & IP_CT_EXP_CHALLENGE_ACK
      ) {
        t.lastFlags &= ~IP_CT_EXP_CHALLENGE_ACK;
        return CT_ACCEPT;
      }
      break;
    case TCP_CONNTRACK_SYN_SENT2:
      t.lastFlags |= IP_CT_TCP_SIMULTANEOUS_OPEN;
      break;
    case TCP_CONNTRACK_SYN_RECV:
      if (dir === IP_CT_DIR_REPLY && kind === ACK && t.lastFlags & IP_CT_TCP_SIMULTANEOUS_OPEN)
        next = TCP_CONNTRACK_ESTABLISHED;
      break;
    case TCP_CONNTRACK_CLOSE: {
      if (kind !== RST) break;
      const judged = judgeReset(ctx, ct, t, dir, dv, at);
      if (judged === CT_INVALID) return CT_INVALID;
      if (judged === SKIP_WINDOW) windowed = false;
      else if (judged !== CHECK_WINDOW) next = judged;
      break;
    }
  }

  if (windowed) {
    // The other side acknowledges numbers that a helper's changes have moved.
    const offset = ct.status & IPS_SEQ_ADJUST ? seqOffset(ct, 1 - dir, (tcp.ackSeq(dv, at) - 1) >>> 0) : 0;
    const answer = inWindow(t, dir, kind === ACK, dv, at, end, ctx.sysctls.tcp_be_liberal !== 0, offset);
    if (answer === WINDOW_IGNORE) return CT_ACCEPT;
    if (answer !== WINDOW_ACCEPT) {
      shortenAfterInvalid(ctx, ct, t, dir, kind);
      return CT_INVALID;
    }
  }
  t.lastIndex = kind;
  t.lastDir = dir;
  t.state = next;
  if (old !== next && next === TCP_CONNTRACK_FIN_WAIT) t.seen[dir].flags |= IP_CT_TCP_FLAG_CLOSE_INIT;
  let timeout = chooseTimeout(ctx, ct, t, next, kind);
  if (old !== next) ctx.event(ct, IPCT_PROTOINFO);

  if (!(ct.status & IPS_SEEN_REPLY)) {
    // Nothing but a reset came back: there never was a connection.
    if (kind === RST) {
      ctx.kill(ct);
      return CT_ACCEPT;
    }
    // A repeated SYN does not keep the entry alive.
    if (kind === SYN && old === TCP_CONNTRACK_SYN_SENT) return CT_ACCEPT;
    if (next === TCP_CONNTRACK_ESTABLISHED) timeout = Math.min(timeout, timeoutOf(ctx, ct, TCP_CONNTRACK_UNACK));
  } else if (
    !(ct.status & IPS_ASSURED) &&
    (old === TCP_CONNTRACK_SYN_RECV || old === TCP_CONNTRACK_ESTABLISHED) &&
    next === TCP_CONNTRACK_ESTABLISHED
  ) {
    ct.status |= IPS_ASSURED;
    ctx.event(ct, IPCT_ASSURED);
  }
  ctx.refresh(ct, ctinfo, p, timeout);
  return CT_ACCEPT;
}

/** The state's timeout, shorter while something hangs: retransmissions, unacknowledged data, a closed window. */
function chooseTimeout(ctx: TrackerContext, ct: Conn, t: TcpState, state: number, kind: number): number {
  const own = timeoutOf(ctx, ct, state);
  const retrans = timeoutOf(ctx, ct, TCP_CONNTRACK_RETRANS);
  const unack = timeoutOf(ctx, ct, TCP_CONNTRACK_UNACK);
  if (t.retrans >= ctx.sysctls.tcp_max_retrans && own > retrans) return retrans;
  if (kind === RST) return timeoutOf(ctx, ct, TCP_CONNTRACK_CLOSE);
  if ((t.seen[0].flags | t.seen[1].flags) & IP_CT_TCP_FLAG_DATA_UNACKNOWLEDGED && own > unack) return unack;
  if (t.lastWin === 0 && own > retrans) return retrans;
  return own;
}

export const tcpTracker: Tracker = {
  protocol: IPPROTO_TCP,
  name: 'tcp',
  allowClash: false,
  ports: portsFromHeader,
  invert: swapPorts,
  packet,
  canEarlyDrop: (ct) => ct.tcp !== undefined && closing(ct.tcp),
  stateName: (ct) => TCP_STATE_NAMES[ct.tcp?.state ?? 0],
};
