/**
 * What helpers share: where a segment's or datagram's payload lies, reading text in it, and the way a rewritten payload is asked
 * for. Payloads are hostile: everything stays between `at` and `end`.
 */
import * as tcp from '../../../wire/tcp.ts';
import {
  IP_CT_ESTABLISHED,
  IP_CT_ESTABLISHED_REPLY,
  IP_CT_IS_REPLY,
  IPS_NAT_MASK,
} from '../../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_DROP } from '../../../wire/uapi/netfilter.ts';
import * as udp from '../../../wire/udp.ts';
import type { Conntrack } from '../conntrack.ts';
import type { Conn } from '../entry.ts';
import { packetEnd } from '../packet.ts';
import type { Expectation } from './types.ts';

/** Bytes `[at, end)` of the slab. */
export type Payload = { readonly dv: DataView; at: number; readonly end: number };

/** A TCP segment's payload; undefined: there is none. */
export function tcpPayload(table: Conntrack, p: number, at: number, pf: number): Payload | undefined {
  const { dv } = table.slab;
  const end = packetEnd(table.slab, p, pf);
  if (at + tcp.HEADER_LENGTH > end) return undefined;
  const from = at + tcp.headerLength(dv, at);
  return from < end ? { dv, at: from, end } : undefined;
}

/** A UDP datagram's payload; undefined: there is none. */
export function udpPayload(table: Conntrack, p: number, at: number, pf: number): Payload | undefined {
  const end = packetEnd(table.slab, p, pf);
  const from = at + udp.HEADER_LENGTH;
  return from < end ? { dv: table.slab.dv, at: from, end } : undefined;
}

export function isEstablished(ctinfo: number): boolean {
  return ctinfo === IP_CT_ESTABLISHED || ctinfo === IP_CT_ESTABLISHED_REPLY;
}

export function dirOf(ctinfo: number): number {
  return ctinfo >= IP_CT_IS_REPLY ? 1 : 0;
}

/** The payload as text, one character per byte; at most `max` bytes. */
export function textOf(b: Payload, max = 4096): string {
  let out = '';
  const end = Math.min(b.end, b.at + max);
  for (let i = b.at; i < end; i++) out += String.fromCharCode(b.dv.getUint8(i));
  return out;
}

export function bytesOfText(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

/**
 * NAT's part of a helper: given the expectation, it finds a free port, enters it, and rewrites what the payload says at
 * `offset` (from the payload's start, `length` bytes) to `text(port)`. NF_DROP when it cannot.
 */
export type Follow = {
  readonly offset: number;
  readonly length: number;
  /** The direction whose addresses the new connection is to be translated to. */
  readonly dir: number;
  readonly savedPort: number;
  /** What replaces the bytes; undefined: nothing is rewritten. */
  readonly text?: (port: number) => string;
};

/** Enters an expectation, through NAT when the connection is translated. */
export function expectConnection(
  table: Conntrack,
  ct: Conn,
  p: number,
  at: number,
  ctinfo: number,
  pf: number,
  e: Expectation,
  follow?: Follow,
): number {
  if (follow !== undefined && table.follower !== undefined && ct.status & IPS_NAT_MASK)
    return table.follower.follow(ct, p, at, ctinfo, pf, e, follow);
  return table.expectations.add(e) === 0 ? NF_ACCEPT : NF_DROP;
}
