/**
 * PPTP (RFC 2637): the control connection agrees on two call ids, and the data travels in GRE version 1, whose packets carry the
 * receiver's id only. The helper expects both directions and teaches GRE which two ids are one call (the key map).
 */
import * as ipv4 from '../../../wire/ipv4.ts';
import { IPS_NAT_MASK } from '../../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT } from '../../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack.ts';
import type { Conn } from '../entry.ts';
import { DST, l3num, newTuple, PORTS, PROTO, type Words } from '../tuple.ts';
import { dirOf, isEstablished, type Payload, tcpPayload } from './payload.ts';
import type { Expectation, Helper, HelperData } from './types.ts';

const MAGIC = 0x1a2b3c4d;
const CONTROL = 1;
/** Offsets from the payload's start: header 8 bytes, message type and reserved 4, then the message. */
const BODY = 12;

// Message types.
const START_REQUEST = 1;
const START_REPLY = 2;
const STOP_REQUEST = 3;
const STOP_REPLY = 4;
const OUT_REQUEST = 7;
const OUT_REPLY = 8;
const IN_REQUEST = 9;
const IN_REPLY = 10;
const IN_CONNECT = 11;
const CLEAR_REQUEST = 12;
const DISCONNECT = 13;
const WAN_ERROR = 14;
const SET_LINK = 15;

/** Shortest message of each type, body only. */
const SIZES: ReadonlyMap<number, number> = new Map([
  [START_REQUEST, 144],
  [START_REPLY, 144],
  [STOP_REQUEST, 4],
  [STOP_REPLY, 4],
  [OUT_REQUEST, 156],
  [OUT_REPLY, 20],
  [IN_REQUEST, 208],
  [IN_REPLY, 12],
  [IN_CONNECT, 16],
  [CLEAR_REQUEST, 4],
  [DISCONNECT, 136],
  [WAN_ERROR, 28],
  [SET_LINK, 12],
]);

const NONE = 0;
const REQUESTED = 1;
const CONFIRMED = 2;
const STOPPING = 3;
const ERROR = 4;
const OUT_REQ = 1;
const OUT_CONF = 2;
const IN_REQ = 3;
const IN_REP = 4;
const IN_CONF = 5;
const CLEAR_REQ = 6;

/** Timeouts of the GRE connection: unreplied, stream. */
const GRE_TIMEOUTS: readonly number[] = [600, 5 * 3600];

export type PptpData = HelperData & {
  readonly kind: 'pptp';
  session: number;
  call: number;
  /** Call ids as the other side sees them: the client's (PNS) and the server's (PAC). */
  pns: number;
  pac: number;
  /** The client's own id, when NAT gave it another. */
  natPns: number;
  readonly keys: string[];
};

/** Name of a GRE direction in the key map. */
export function greKey(t: Words, at: number): string {
  const words = Array.from({ length: 8 }, (_, k) => t[at + k]);
  return `${words.join()},${t[at + PROTO]},${t[at + PORTS] & 0xffff}`;
}

function forgetKeys(table: Conntrack, data: PptpData): void {
  for (const key of data.keys.splice(0)) table.greKeys.delete(key);
}

/** The call is over: what was expected, and the connections that came of it, go. */
function endCall(table: Conntrack, ct: Conn, data: PptpData): void {
  forgetKeys(table, data);
  for (const dir of [0, 1]) {
    const t = newTuple();
    for (let k = 0; k < 8; k++) t[k] = ct.words[ct.at(dir) + k];
    t[PROTO] = (l3num(ct.words, ct.at(0)) << 8) | ipv4.IPPROTO_GRE;
    t[PORTS] = dir === 0 ? ((data.pns << 16) | data.pac) >>> 0 : ((data.pac << 16) | data.pns) >>> 0;
    const n = table.find(t);
    if (n >= 0) {
      table.kill(table.entry(n));
      continue;
    }
    const e = table.expectations.find(t, ct.zone);
    if (e !== undefined) table.expectations.remove(e);
  }
}

function inverse(table: Conntrack, e: Expectation): Expectation | undefined {
  const t = newTuple();
  return table.invert(e.tuple, 0, t, 0) ? table.expectations.find(t, e.zone) : undefined;
}

/** Both directions of the call are expected; the first packet of either settles the other. */
function expectCall(table: Conntrack, ct: Conn, data: PptpData, callId: number, peerId: number): void {
  const translated = (ct.status & IPS_NAT_MASK) !== 0 && table.follower !== undefined;
  const made = [0, 1].map((dir) => {
    const [src, dst] = dir === 0 ? [peerId, callId] : [callId, peerId];
    return table.expectations.make(ct, {
      family: l3num(ct.words, ct.at(0)),
      protocol: ipv4.IPPROTO_GRE,
      src: [ct.words, ct.at(dir)],
      dst: [ct.words, ct.at(dir) + DST],
      srcPort: src,
      dstPort: dst,
    });
  });
  for (const [dir, e] of made.entries()) {
    e.dir = dir;
    if (translated) {
      // Inside, the client uses its own id.
      if (dir === 0) {
        e.savedPort = data.pns;
        e.tuple[PORTS] = ((data.natPns << 16) | data.pac) >>> 0;
      } else {
        e.savedPort = data.natPns;
        e.tuple[PORTS] = ((data.pac << 16) | data.pns) >>> 0;
      }
    }
    e.expectfn = (t, fresh) => {
      fresh.timeouts = GRE_TIMEOUTS;
      if (translated) t.follower?.followCall(fresh, e);
      const other = made[1 - dir];
      if (translated ? t.expectations.has(other) : inverse(t, e) !== undefined)
        t.expectations.remove(translated ? other : inverse(t, e)!);
    };
  }
  if (table.expectations.add(made[0]) !== 0) return;
  if (table.expectations.add(made[1]) !== 0) {
    table.expectations.remove(made[0]);
    return;
  }
  forgetKeys(table, data);
  for (const e of made) {
    const key = greKey(e.tuple, 0);
    table.greKeys.set(key, e.tuple[PORTS] >>> 16);
    data.keys.push(key);
  }
}

type Message = { readonly type: number; u16(at: number): number; u8(at: number): number };

/** From the server: true when the message fits the state. */
function inbound(table: Conntrack, ct: Conn, s: PptpData, m: Message): boolean {
  switch (m.type) {
    case START_REPLY:
      if (s.session < REQUESTED) return false;
      s.session = m.u8(2) === 1 ? CONFIRMED : ERROR;
      return true;
    case STOP_REPLY:
      if (s.session > STOPPING) return false;
      s.session = m.u8(0) === 1 ? NONE : ERROR;
      return true;
    case OUT_REPLY: {
      if (s.session !== CONFIRMED || (s.call !== OUT_REQ && s.call !== OUT_CONF)) return false;
      const [id, peer] = [m.u16(0), m.u16(2)];
      if (s.pns !== peer) return false;
      if (m.u8(4) === 1) {
        s.call = OUT_CONF;
        s.pac = id;
        expectCall(table, ct, s, id, peer);
      } else s.call = NONE;
      return true;
    }
    case IN_REQUEST:
      if (s.session !== CONFIRMED) return false;
      s.call = IN_REQ;
      s.pac = m.u16(0);
      return true;
    case IN_CONNECT:
      if (s.session !== CONFIRMED || (s.call !== IN_REP && s.call !== IN_CONF)) return false;
      if (s.pns !== m.u16(0)) return false;
      expectCall(table, ct, s, s.pac, m.u16(0));
      s.call = IN_CONF;
      return true;
    case DISCONNECT:
      s.call = NONE;
      endCall(table, ct, s);
      return true;
    default:
      return m.type === WAN_ERROR || m.type === SET_LINK || m.type === 5 || m.type === 6;
  }
}

function outbound(s: PptpData, m: Message): boolean {
  switch (m.type) {
    case START_REQUEST:
      if (s.session !== NONE) return false;
      s.session = REQUESTED;
      return true;
    case STOP_REQUEST:
      s.session = STOPPING;
      return true;
    case OUT_REQUEST:
      if (s.session !== CONFIRMED) return false;
      s.call = OUT_REQ;
      s.pns = m.u16(0);
      return true;
    case IN_REPLY:
      if (s.session !== CONFIRMED || (s.call !== IN_REQ && s.call !== IN_REP) || s.pac !== m.u16(2)) return false;
      if (m.u8(4) === 1) {
        s.call = IN_REP;
        s.pns = m.u16(0);
      } else s.call = NONE;
      return true;
    case CLEAR_REQUEST:
      if (s.session !== CONFIRMED) return false;
      s.call = CLEAR_REQ;
      return true;
    default:
      return m.type === SET_LINK || m.type === 5 || m.type === 6;
  }
}

/** Where a message carries the client's call id: offset in the body. */
const OUTBOUND_ID: ReadonlyMap<number, number> = new Map([
  [OUT_REQUEST, 0],
  [IN_REPLY, 0],
  [CLEAR_REQUEST, 0],
]);
const INBOUND_ID: ReadonlyMap<number, number> = new Map([
  [OUT_REPLY, 2],
  [IN_CONNECT, 0],
  [WAN_ERROR, 0],
  [SET_LINK, 0],
]);

/** The client's id is replaced by one of the outside, and back. */
function translateId(
  table: Conntrack,
  ct: Conn,
  p: number,
  at: number,
  body: Payload,
  pf: number,
  dir: number,
): number {
  const s = ct.helper?.data as PptpData;
  const type = body.dv.getUint16(body.at + 8);
  const offset = (dir === 0 ? OUTBOUND_ID : INBOUND_ID).get(type);
  if (offset === undefined || table.follower === undefined) return NF_ACCEPT;
  let id = s.natPns;
  if (dir === 0) {
    s.natPns = s.pns;
    // The outside port of the control connection is unique there, so it serves as the call id.
    id = ct.words[ct.at(1) + PORTS] & 0xffff;
    s.pns = id;
  }
  return table.follower.replaceTcp(ct, p, at, dir, pf, BODY + offset, Uint8Array.of(id >> 8, id & 255));
}

export const pptp: Helper = {
  name: 'pptp',
  protocol: ipv4.IPPROTO_TCP,
  policies: [{ name: 'pptp', max: 2, timeout: 300 }],
  newData: (): PptpData => ({ kind: 'pptp', session: NONE, call: NONE, pns: 0, pac: 0, natPns: 0, keys: [] }),
  help(table, ct, p, at, ctinfo, state) {
    const s = ct.helper?.data as PptpData | undefined;
    const body = isEstablished(ctinfo) ? tcpPayload(table, p, at, state.pf) : undefined;
    if (body === undefined || s?.kind !== 'pptp' || body.end - body.at < BODY) return NF_ACCEPT;
    const { dv } = body;
    if (dv.getUint16(body.at + 2) !== CONTROL || dv.getUint32(body.at + 4) !== MAGIC) return NF_ACCEPT;
    const type = dv.getUint16(body.at + 8);
    const size = body.end - body.at - BODY;
    if (size < (SIZES.get(type) ?? 0)) return NF_ACCEPT;
    const from = body.at + BODY;
    const m: Message = {
      type,
      u16: (o) => (o + 2 <= size ? dv.getUint16(from + o) : 0),
      u8: (o) => (o < size ? dv.getUint8(from + o) : 0),
    };
    const dir = dirOf(ctinfo);
    if (!(dir === 0 ? outbound(s, m) : inbound(table, ct, s, m))) return NF_ACCEPT;
    return ct.status & IPS_NAT_MASK ? translateId(table, ct, p, at, body, state.pf, dir) : NF_ACCEPT;
  },
  gone(table, ct) {
    const s = ct.helper?.data as PptpData | undefined;
    if (s?.kind === 'pptp') endCall(table, ct, s);
  },
};
