/**
 * ctnetlink: reading and changing the connection table over netlink (NFNL_SUBSYS_CTNETLINK), what conntrack(8) speaks.
 * See linux/netfilter/nfnetlink_conntrack.h. Expectations (NFNL_SUBSYS_CTNETLINK_EXP) come with the helpers.
 */
import { EBUSY, EEXIST, EINVAL, ENOENT, ENOMEM, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { Conntrack } from '../../netfilter/conntrack/conntrack.ts';
import type { Conn } from '../../netfilter/conntrack/entry.ts';
import { zoneId } from '../../netfilter/conntrack/entry.ts';
import { l3num, TUPLE_WORDS, ZONE } from '../../netfilter/conntrack/tuple.ts';
import type { Nat } from '../../netfilter/nat/nat.ts';
import { MANIP_DST, MANIP_SRC } from '../../netfilter/nat/range.ts';
import { type Attr, attrMap, getBeU16, getBeU32, getU8 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NF_ACCEPT, NFPROTO_UNSPEC } from '../../wire/uapi/netfilter.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_FILTERED, NLM_F_EXCL, NLM_F_MULTI } from '../../wire/uapi/netlink.ts';
import { begin, ctType, entryMessage, eventMessage } from './dump.ts';
import { readRange } from './nat.ts';
import { type ReadTuple, readTuple, readZone } from './tuple.ts';

type Attrs = ReadonlyMap<number, Attr>;

/** Answers one message of the subsystem; throws KernelError. */
export function ctnetlink(ct: Conntrack, nat?: Nat): (m: Message) => Message[] {
  return (m) => {
    if (m.payload.length < 4) throw new KernelError(EINVAL);
    const family = m.payload[0];
    const attrs = attrMap(m.payload, 4);
    switch (m.type & 255) {
      case C.IPCTNL_MSG_CT_GET:
      case C.IPCTNL_MSG_CT_GET_CTRZERO:
        return get(ct, m, family, attrs);
      case C.IPCTNL_MSG_CT_DELETE:
        return remove(ct, family, attrs);
      case C.IPCTNL_MSG_CT_NEW:
        return change(ct, nat, m, family, attrs);
      case C.IPCTNL_MSG_CT_GET_STATS_CPU:
        return [statsCpu(ct, m)];
      case C.IPCTNL_MSG_CT_GET_STATS:
        return [stats(ct, m)];
      case C.IPCTNL_MSG_CT_GET_DYING:
      case C.IPCTNL_MSG_CT_GET_UNCONFIRMED:
        return [];
      default:
        throw new KernelError(EINVAL);
    }
  };
}

/** Sends every event of the table to `sink`, with its multicast group; call the answer to stop. */
export function subscribeConntrack(ct: Conntrack, sink: (group: number, message: Message) => void): () => void {
  const listener = (e: Conn, events: number): void => {
    const { group, message } = eventMessage(ct, e, events);
    sink(group, message);
  };
  ct.listeners.add(listener);
  return () => {
    ct.listeners.delete(listener);
  };
}

function u32(attrs: Attrs, type: number): number | undefined {
  const attr = attrs.get(type);
  if (attr === undefined) return undefined;
  if (attr.payload.length < 4) throw new KernelError(EINVAL, undefined, attr.offset);
  return getBeU32(attr.payload);
}

/** Which connections a dump or flush is about: family, mark, status, zone. */
function filterOf(ct: Conntrack, family: number, attrs: Attrs): (e: Conn) => boolean {
  const mark = u32(attrs, C.CTA_MARK);
  const markMask = u32(attrs, C.CTA_MARK_MASK) ?? 0xffffffff;
  const status = u32(attrs, C.CTA_STATUS);
  const statusMask = u32(attrs, C.CTA_STATUS_MASK) ?? status ?? 0;
  if (status !== undefined && statusMask === 0) throw new KernelError(EINVAL);
  const zone = attrs.get(C.CTA_ZONE);
  const zoneNumber = zone === undefined ? undefined : getBeU16(zone.payload);
  return (e) =>
    (family === NFPROTO_UNSPEC || l3num(e.words, ct.at(e, 0)) === family) &&
    (mark === undefined || ((e.mark & markMask) ^ mark) === 0) &&
    (status === undefined || (e.status & statusMask) === status) &&
    (zoneNumber === undefined || e.zone === zoneNumber);
}

type Named = { readonly orig?: ReadTuple; readonly reply?: ReadTuple; readonly zone: { id: number; dir: number } };

function named(family: number, attrs: Attrs): Named {
  const o = attrs.get(C.CTA_TUPLE_ORIG);
  const r = attrs.get(C.CTA_TUPLE_REPLY);
  const orig = o && readTuple(o, family);
  const reply = r && readTuple(r, family);
  return { orig, reply, zone: readZone(attrs, orig, reply) };
}

function findNamed(ct: Conntrack, n: Named): Conn | undefined {
  const dir = n.orig === undefined ? 1 : 0;
  const tuple = n.orig ?? n.reply;
  if (tuple === undefined) throw new KernelError(EINVAL);
  tuple.words[ZONE] = zoneId(n.zone.id, n.zone.dir, dir);
  const found = ct.find(tuple.words);
  return found < 0 ? undefined : ct.entry(found);
}

function get(ct: Conntrack, m: Message, family: number, attrs: Attrs): Message[] {
  const reset = (m.type & 255) === C.IPCTNL_MSG_CT_GET_CTRZERO;
  if ((m.flags & NLM_F_DUMP) === NLM_F_DUMP) {
    const wanted = filterOf(ct, family, attrs);
    const flags = NLM_F_MULTI | (family !== NFPROTO_UNSPEC || attrs.size > 0 ? NLM_F_DUMP_FILTERED : 0);
    const out: Message[] = [];
    ct.forEach((e) => {
      if (wanted(e)) out.push(entryMessage(ct, e, m, flags, reset));
    });
    return out;
  }
  const e = findNamed(ct, named(family, attrs));
  if (e === undefined) throw new KernelError(ENOENT);
  // The lookup holds a reference of its own.
  return [entryMessage(ct, e, m, 0, reset, 2)];
}

function remove(ct: Conntrack, family: number, attrs: Attrs): Message[] {
  if (!attrs.has(C.CTA_TUPLE_ORIG) && !attrs.has(C.CTA_TUPLE_REPLY)) {
    ct.flush(filterOf(ct, family, attrs));
    return [];
  }
  const e = findNamed(ct, named(family, attrs));
  const id = u32(attrs, C.CTA_ID);
  if (e === undefined || (id !== undefined && id !== e.id)) throw new KernelError(ENOENT);
  ct.kill(e);
  return [];
}

function change(ct: Conntrack, nat: Nat | undefined, m: Message, family: number, attrs: Attrs): Message[] {
  const n = named(family, attrs);
  const known = findNamed(ct, n);
  if (known !== undefined) {
    if (m.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    if (attrs.has(C.CTA_NAT_SRC) || attrs.has(C.CTA_NAT_DST)) throw new KernelError(EOPNOTSUPP);
    if (attrs.has(C.CTA_TUPLE_MASTER)) throw new KernelError(EOPNOTSUPP);
    apply(ct, known, attrs);
    ct.event(known, attrs.has(C.CTA_LABELS) ? C.IPCT_LABEL : C.IPCT_REPLY);
    for (const event of [C.IPCT_ASSURED, C.IPCT_HELPER, C.IPCT_PROTOINFO, C.IPCT_SEQADJ, C.IPCT_MARK])
      ct.event(known, event);
    ct.deliverEvents(known);
    return [];
  }
  if (!(m.flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
  if (n.orig === undefined || n.reply === undefined) throw new KernelError(EINVAL);
  if (!attrs.has(C.CTA_TIMEOUT)) throw new KernelError(EINVAL);
  n.reply.words[ZONE] = zoneId(n.zone.id, n.zone.dir, 1);
  const e = ct.create(n.orig.words, n.reply.words, n.zone.id, n.zone.dir);
  if (e === undefined) throw new KernelError(ENOMEM);
  try {
    ct.setTimeout(e, u32(attrs, C.CTA_TIMEOUT) ?? 0);
    setupNat(e, nat, attrs, family);
    apply(ct, e, attrs);
    const key = e.words.slice(ct.at(e, 1), ct.at(e, 1) + TUPLE_WORDS);
    if (ct.find(key) >= 0) throw new KernelError(EEXIST);
  } catch (error) {
    ct.discard(e);
    throw error;
  }
  ct.insert(e);
  ct.event(e, C.IPCT_NEW);
  for (const event of [C.IPCT_REPLY, C.IPCT_ASSURED, C.IPCT_PROTOINFO, C.IPCT_MARK]) ct.event(e, event);
  ct.deliverEvents(e);
  return [];
}

/** The translation of a new connection (CTA_NAT_DST, CTA_NAT_SRC): destinations first, as in the packet path. */
function setupNat(e: Conn, nat: Nat | undefined, attrs: Attrs, family: number): void {
  for (const [type, manip] of [
    [C.CTA_NAT_DST, MANIP_DST],
    [C.CTA_NAT_SRC, MANIP_SRC],
  ] as const) {
    const attr = attrs.get(type);
    if (attr === undefined) continue;
    if (nat === undefined) throw new KernelError(EOPNOTSUPP);
    if (nat.setup(e, readRange(attr, family), manip) !== NF_ACCEPT) throw new KernelError(EINVAL);
  }
}

/** Status bits that a message may not clear once they are set, and those it may not touch at all. */
const STICKY = C.IPS_SEEN_REPLY | C.IPS_ASSURED;

function apply(ct: Conntrack, e: Conn, attrs: Attrs): void {
  const status = u32(attrs, C.CTA_STATUS);
  if (status !== undefined) {
    const changed = e.status ^ status;
    if (e.confirmed && changed & (C.IPS_EXPECTED | C.IPS_CONFIRMED | C.IPS_DYING)) throw new KernelError(EBUSY);
    if (e.confirmed && changed & e.status & STICKY) throw new KernelError(EBUSY);
    e.status = (e.status & C.IPS_UNCHANGEABLE_MASK) | (e.status & STICKY) | (status & ~C.IPS_UNCHANGEABLE_MASK);
  }
  const timeout = u32(attrs, C.CTA_TIMEOUT);
  if (timeout !== undefined) ct.setTimeout(e, timeout);
  const mark = u32(attrs, C.CTA_MARK);
  if (mark !== undefined) {
    const mask = u32(attrs, C.CTA_MARK_MASK);
    e.mark = (mask === undefined ? mark : (e.mark & ~mask) ^ mark) >>> 0;
  }
  const info = attrs.get(C.CTA_PROTOINFO);
  if (info !== undefined) applyProtoinfo(e, attrMap(info.payload));
  const labels = attrs.get(C.CTA_LABELS);
  if (labels !== undefined) applyLabels(e, labels, attrs.get(C.CTA_LABELS_MASK));
  const help = attrs.get(C.CTA_HELP);
  if (help !== undefined) throw new KernelError(EOPNOTSUPP, 'netloom does not support conntrack helpers yet');
}

function applyProtoinfo(e: Conn, info: Attrs): void {
  const sctp = info.get(C.CTA_PROTOINFO_SCTP);
  if (sctp !== undefined) applySctp(e, attrMap(sctp.payload));
  const tcp = info.get(C.CTA_PROTOINFO_TCP);
  if (tcp === undefined) return;
  const nest = attrMap(tcp.payload);
  const state = nest.get(C.CTA_PROTOINFO_TCP_STATE);
  const own = e.tcp ?? e.openTcp();
  if (state !== undefined) {
    const value = getU8(state.payload);
    if (value > C.TCP_CONNTRACK_SYN_SENT2) throw new KernelError(EINVAL);
    own.state = value;
  }
  for (const [dir, type] of [
    [0, C.CTA_PROTOINFO_TCP_FLAGS_ORIGINAL],
    [1, C.CTA_PROTOINFO_TCP_FLAGS_REPLY],
  ] as const) {
    const flags = nest.get(type);
    if (flags === undefined || flags.payload.length < 2) continue;
    const [value, mask] = flags.payload;
    own.seen[dir].flags = (own.seen[dir].flags & ~mask) | (value & mask);
  }
  const [o, r] = [nest.get(C.CTA_PROTOINFO_TCP_WSCALE_ORIGINAL), nest.get(C.CTA_PROTOINFO_TCP_WSCALE_REPLY)];
  const scaling = own.seen[0].flags & own.seen[1].flags & C.IP_CT_TCP_FLAG_WINDOW_SCALE;
  if (o && r && scaling) {
    own.seen[0].scale = getU8(o.payload);
    own.seen[1].scale = getU8(r.payload);
  }
}

function applySctp(e: Conn, nest: Attrs): void {
  const state = nest.get(C.CTA_PROTOINFO_SCTP_STATE);
  const original = u32(nest, C.CTA_PROTOINFO_SCTP_VTAG_ORIGINAL);
  const reply = u32(nest, C.CTA_PROTOINFO_SCTP_VTAG_REPLY);
  if (state === undefined || original === undefined || reply === undefined) throw new KernelError(EINVAL);
  const own = e.sctp ?? e.openSctp();
  own.state = getU8(state.payload);
  own.setVtag(0, original);
  own.setVtag(1, reply);
}

function applyLabels(e: Conn, labels: Attr, mask: Attr | undefined): void {
  const size = labels.payload.length;
  if (size > 16 || size % 4 !== 0 || (mask !== undefined && mask.payload.length !== size))
    throw new KernelError(EINVAL);
  e.labels ??= new Uint32Array(4);
  const bytes = new Uint8Array(e.labels.buffer);
  for (let i = 0; i < 16; i++) {
    const value = i < size ? labels.payload[i] : 0;
    const m = mask === undefined ? 0xff : i < size ? mask.payload[i] : 0;
    bytes[i] = (bytes[i] & ~m) | (value & m);
  }
}

function statsCpu(ct: Conntrack, m: Message): Message {
  const s = ct.stats;
  const w = begin(NFPROTO_UNSPEC, 0);
  w.beU32(C.CTA_STATS_FOUND, s.found).beU32(C.CTA_STATS_INVALID, s.invalid).beU32(C.CTA_STATS_INSERT, s.insert);
  w.beU32(C.CTA_STATS_INSERT_FAILED, s.insertFailed).beU32(C.CTA_STATS_DROP, s.drop);
  w.beU32(C.CTA_STATS_EARLY_DROP, s.earlyDrop).beU32(C.CTA_STATS_ERROR, s.error);
  w.beU32(C.CTA_STATS_SEARCH_RESTART, 0).beU32(C.CTA_STATS_CLASH_RESOLVE, s.clashResolve);
  w.beU32(C.CTA_STATS_CHAIN_TOOLONG, 0);
  return {
    type: ctType(C.IPCTNL_MSG_CT_GET_STATS_CPU),
    flags: NLM_F_MULTI,
    seq: m.seq,
    port: m.port,
    payload: w.finish(),
  };
}

function stats(ct: Conntrack, m: Message): Message {
  const w = begin(NFPROTO_UNSPEC, 0);
  w.beU32(C.CTA_STATS_GLOBAL_ENTRIES, ct.count).beU32(C.CTA_STATS_GLOBAL_MAX_ENTRIES, ct.sysctls.max);
  return { type: ctType(C.IPCTNL_MSG_CT_GET_STATS), flags: 0, seq: m.seq, port: m.port, payload: w.finish() };
}
