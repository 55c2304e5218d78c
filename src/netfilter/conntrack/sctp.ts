/**
 * SCTP associations (RFC 9260) as a middlebox sees them: verification tags and the state table. Every chunk of a packet
 * moves the state; INIT and INIT ACK announce the tags that the other direction must carry.
 */
import type { HookState } from '../../core/hook.ts';
import { IPPROTO_SCTP } from '../../wire/ipv4.ts';
import * as sctp from '../../wire/sctp.ts';
import {
  IP_CT_DIR_ORIGINAL,
  IP_CT_DIR_REPLY,
  IP_CT_IS_REPLY,
  IPCT_ASSURED,
  IPCT_PROTOINFO,
  IPS_ASSURED,
  SCTP_CONNTRACK_CLOSED,
  SCTP_CONNTRACK_COOKIE_ECHOED,
  SCTP_CONNTRACK_COOKIE_WAIT,
  SCTP_CONNTRACK_ESTABLISHED,
  SCTP_CONNTRACK_HEARTBEAT_SENT,
  SCTP_CONNTRACK_NONE,
  SCTP_CONNTRACK_SHUTDOWN_ACK_SENT,
  SCTP_CONNTRACK_SHUTDOWN_RECD,
  SCTP_CONNTRACK_SHUTDOWN_SENT,
} from '../../wire/uapi/ctnetlink.ts';
import { NF_INET_PRE_ROUTING } from '../../wire/uapi/netfilter.ts';
import type { Conn } from './entry.ts';
import { packetEnd } from './packet.ts';
import type { SctpState } from './sctp-state.ts';
import type { ConntrackSysctls } from './sysctl.ts';
import { CT_ACCEPT, CT_INVALID, portsFromHeader, swapPorts, type Tracker, type TrackerContext } from './tracker.ts';

export const SCTP_STATE_NAMES: readonly string[] = [
  'NONE',
  'CLOSED',
  'COOKIE_WAIT',
  'COOKIE_ECHOED',
  'ESTABLISHED',
  'SHUTDOWN_SENT',
  'SHUTDOWN_RECD',
  'SHUTDOWN_ACK_SENT',
  'HEARTBEAT_SENT',
  'HEARTBEAT_ACKED',
];

const T_FLAG = 1;
const INVALID = 15;
/** Rows of the table by chunk type; other chunks change nothing. */
const ROWS: ReadonlyMap<number, number> = new Map(
  [
    sctp.SCTP_CID_INIT,
    sctp.SCTP_CID_INIT_ACK,
    sctp.SCTP_CID_ABORT,
    sctp.SCTP_CID_SHUTDOWN,
    sctp.SCTP_CID_SHUTDOWN_ACK,
    sctp.SCTP_CID_ERROR,
    sctp.SCTP_CID_COOKIE_ECHO,
    sctp.SCTP_CID_COOKIE_ACK,
    sctp.SCTP_CID_SHUTDOWN_COMPLETE,
    sctp.SCTP_CID_HEARTBEAT,
    sctp.SCTP_CID_HEARTBEAT_ACK,
  ].map((type, row) => [type, row]),
);

/**
 * New state by direction, chunk (ROWS) and old state. Columns: NONE, CLOSED, COOKIE_WAIT, COOKIE_ECHOED, ESTABLISHED,
 * SHUTDOWN_SENT, SHUTDOWN_RECD, SHUTDOWN_ACK_SENT, HEARTBEAT_SENT; x invalid.
 */
const TABLE: readonly (readonly Uint8Array[])[] = [
  [
    '112341172',
    '112345671',
    '111111111',
    '112355671',
    '712347777',
    '112345671',
    '113345671',
    '112445671',
    '112345611',
    '812345678',
    '112345678',
  ],
  [
    'x1234567x',
    'x2234567x',
    'x1111111x',
    'x1236567x',
    'x1234777x',
    'x1214567x',
    'x1334567x',
    'x1244567x',
    'x1234561x',
    'x12345678',
    'x12345674',
  ],
].map((rows) => rows.map((row) => Uint8Array.from(row, (c) => (c === 'x' ? INVALID : Number(c)))));

function newState(dir: number, state: number, chunk: number): number {
  const row = ROWS.get(chunk);
  return row === undefined ? state : TABLE[dir][row][state];
}

const TIMEOUT_KEYS: Readonly<Record<number, keyof ConntrackSysctls>> = {
  [SCTP_CONNTRACK_CLOSED]: 'sctp_timeout_closed',
  [SCTP_CONNTRACK_COOKIE_WAIT]: 'sctp_timeout_cookie_wait',
  [SCTP_CONNTRACK_COOKIE_ECHOED]: 'sctp_timeout_cookie_echoed',
  [SCTP_CONNTRACK_ESTABLISHED]: 'sctp_timeout_established',
  [SCTP_CONNTRACK_SHUTDOWN_SENT]: 'sctp_timeout_shutdown_sent',
  [SCTP_CONNTRACK_SHUTDOWN_RECD]: 'sctp_timeout_shutdown_recd',
  [SCTP_CONNTRACK_SHUTDOWN_ACK_SENT]: 'sctp_timeout_shutdown_ack_sent',
  [SCTP_CONNTRACK_HEARTBEAT_SENT]: 'sctp_timeout_heartbeat_sent',
};

/** The chunks of a packet, as a set of types in order; undefined when they contradict each other. */
function chunksOf(dv: DataView, at: number, end: number): Set<number> | undefined {
  const seen = new Set<number>();
  let alone = false;
  let count = 0;
  for (let c = at + sctp.HEADER_LENGTH; c >= 0 && c + sctp.CHUNK_HEADER_LENGTH <= end; c = sctp.nextChunk(dv, c, end)) {
    const type = sctp.chunkType(dv, c);
    if (type === sctp.SCTP_CID_INIT || type === sctp.SCTP_CID_INIT_ACK || type === sctp.SCTP_CID_SHUTDOWN_COMPLETE)
      alone = true;
    // INIT, INIT ACK and SHUTDOWN COMPLETE come alone; COOKIE ECHO and COOKIE ACK come first.
    const first = type === sctp.SCTP_CID_COOKIE_ACK || type === sctp.SCTP_CID_COOKIE_ECHO || alone;
    if ((first && count > 0) || sctp.chunkLength(dv, c) === 0) return undefined;
    seen.add(type);
    count++;
  }
  return count === 0 ? undefined : seen;
}

function packetOk(ctx: TrackerContext, at: number, end: number, state: HookState): boolean {
  const { slab } = ctx.world;
  if (!sctp.check(end - at)) return false;
  if (state.hook !== NF_INET_PRE_ROUTING || !ctx.sysctls.checksum) return true;
  return sctp.computeChecksum(slab.dv, slab.u8, at, end - at) === sctp.checksum(slab.dv, at);
}

/** Initiate Tag of an INIT or INIT ACK chunk; undefined when it is cut off. */
function initTag(dv: DataView, chunk: number, end: number): number | undefined {
  return chunk + 20 <= end ? dv.getUint32(chunk + 4) : undefined;
}

function open(ct: Conn, dv: DataView, at: number, end: number): boolean {
  const s = ct.openSctp();
  const vtag = sctp.vtag(dv, at);
  for (let c = at + sctp.HEADER_LENGTH; c >= 0 && c + sctp.CHUNK_HEADER_LENGTH <= end; c = sctp.nextChunk(dv, c, end)) {
    const type = sctp.chunkType(dv, c);
    const state = newState(IP_CT_DIR_ORIGINAL, SCTP_CONNTRACK_NONE, type);
    if (state === SCTP_CONNTRACK_NONE || state === INVALID) return false;
    if (type === sctp.SCTP_CID_INIT) {
      const tag = initTag(dv, c, end);
      if (tag === undefined || vtag !== 0) return false;
      s.setVtag(IP_CT_DIR_REPLY, tag);
    } else if (type === sctp.SCTP_CID_HEARTBEAT) s.setVtag(IP_CT_DIR_ORIGINAL, vtag);
    // Out of the blue: the SHUTDOWN COMPLETE that answers will reflect the tag (RFC 9260, 8.4).
    else if (type === sctp.SCTP_CID_SHUTDOWN_ACK) s.setVtag(IP_CT_DIR_REPLY, vtag);
  }
  return true;
}

/** Chunks that have tag rules of their own (RFC 9260, 8.5.1). */
const OWN_TAG_RULES: readonly number[] = [
  sctp.SCTP_CID_INIT,
  sctp.SCTP_CID_SHUTDOWN_COMPLETE,
  sctp.SCTP_CID_COOKIE_ECHO,
  sctp.SCTP_CID_ABORT,
  sctp.SCTP_CID_SHUTDOWN_ACK,
  sctp.SCTP_CID_HEARTBEAT,
  sctp.SCTP_CID_HEARTBEAT_ACK,
];

const OK = 0;
const WRONG = 1;
/** Passes, but changes nothing and does not prolong the association. */
const PASS = 2;

function checkTag(s: SctpState, dir: number, type: number, flags: number, vtag: number, hasData: boolean): number {
  switch (type) {
    case sctp.SCTP_CID_INIT:
      return vtag === 0 ? OK : WRONG;
    case sctp.SCTP_CID_ABORT:
    case sctp.SCTP_CID_SHUTDOWN_COMPLETE:
      return vtag === s.vtag(flags & T_FLAG ? 1 - dir : dir) ? OK : WRONG;
    case sctp.SCTP_CID_COOKIE_ECHO:
      return vtag === s.vtag(dir) ? OK : WRONG;
    case sctp.SCTP_CID_HEARTBEAT:
      if (s.vtag(dir) === 0) s.setVtag(dir, vtag);
      else if (vtag !== s.vtag(dir)) {
        if (hasData) return WRONG;
        s.vtagFailed = true;
        s.lastDir = dir;
        return PASS;
      } else s.vtagFailed = false;
      return OK;
    case sctp.SCTP_CID_HEARTBEAT_ACK:
      if (s.vtag(dir) === 0) s.setVtag(dir, vtag);
      else if (vtag !== s.vtag(dir)) {
        if (hasData || !s.vtagFailed || s.lastDir === dir) return WRONG;
        // The answer to a heartbeat with a new tag: the association was set up anew behind our back.
        s.vtagFailed = false;
        s.setVtag(dir, vtag);
        s.setVtag(1 - dir, 0);
      } else s.vtagFailed = false;
      return OK;
    default:
      return OK;
  }
}

function packet(ctx: TrackerContext, ct: Conn, p: number, at: number, ctinfo: number, state: HookState): number {
  const { dv } = ctx.world.slab;
  const end = packetEnd(ctx.world.slab, p, state.pf);
  if (!packetOk(ctx, at, end, state)) return CT_INVALID;
  const chunks = chunksOf(dv, at, end);
  if (chunks === undefined) return CT_INVALID;
  if (!ct.confirmed && !open(ct, dv, at, end)) return CT_INVALID;
  const s = ct.sctp;
  if (s === undefined) return CT_INVALID;
  const dir = ctinfo >= IP_CT_IS_REPLY ? 1 : 0;
  const vtag = sctp.vtag(dv, at);
  if (!OWN_TAG_RULES.some((type) => chunks.has(type)) && vtag !== s.vtag(dir)) return CT_INVALID;

  let old = SCTP_CONNTRACK_NONE;
  let next = SCTP_CONNTRACK_NONE;
  let pass = false;
  const hasData = chunks.has(sctp.SCTP_CID_DATA);
  for (let c = at + sctp.HEADER_LENGTH; c >= 0 && c + sctp.CHUNK_HEADER_LENGTH <= end; c = sctp.nextChunk(dv, c, end)) {
    const type = sctp.chunkType(dv, c);
    const tag = checkTag(s, dir, type, sctp.chunkFlags(dv, c), vtag, hasData || pass);
    if (tag === WRONG) return CT_INVALID;
    if (tag === PASS) {
      pass = true;
      continue;
    }
    if (type === sctp.SCTP_CID_COOKIE_ACK) {
      s.setInit(0, false);
      s.setInit(1, false);
    }
    old = s.state;
    next = newState(dir, old, type);
    if (next === INVALID) return CT_INVALID;
    if (type === sctp.SCTP_CID_INIT) {
      const its = initTag(dv, c, end);
      if (its === undefined) return CT_INVALID;
      if (s.init(dir) && s.init(1 - dir)) s.setInit(1 - dir, false);
      s.setInit(dir, true);
      s.setVtag(1 - dir, its);
      // A repeated INIT does not keep a closed association alive.
      if (next === SCTP_CONNTRACK_CLOSED && old === SCTP_CONNTRACK_CLOSED && ct.confirmed) pass = true;
    } else if (type === sctp.SCTP_CID_INIT_ACK) {
      const its = initTag(dv, c, end);
      if (its === undefined) return CT_INVALID;
      const known = s.vtag(1 - dir);
      // Both sides began at once, or the tag is already settled: it must be the same.
      if (!s.init(1 - dir) && known !== 0 && known !== its) return CT_INVALID;
      if (s.init(dir) && s.init(1 - dir) && known !== its) return CT_INVALID;
      s.setVtag(1 - dir, its);
    }
    s.state = next;
    if (old !== next) ctx.event(ct, IPCT_PROTOINFO);
    if (old !== next && next === SCTP_CONNTRACK_ESTABLISHED && !(ct.status & IPS_ASSURED)) {
      ct.status |= IPS_ASSURED;
      ctx.event(ct, IPCT_ASSURED);
    }
  }
  if (pass) return CT_ACCEPT;
  ctx.refresh(ct, ctinfo, p, ct.timeouts?.[next] ?? ctx.sysctls[TIMEOUT_KEYS[next]] ?? 0);
  return CT_ACCEPT;
}

export const sctpTracker: Tracker = {
  protocol: IPPROTO_SCTP,
  name: 'sctp',
  allowClash: false,
  ports: portsFromHeader,
  invert: swapPorts,
  packet,
  canEarlyDrop: (ct) =>
    ct.sctp !== undefined &&
    ct.sctp.state >= SCTP_CONNTRACK_SHUTDOWN_SENT &&
    ct.sctp.state <= SCTP_CONNTRACK_SHUTDOWN_ACK_SENT,
  stateName: (ct) => SCTP_STATE_NAMES[ct.sctp?.state ?? 0],
};
