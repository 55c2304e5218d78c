/**
 * Netlink messages (`struct nlmsghdr`) and datagrams of several messages. See netlink(7), RFC 3549.
 *
 *     0         4      6      8         12       16
 *     | length  | type | flags| sequence| port   | payload ...  (next message starts at a multiple of 4)
 */
import {
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  NLMSGERR_ATTR_OFFS,
} from '../uapi/netlink.ts';
import { attrMap, getString, getU32 } from './attr.ts';

export const NLMSG_HDRLEN = 16;

/** One message: header fields and payload (family header + attributes). */
export type Message = {
  readonly type: number;
  readonly flags: number;
  readonly seq: number;
  readonly port: number;
  /** Family header and attributes, without the 16 header bytes. */
  readonly payload: Uint8Array;
};

/** Encodes messages one after another into one datagram. */
export function emitMessages(messages: readonly Message[]): Uint8Array {
  const total = messages.reduce((sum, m) => sum + ((NLMSG_HDRLEN + m.payload.length + 3) & ~3), 0);
  const out = new Uint8Array(total);
  const view = new DataView(out.buffer);
  let at = 0;
  for (const m of messages) {
    view.setUint32(at, NLMSG_HDRLEN + m.payload.length, true);
    view.setUint16(at + 4, m.type, true);
    view.setUint16(at + 6, m.flags, true);
    view.setUint32(at + 8, m.seq, true);
    view.setUint32(at + 12, m.port, true);
    out.set(m.payload, at + NLMSG_HDRLEN);
    at += (NLMSG_HDRLEN + m.payload.length + 3) & ~3;
  }
  return out;
}

/** Splits a datagram into messages; stops at a header whose length does not fit, as `NLMSG_OK`. */
export function parseMessages(datagram: Uint8Array): Message[] {
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  const messages: Message[] = [];
  let at = 0;
  while (at + NLMSG_HDRLEN <= datagram.length) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HDRLEN || at + length > datagram.length) break;
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      seq: view.getUint32(at + 8, true),
      port: view.getUint32(at + 12, true),
      payload: datagram.subarray(at + NLMSG_HDRLEN, at + length),
    });
    at += (length + 3) & ~3;
  }
  return messages;
}

/** What an `NLMSG_ERROR` message says: errno (positive; 0 is an acknowledgement) and extended acknowledgement. */
export type Ack = {
  readonly seq: number;
  readonly errno: number;
  /** Extack text, if the kernel gave one. */
  readonly message?: string;
  /** Byte offset, from the start of the offending message's header, of the attribute at fault. */
  readonly offset?: number;
};

/** Reads an `NLMSG_ERROR` (or an errno in `NLMSG_DONE`); undefined for other messages. */
export function readAck(m: Message): Ack | undefined {
  if ((m.type !== NLMSG_ERROR && m.type !== NLMSG_DONE) || m.payload.length < 4) return undefined;
  const view = new DataView(m.payload.buffer, m.payload.byteOffset, m.payload.byteLength);
  const errno = -view.getInt32(0, true) || 0;
  if (m.type === NLMSG_DONE || !(m.flags & NLM_F_ACK_TLVS)) return { seq: m.seq, errno };
  const original = m.flags & NLM_F_CAPPED || m.payload.length < 20 ? NLMSG_HDRLEN : (view.getUint32(4, true) + 3) & ~3;
  const attrs = attrMap(m.payload, Math.min(4 + original, m.payload.length));
  const text = attrs.get(NLMSGERR_ATTR_MSG);
  const offset = attrs.get(NLMSGERR_ATTR_OFFS);
  return {
    seq: m.seq,
    errno,
    ...(text && { message: getString(text.payload) }),
    ...(offset && { offset: getU32(offset.payload) }),
  };
}

/** A request asking for an acknowledgement. */
export function request(type: number, flags: number, seq: number, payload: Uint8Array): Message {
  return { type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, seq, port: 0, payload };
}

/**
 * The waist every tool talks through: a netlink socket of one protocol (NETLINK_ROUTE 0, NETLINK_NETFILTER 12,
 * NETLINK_GENERIC 16, NETLINK_SOCK_DIAG 4) to one host.
 * `send` delivers one datagram and returns all the response messages it caused, in order (dumps end in NLMSG_DONE).
 * netloom's hosts answer synchronously; a real kernel socket does it by reading until every request is answered.
 */
export type NetlinkSocket = {
  send(datagram: Uint8Array): Message[];
  /**
   * Joins multicast groups (RTNLGRP_*, NFNLGRP_*): their notifications go to `receive` as they happen, until the function
   * returned is called. Transports that cannot hear notifications leave it out.
   */
  join?(groups: readonly number[], receive: GroupListener): () => void;
};

/** Hears the notifications of multicast groups. Must not throw: it may be called while a packet is on its way. */
export type GroupListener = (m: Message, group: number) => void;

/** Opens netlink sockets to one host. */
export type NetlinkTransport = {
  open(protocol: number): NetlinkSocket;
};
