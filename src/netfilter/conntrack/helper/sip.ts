/**
 * SIP (RFC 3261) and the sessions it describes (RFC 4566): an INVITE, its answers and re-INVITEs announce RTP and RTCP ports, a
 * REGISTER that a registrar accepts announces calls to the registered address.
 *
 * Connections that NAT translates are left alone: netloom does not rewrite SIP, so nothing can be announced for them.
 */
import { parseAddress } from '../../../wire/address.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../../wire/ipv4.ts';
import {
  IPS_EXPECTED,
  IPS_NAT_MASK,
  NF_CT_EXPECT_INACTIVE,
  NF_CT_EXPECT_PERMANENT,
} from '../../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NF_DROP } from '../../../wire/uapi/netfilter.ts';
import type { Conntrack } from '../conntrack.ts';
import type { Conn } from '../entry.ts';
import { l3num, sameAddress, setAddress } from '../tuple.ts';
import { dirOf, isEstablished, tcpPayload, textOf, udpPayload } from './payload.ts';
import type { Helper, HelperData } from './types.ts';

/** Seconds that a signalling connection lives, and a registration without a time of its own. */
const TIMEOUT = 3600;
const SIGNALLING = 0;
const AUDIO = 1;
const VIDEO = 2;
const IMAGE = 3;
const MEDIA: Readonly<Record<string, number>> = { audio: AUDIO, video: VIDEO, image: IMAGE };

type SipData = HelperData & { readonly kind: 'sip'; inviteSeq: number; registerSeq: number };

/** The value of a header, by its long or its compact name; lines may be folded. */
function header(message: string, name: string, compact = ''): string | undefined {
  const names = compact === '' ? name : `(?:${name}|${compact})`;
  const m = new RegExp(`\\r?\\n${names}[ \\t]*:[ \\t]*([^\\r\\n]*(?:\\r?\\n[ \\t][^\\r\\n]*)*)`, 'i').exec(message);
  return m?.[1];
}

function body(message: string): string {
  const at = message.search(/\r?\n\r?\n/);
  return at < 0 ? '' : message.slice(at).replace(/^(?:\r?\n){2}/, '');
}

function addressWords(text: string, family: number): Uint32Array | undefined {
  const bytes = parseAddress(text);
  if (bytes === undefined || bytes.length !== (family === 2 ? 4 : 16)) return undefined;
  const words = new Uint32Array(4);
  setAddress(words, 0, bytes);
  return words;
}

/** A media stream: class, port, and where it is to be sent. */
type Stream = { readonly class: number; readonly port: number; readonly address: Uint32Array };

/** The streams of a session description; undefined: one of them is impossible. */
function streams(sdp: string, family: number): Stream[] | undefined {
  const connection = (part: string): Uint32Array | undefined => {
    const m = /(?:^|\n)c=IN IP[46] ([0-9a-fA-F.:]+)/.exec(part);
    return m === null ? undefined : addressWords(m[1], family);
  };
  const parts = sdp.split(/\r?\n(?=m=)/);
  const session = connection(parts[0]);
  const out: Stream[] = [];
  for (const part of parts.slice(1)) {
    const m = /^m=(\w+) (\d+)/.exec(part);
    const kind = m === null ? undefined : MEDIA[m[1]];
    if (m === null || kind === undefined) continue;
    const port = Number(m[2]);
    if (port === 0) continue;
    const address = connection(part) ?? session;
    if (port < 1024 || port > 65535 || address === undefined) return undefined;
    out.push({ class: kind, port, address });
  }
  return out;
}

function flush(table: Conntrack, ct: Conn, media: boolean): void {
  for (const e of table.expectations.all())
    if (e.master.index === ct.index && e.master.id === ct.id && (e.class !== SIGNALLING) === media)
      table.expectations.remove(e);
}

/** RTP and, on the next port, RTCP. */
function expectMedia(table: Conntrack, ct: Conn, dir: number, s: Stream): number {
  // Media go to the signalling's own hosts only.
  if (!sameAddress(s.address, 0, ct.words, ct.at(dir))) return NF_ACCEPT;
  const base = s.port & ~1;
  const make = (port: number) =>
    table.expectations.make(ct, {
      family: l3num(ct.words, ct.at(0)),
      protocol: IPPROTO_UDP,
      src: [ct.words, ct.at(1 - dir)],
      dst: [s.address, 0],
      dstPort: port,
      class: s.class,
    });
  const rtp = make(base);
  if (table.expectations.add(rtp) !== 0) return NF_DROP;
  if (table.expectations.add(make(base + 1)) === 0) return NF_ACCEPT;
  table.expectations.remove(rtp);
  return NF_DROP;
}

function session(table: Conntrack, ct: Conn, dir: number, message: string): number {
  const sdp = body(message);
  if (!/^v=/m.test(sdp)) return NF_ACCEPT;
  const all = streams(sdp, l3num(ct.words, ct.at(0)));
  if (all === undefined) return NF_DROP;
  for (const s of all) {
    const verdict = expectMedia(table, ct, dir, s);
    if (verdict !== NF_ACCEPT) return verdict;
  }
  return NF_ACCEPT;
}

/** The address, port and lifetime of a Contact. */
function contact(
  message: string,
  family: number,
): { address: Uint32Array; port: number; expires?: number } | undefined {
  const value = header(message, 'Contact', 'm');
  const m = value && /sips?:(?:[^@>;\s]*@)?(\[[0-9a-fA-F:]+\]|[0-9.]+)(?::(\d+))?/i.exec(value);
  if (!value || !m) return undefined;
  const address = addressWords(m[1].replace(/[[\]]/g, ''), family);
  if (address === undefined) return undefined;
  const own = /;expires=(\d+)/i.exec(value);
  return {
    address,
    port: m[2] === undefined ? 5060 : Number(m[2]) & 0xffff,
    expires: own ? Number(own[1]) : undefined,
  };
}

function lifetime(message: string, own: number | undefined): number {
  return own ?? Number(/^\d+/.exec(header(message, 'Expires') ?? '')?.[0] ?? TIMEOUT);
}

function register(table: Conntrack, ct: Conn, dir: number, helper: Helper, message: string): number {
  // An announced connection cannot announce again.
  if (ct.status & IPS_EXPECTED) return NF_ACCEPT;
  const c = contact(message, l3num(ct.words, ct.at(0)));
  if (c === undefined || !sameAddress(c.address, 0, ct.words, ct.at(dir))) return NF_ACCEPT;
  const seconds = lifetime(message, c.expires);
  if (seconds === 0) return NF_ACCEPT;
  const e = table.expectations.make(ct, {
    family: l3num(ct.words, ct.at(0)),
    protocol: helper.protocol,
    src: [ct.words, ct.at(1 - dir)],
    dst: [c.address, 0],
    dstPort: c.port,
    class: SIGNALLING,
  });
  e.flags = NF_CT_EXPECT_PERMANENT | NF_CT_EXPECT_INACTIVE;
  Object.assign(e, { helper });
  return table.expectations.add(e, TIMEOUT) === 0 ? NF_ACCEPT : NF_DROP;
}

/** The registrar's answer: what it accepted is announced from now on. */
function registered(table: Conntrack, ct: Conn, code: number, message: string): number {
  if (code < 200) return NF_ACCEPT;
  const c = code < 300 ? contact(message, l3num(ct.words, ct.at(0))) : undefined;
  const seconds = c === undefined ? 0 : lifetime(message, c.expires);
  if (c === undefined || seconds === 0) {
    flush(table, ct, false);
    return NF_ACCEPT;
  }
  for (const e of table.expectations.all())
    if (e.master.index === ct.index && e.master.id === ct.id && e.class === SIGNALLING) {
      e.flags &= ~NF_CT_EXPECT_INACTIVE;
      e.expiresNs = table.world.now + seconds * 1e9;
    }
  return NF_ACCEPT;
}

/** Methods whose messages may describe a session. */
const DESCRIBING: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'ACK', 'PRACK']);

function message(table: Conntrack, ct: Conn, dir: number, helper: Helper, text: string): number {
  const data = ct.helper?.data as SipData | undefined;
  if (data?.kind !== 'sip' || ct.status & IPS_NAT_MASK) return NF_ACCEPT;
  const cseq = /^(\d+)\s+([A-Z]+)/.exec(header(text, 'CSeq') ?? '');
  const seq = cseq === null ? 0 : Number(cseq[1]);
  const answer = /^SIP\/2\.0 (\d*)/i.exec(text);
  if (answer !== null) {
    const code = Number(answer[1]);
    if (code === 0 || cseq === null || seq === 0) return NF_DROP;
    const method = cseq[2];
    if (method === 'REGISTER') return seq === data.registerSeq ? registered(table, ct, code, text) : NF_ACCEPT;
    if (!DESCRIBING.has(method) || method === 'ACK') return NF_ACCEPT;
    if (code >= 100 && code < 300) return session(table, ct, dir, text);
    if (method === 'INVITE' && seq === data.inviteSeq) flush(table, ct, true);
    return NF_ACCEPT;
  }
  const method = /^([A-Z]+) sips?:/i.exec(text)?.[1].toUpperCase();
  if (method === undefined || !(DESCRIBING.has(method) || method === 'BYE' || method === 'REGISTER')) return NF_ACCEPT;
  if (cseq === null || seq === 0) return NF_DROP;
  if (method === 'BYE') {
    flush(table, ct, true);
    return NF_ACCEPT;
  }
  if (method === 'REGISTER') {
    const verdict = register(table, ct, dir, helper, text);
    if (verdict === NF_ACCEPT) data.registerSeq = seq;
    return verdict;
  }
  if (method === 'INVITE') flush(table, ct, true);
  const verdict = session(table, ct, dir, text);
  if (method === 'INVITE' && verdict === NF_ACCEPT) data.inviteSeq = seq;
  return verdict;
}

const POLICIES = [
  { name: 'signalling', max: 1, timeout: 180 },
  { name: 'audio', max: 4, timeout: 180 },
  { name: 'video', max: 4, timeout: 180 },
  { name: 'image', max: 2, timeout: 180 },
] as const;
const newData = (): SipData => ({ kind: 'sip', inviteSeq: 0, registerSeq: 0 });

export const sipUdp: Helper = {
  name: 'sip',
  protocol: IPPROTO_UDP,
  policies: POLICIES,
  newData,
  help(table, ct, p, at, ctinfo, state) {
    const payload = udpPayload(table, p, at, state.pf);
    table.prolong(ct, TIMEOUT);
    if (payload === undefined || payload.end - payload.at < 11) return NF_ACCEPT;
    return message(table, ct, dirOf(ctinfo), sipUdp, textOf(payload, 65535));
  },
};

export const sipTcp: Helper = {
  name: 'sip',
  protocol: IPPROTO_TCP,
  policies: POLICIES,
  newData,
  help(table, ct, p, at, ctinfo, state) {
    if (!isEstablished(ctinfo)) return NF_ACCEPT;
    const payload = tcpPayload(table, p, at, state.pf);
    if (payload === undefined) return NF_ACCEPT;
    table.prolong(ct, TIMEOUT);
    // Several messages may share a segment, each as long as it says.
    let text = textOf(payload, 65535);
    while (text.length >= 11) {
      const blank = /\r?\n\r?\n/.exec(text);
      const length = Number(/^\d+/.exec(header(text, 'Content-Length', 'l') ?? '')?.[0] ?? Number.NaN);
      if (blank === null || Number.isNaN(length)) return NF_ACCEPT;
      const end = blank.index + blank[0].length + length;
      if (end > text.length) return NF_ACCEPT;
      const verdict = message(table, ct, dirOf(ctinfo), sipTcp, text.slice(0, end));
      if (verdict !== NF_ACCEPT) return verdict;
      text = text.slice(end);
    }
    return NF_ACCEPT;
  },
};
