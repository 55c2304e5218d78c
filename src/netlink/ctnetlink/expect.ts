/**
 * Expectations over netlink (NFNL_SUBSYS_CTNETLINK_EXP): dump, query, making, deleting, statistics and events.
 * See linux/netfilter/nfnetlink_conntrack.h, `enum ctattr_expect`.
 */
import { EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { Conntrack } from '../../netfilter/conntrack/conntrack.ts';
import { zoneId } from '../../netfilter/conntrack/entry.ts';
import { helperFor } from '../../netfilter/conntrack/helper/registry.ts';
import type { Expectation } from '../../netfilter/conntrack/helper/types.ts';
import { DST, dstPort, equal, l3num, PORTS, PROTO, protonum, srcPort, ZONE } from '../../netfilter/conntrack/tuple.ts';
import { type Attr, type AttrWriter, attrMap, getBeU32, getString } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as C from '../../wire/uapi/ctnetlink.ts';
import { NFPROTO_UNSPEC } from '../../wire/uapi/netfilter.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_MULTI } from '../../wire/uapi/netlink.ts';
import {
  NFNL_SUBSYS_CTNETLINK_EXP,
  NFNLGRP_CONNTRACK_EXP_DESTROY,
  NFNLGRP_CONNTRACK_EXP_NEW,
} from '../../wire/uapi/nfnetlink.ts';
import { begin } from './dump.ts';
import { readTuple, readZone, writeTuple } from './tuple.ts';

type Attrs = ReadonlyMap<number, Attr>;

function expectType(command: number): number {
  return (NFNL_SUBSYS_CTNETLINK_EXP << 8) | command;
}

/** Answers one message of the subsystem; throws KernelError. */
export function ctnetlinkExpect(ct: Conntrack): (m: Message) => Message[] {
  return (m) => {
    if (m.payload.length < 4) throw new KernelError(EINVAL);
    const family = m.payload[0];
    const attrs = attrMap(m.payload, 4);
    switch (m.type & 255) {
      case C.IPCTNL_MSG_EXP_GET:
        return get(ct, m, family, attrs);
      case C.IPCTNL_MSG_EXP_NEW:
        return create(ct, m, family, attrs);
      case C.IPCTNL_MSG_EXP_DELETE:
        return remove(ct, family, attrs);
      case C.IPCTNL_MSG_EXP_GET_STATS_CPU:
        return [stats(ct, m)];
      default:
        throw new KernelError(EINVAL);
    }
  };
}

/** Sends what happens to expectations to `sink`, with its multicast group; call the answer to stop. */
export function subscribeExpectations(ct: Conntrack, sink: (group: number, message: Message) => void): () => void {
  const listener = (e: Expectation, event: number): void => {
    const gone = event === C.IPEXP_DESTROY;
    const message = expectMessage(ct, e, {
      type: expectType(gone ? C.IPCTNL_MSG_EXP_DELETE : C.IPCTNL_MSG_EXP_NEW),
      flags: gone ? 0 : NLM_F_CREATE | NLM_F_EXCL,
      seq: 0,
      port: 0,
    });
    sink(gone ? NFNLGRP_CONNTRACK_EXP_DESTROY : NFNLGRP_CONNTRACK_EXP_NEW, message);
  };
  ct.expectations.listeners.add(listener);
  return () => {
    ct.expectations.listeners.delete(listener);
  };
}

function mask(w: AttrWriter, e: Expectation): void {
  const t = new Uint32Array(12);
  t.set(e.mask.subarray(0, 4));
  t[PROTO] = e.tuple[PROTO];
  const words = l3num(e.tuple, 0) === 2 ? 1 : 4;
  // Destinations always count in full; of the listing the source alone is told.
  for (let k = 0; k < words; k++) t[DST + k] = 0xffffffff;
  t[PORTS] = ((e.mask[4] << 16) | 0xffff) >>> 0;
  writeTuple(w, t, 0);
}

function expectMessage(ct: Conntrack, e: Expectation, head: Omit<Message, 'payload'>): Message {
  const w = begin(l3num(e.tuple, 0));
  w.nest(C.CTA_EXPECT_TUPLE, (n) => writeTuple(n, e.tuple, 0));
  w.nest(C.CTA_EXPECT_MASK, (n) => mask(n, e));
  const master = ct.expectations.masterOf(e);
  if (master !== undefined) w.nest(C.CTA_EXPECT_MASTER, (n) => writeTuple(n, master.words, master.at(0)));
  if (e.savedPort !== 0 || e.savedAddress[0] !== 0)
    w.nest(C.CTA_EXPECT_NAT, (n) => {
      n.beU32(C.CTA_EXPECT_NAT_DIR, e.dir);
      const saved = new Uint32Array(12);
      saved.set(e.savedAddress);
      saved[PROTO] = e.tuple[PROTO];
      saved[PORTS] = (e.savedPort << 16) >>> 0;
      n.nest(C.CTA_EXPECT_NAT_TUPLE, (t) => writeTuple(t, saved, 0));
    });
  w.beU32(C.CTA_EXPECT_TIMEOUT, Math.max(0, Math.floor((e.expiresNs - ct.world.now) / 1e9)));
  w.beU32(C.CTA_EXPECT_ID, e.id);
  w.beU32(C.CTA_EXPECT_FLAGS, e.flags);
  w.beU32(C.CTA_EXPECT_CLASS, e.class);
  const help = master?.helper;
  if (help?.name) w.string(C.CTA_EXPECT_HELP_NAME, help.name);
  return { ...head, payload: w.finish() };
}

function get(ct: Conntrack, m: Message, family: number, attrs: Attrs): Message[] {
  const head = { type: expectType(C.IPCTNL_MSG_EXP_NEW), seq: m.seq, port: m.port };
  if ((m.flags & NLM_F_DUMP) === NLM_F_DUMP)
    return ct.expectations
      .all()
      .filter((e) => family === NFPROTO_UNSPEC || l3num(e.tuple, 0) === family)
      .map((e) => expectMessage(ct, e, { ...head, flags: NLM_F_MULTI }));
  return [expectMessage(ct, named(ct, family, attrs), { ...head, flags: 0 })];
}

/** The expectation that a tuple (or a master's) names. */
function named(ct: Conntrack, family: number, attrs: Attrs): Expectation {
  const tuple = attrs.get(C.CTA_EXPECT_TUPLE);
  const master = attrs.get(C.CTA_EXPECT_MASTER);
  const attr = tuple ?? master;
  if (attr === undefined) throw new KernelError(EINVAL);
  const t = readTuple(attr, family);
  const zone = readZone(attrs, undefined, undefined).id;
  const found = tuple
    ? ct.expectations.find(t.words, zone)
    : ct.expectations.all().find((e) => {
        const m = ct.expectations.masterOf(e);
        return m !== undefined && equal(m.words, m.at(0), t.words, 0);
      });
  const id = attrs.get(C.CTA_EXPECT_ID);
  if (found === undefined || (id !== undefined && getBeU32(id.payload) !== found.id)) throw new KernelError(ENOENT);
  return found;
}

function remove(ct: Conntrack, family: number, attrs: Attrs): Message[] {
  if (attrs.has(C.CTA_EXPECT_TUPLE)) {
    ct.expectations.remove(named(ct, family, attrs));
    return [];
  }
  const name = attrs.get(C.CTA_EXPECT_HELP_NAME);
  const helper = name && getString(name.payload);
  for (const e of ct.expectations.all())
    if (helper === undefined || ct.expectations.masterOf(e)?.helper?.name === helper) ct.expectations.remove(e);
  return [];
}

function u32(attrs: Attrs, type: number): number | undefined {
  const attr = attrs.get(type);
  if (attr === undefined) return undefined;
  if (attr.payload.length < 4) throw new KernelError(EINVAL, undefined, attr.offset);
  return getBeU32(attr.payload);
}

function create(ct: Conntrack, m: Message, family: number, attrs: Attrs): Message[] {
  const [t, k, o] = [C.CTA_EXPECT_TUPLE, C.CTA_EXPECT_MASK, C.CTA_EXPECT_MASTER].map((type) => attrs.get(type));
  if (t === undefined || k === undefined || o === undefined) throw new KernelError(EINVAL);
  const tuple = readTuple(t, family).words;
  const masks = readTuple(k, family).words;
  const owner = readTuple(o, family);
  const zone = readZone(attrs, owner, undefined);
  if (ct.expectations.find(tuple, zone.id) !== undefined) {
    if (m.flags & NLM_F_EXCL) throw new KernelError(17);
    throw new KernelError(EOPNOTSUPP);
  }
  if (!(m.flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
  owner.words[ZONE] = zoneId(zone.id, zone.dir, 0);
  const n = ct.find(owner.words);
  if (n < 0) throw new KernelError(ENOENT);
  const master = ct.entry(n);
  const name = attrs.get(C.CTA_EXPECT_HELP_NAME);
  const help = master.helper;
  if (help === undefined) throw new KernelError(EOPNOTSUPP);
  const timeout = u32(attrs, C.CTA_EXPECT_TIMEOUT);
  if (timeout === undefined) throw new KernelError(EINVAL);
  const e = ct.expectations.make(master, {
    family: l3num(tuple, 0),
    protocol: protonum(tuple, 0),
    src: [tuple, 0],
    dst: [tuple, DST],
    srcPort: srcPort(tuple, 0),
    dstPort: dstPort(tuple, 0),
    class: u32(attrs, C.CTA_EXPECT_CLASS) ?? 0,
  });
  e.mask.set(masks.subarray(0, 4));
  e.mask[4] = srcPort(masks, 0);
  e.flags = (u32(attrs, C.CTA_EXPECT_FLAGS) ?? 0) | C.NF_CT_EXPECT_USERSPACE;
  const helper = name && helperFor(getString(name.payload), protonum(tuple, 0));
  if (helper) Object.assign(e, { helper });
  const errno = ct.expectations.add(e, timeout);
  if (errno !== 0) throw new KernelError(errno);
  return [];
}

function stats(ct: Conntrack, m: Message): Message {
  const w = begin(NFPROTO_UNSPEC, 0);
  const x = ct.expectations;
  w.beU32(C.CTA_STATS_EXP_NEW, x.matched).beU32(C.CTA_STATS_EXP_CREATE, x.created);
  w.beU32(C.CTA_STATS_EXP_DELETE, x.deleted);
  const type = expectType(C.IPCTNL_MSG_EXP_GET_STATS_CPU);
  return { type, flags: NLM_F_MULTI, seq: m.seq, port: m.port, payload: w.finish() };
}
