/** Connections as ctnetlink messages: dumps and events, attribute for attribute in Linux's order. */
import type { Conntrack } from '../../netfilter/conntrack/conntrack.ts';
import { type Conn, ZONE_DIR_BOTH, ZONE_DIR_ORIG, ZONE_DIR_REPL } from '../../netfilter/conntrack/entry.ts';
import { l3num } from '../../netfilter/conntrack/tuple.ts';
import { AttrWriter } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/uapi/netlink.ts';
import {
  NFNL_SUBSYS_CTNETLINK,
  NFNLGRP_CONNTRACK_DESTROY,
  NFNLGRP_CONNTRACK_NEW,
  NFNLGRP_CONNTRACK_UPDATE,
} from '../../wire/uapi/nfnetlink.ts';
import { writeTuple, writeZone } from './tuple.ts';

/** Status bits that only the kernel itself sees. */
const STATUS_MASK = 0xffff;

/** Message type of a ctnetlink command. */
export function ctType(command: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | command;
}

/** Attributes behind an nfgenmsg of this family and resource number. */
export function begin(family: number, resource = 0): AttrWriter {
  return new AttrWriter().raw(Uint8Array.of(family, 0, resource >> 8, resource & 255));
}

function tuples(w: AttrWriter, ct: Conntrack, e: Conn): void {
  w.nest(C.CTA_TUPLE_ORIG, (n) => {
    writeTuple(n, e.words, ct.at(e, 0));
    writeZone(n, C.CTA_TUPLE_ZONE, e.zone, e.zoneDir, ZONE_DIR_ORIG);
  });
  w.nest(C.CTA_TUPLE_REPLY, (n) => {
    writeTuple(n, e.words, ct.at(e, 1));
    writeZone(n, C.CTA_TUPLE_ZONE, e.zone, e.zoneDir, ZONE_DIR_REPL);
  });
  writeZone(w, C.CTA_ZONE, e.zone, e.zoneDir, ZONE_DIR_BOTH);
}

/** TCP and SCTP state; of a connection that is gone only the last state. */
function protoinfo(w: AttrWriter, e: Conn, gone: boolean): void {
  const { tcp, sctp } = e;
  if (tcp !== undefined)
    w.nest(C.CTA_PROTOINFO, (n) => {
      n.nest(C.CTA_PROTOINFO_TCP, (i) => {
        i.u8(C.CTA_PROTOINFO_TCP_STATE, tcp.state);
        if (gone) return;
        i.u8(C.CTA_PROTOINFO_TCP_WSCALE_ORIGINAL, tcp.seen[0].scale);
        i.u8(C.CTA_PROTOINFO_TCP_WSCALE_REPLY, tcp.seen[1].scale);
        i.bytes(C.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL, Uint8Array.of(tcp.seen[0].flags, 0));
        i.bytes(C.CTA_PROTOINFO_TCP_FLAGS_REPLY, Uint8Array.of(tcp.seen[1].flags, 0));
      });
    });
  else if (sctp !== undefined)
    w.nest(C.CTA_PROTOINFO, (n) => {
      n.nest(C.CTA_PROTOINFO_SCTP, (i) => {
        i.u8(C.CTA_PROTOINFO_SCTP_STATE, sctp.state);
        if (gone) return;
        i.beU32(C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL, sctp.vtag(0)).beU32(C.CTA_PROTOINFO_SCTP_VTAG_REPLY, sctp.vtag(1));
      });
    });
}

function counters(w: AttrWriter, ct: Conntrack, e: Conn, reset: boolean): void {
  if (!ct.sysctls.acct && e.packets(0) + e.packets(1) === 0) return;
  for (const dir of [0, 1] as const) {
    w.nest(dir === 0 ? C.CTA_COUNTERS_ORIG : C.CTA_COUNTERS_REPLY, (n) => {
      n.beU64(C.CTA_COUNTERS_PACKETS, BigInt(e.packets(dir))).beU64(C.CTA_COUNTERS_BYTES, BigInt(e.bytes(dir)));
    });
    if (reset) e.setCounters(dir, 0, 0);
  }
}

function timestamps(w: AttrWriter, e: Conn): void {
  if (e.startNs === 0) return;
  w.nest(C.CTA_TIMESTAMP, (n) => {
    n.beU64(C.CTA_TIMESTAMP_START, BigInt(Math.floor(e.startNs)));
    if (e.stopNs !== 0) n.beU64(C.CTA_TIMESTAMP_STOP, BigInt(Math.floor(e.stopNs)));
  });
}

function helper(w: AttrWriter, e: Conn): void {
  const name = e.helper?.name;
  if (name) w.nest(C.CTA_HELP, (n) => n.string(C.CTA_HELP_NAME, name));
}

function labels(w: AttrWriter, e: Conn): void {
  if (e.labels !== undefined) w.bytes(C.CTA_LABELS, new Uint8Array(e.labels.slice().buffer));
}

function seqadj(w: AttrWriter, e: Conn): void {
  const both = e.status & C.IPS_SEQ_ADJUST ? e.extras?.seqadj : undefined;
  if (both === undefined) return;
  for (const dir of [0, 1] as const) {
    w.nest(dir === 0 ? C.CTA_SEQ_ADJ_ORIG : C.CTA_SEQ_ADJ_REPLY, (n) => {
      n.beU32(C.CTA_SEQADJ_CORRECTION_POS, both[dir].correctionPos);
      n.beU32(C.CTA_SEQADJ_OFFSET_BEFORE, both[dir].offsetBefore >>> 0);
      n.beU32(C.CTA_SEQADJ_OFFSET_AFTER, both[dir].offsetAfter >>> 0);
    });
  }
}

function seconds(ct: Conntrack, e: Conn): number {
  return Math.floor(ct.expires(e));
}

/** One connection as an IPCTNL_MSG_CT_NEW message, as dumps and queries answer. */
export function entryMessage(ct: Conntrack, e: Conn, request: Message, flags: number, reset = false, use = 1): Message {
  const w = begin(l3num(e.words, ct.at(e, 0)));
  tuples(w, ct, e);
  w.beU32(C.CTA_STATUS, e.status & STATUS_MASK);
  w.beU32(C.CTA_MARK, e.mark);
  w.beU32(C.CTA_ID, e.id);
  w.beU32(C.CTA_USE, use);
  master(w, ct, e);
  w.beU32(C.CTA_TIMEOUT, seconds(ct, e));
  protoinfo(w, e, false);
  counters(w, ct, e, reset);
  timestamps(w, e);
  helper(w, e);
  labels(w, e);
  seqadj(w, e);
  return { type: ctType(C.IPCTNL_MSG_CT_NEW), flags, seq: request.seq, port: request.port, payload: w.finish() };
}

function master(w: AttrWriter, ct: Conntrack, e: Conn): void {
  const { master: m } = e;
  if (m !== undefined) w.nest(C.CTA_TUPLE_MASTER, (n) => writeTuple(n, m.words, ct.at(m, 0)));
}

/** What happened to a connection, as a message to one multicast group. */
export function eventMessage(ct: Conntrack, e: Conn, events: number): { group: number; message: Message } {
  const has = (event: number): boolean => (events & (1 << event)) !== 0;
  const gone = has(C.IPCT_DESTROY);
  const fresh = has(C.IPCT_NEW) || has(C.IPCT_RELATED);
  const w = begin(l3num(e.words, ct.at(e, 0)));
  tuples(w, ct, e);
  w.beU32(C.CTA_ID, e.id);
  w.beU32(C.CTA_STATUS, e.status & STATUS_MASK);
  w.beU32(C.CTA_TIMEOUT, seconds(ct, e));
  if (gone) {
    counters(w, ct, e, false);
    timestamps(w, e);
    protoinfo(w, e, true);
  } else {
    if (has(C.IPCT_PROTOINFO)) protoinfo(w, e, false);
    if (has(C.IPCT_HELPER) || e.helper !== undefined) helper(w, e);
    if (has(C.IPCT_LABEL)) labels(w, e);
    if (has(C.IPCT_RELATED)) master(w, ct, e);
  }
  if (has(C.IPCT_MARK) || e.mark !== 0) w.beU32(C.CTA_MARK, e.mark);
  if (ct.sysctls.timestamp) w.beU64(C.CTA_TIMESTAMP_EVENT, BigInt(Math.floor(ct.world.epochMs * 1e6 + ct.world.now)));
  const message: Message = {
    type: ctType(gone ? C.IPCTNL_MSG_CT_DELETE : C.IPCTNL_MSG_CT_NEW),
    flags: fresh ? NLM_F_CREATE | NLM_F_EXCL : 0,
    seq: 0,
    port: 0,
    payload: w.finish(),
  };
  const group = gone ? NFNLGRP_CONNTRACK_DESTROY : fresh ? NFNLGRP_CONNTRACK_NEW : NFNLGRP_CONNTRACK_UPDATE;
  return { group, message };
}
