/**
 * Timeout policies over netlink (NFNL_SUBSYS_CTNETLINK_TIMEOUT), what nfct-timeout(8) speaks: named policies, and the defaults,
 * which are the sysctls. See linux/netfilter/nfnetlink_cttimeout.h.
 */
import { EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { Conntrack } from '../../netfilter/conntrack/conntrack.ts';
import { readTimeouts, type TimeoutPolicy, timeoutSlots } from '../../netfilter/conntrack/timeout-policy.ts';
import { type Attr, attrMap, getBeU16, getBeU32, getString, getU8 } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import { NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_MULTI, NLM_F_REPLACE } from '../../wire/uapi/netlink.ts';
import { NFNL_SUBSYS_CTNETLINK_TIMEOUT } from '../../wire/uapi/nfnetlink.ts';
import { begin } from './dump.ts';

const NEW = 0;
const GET = 1;
const DELETE = 2;
const DEFAULT_SET = 3;
const DEFAULT_GET = 4;

const NAME = 1;
const L3PROTO = 2;
const L4PROTO = 3;
const DATA = 4;
const USE = 5;

type Attrs = ReadonlyMap<number, Attr>;

function need(attrs: Attrs, type: number, size = 0): Uint8Array {
  const attr = attrs.get(type);
  if (attr === undefined || attr.payload.length < size) throw new KernelError(EINVAL, undefined, attr?.offset);
  return attr.payload;
}

/** Answers one message of the subsystem; throws KernelError. */
export function ctnetlinkTimeout(ct: Conntrack): (m: Message) => Message[] {
  return (m) => {
    if (m.payload.length < 4) throw new KernelError(EINVAL);
    const attrs = attrMap(m.payload, 4);
    switch (m.type & 255) {
      case NEW:
        return create(ct, m, attrs);
      case GET:
        return get(ct, m, attrs);
      case DELETE:
        return remove(ct, attrs);
      case DEFAULT_SET:
        return setDefault(ct, attrs);
      case DEFAULT_GET:
        return [getDefault(ct, m, attrs)];
      default:
        throw new KernelError(EINVAL);
    }
  };
}

function create(ct: Conntrack, m: Message, attrs: Attrs): Message[] {
  const name = getString(need(attrs, NAME));
  const l3 = getBeU16(need(attrs, L3PROTO, 2));
  const l4 = getU8(need(attrs, L4PROTO, 1));
  const data = attrMap(need(attrs, DATA));
  if (name === '' || name.length > 31) throw new KernelError(EINVAL);
  const known = ct.timeoutPolicies.get(name);
  if (known !== undefined) {
    if (m.flags & NLM_F_EXCL) throw new KernelError(EEXIST);
    if (!(m.flags & NLM_F_REPLACE)) throw new KernelError(EBUSY);
    // A policy keeps its protocols for life.
    if (known.l3 !== l3 || known.l4 !== l4) throw new KernelError(EINVAL);
    known.values = readTimeouts(data, l4, ct.sysctls);
    return [];
  }
  if (!(m.flags & NLM_F_CREATE)) throw new KernelError(ENOENT);
  ct.timeoutPolicies.set(name, { name, l3, l4, values: readTimeouts(data, l4, ct.sysctls), use: 0 });
  return [];
}

function message(p: TimeoutPolicy, m: Message, command: number, flags: number): Message {
  const w = begin(0);
  if (p.name !== '') w.string(NAME, p.name);
  w.beU16(L3PROTO, p.l3).u8(L4PROTO, p.l4);
  if (p.name !== '') w.beU32(USE, p.use + 1);
  w.nest(DATA, (n) => {
    for (const [attr, index] of timeoutSlots(p.l4)) n.beU32(attr, p.values[index]);
  });
  const type = (NFNL_SUBSYS_CTNETLINK_TIMEOUT << 8) | command;
  return { type, flags, seq: m.seq, port: m.port, payload: w.finish() };
}

function get(ct: Conntrack, m: Message, attrs: Attrs): Message[] {
  if ((m.flags & NLM_F_DUMP) === NLM_F_DUMP)
    return [...ct.timeoutPolicies.values()].map((p) => message(p, m, NEW, NLM_F_MULTI));
  const found = ct.timeoutPolicies.get(getString(need(attrs, NAME)));
  if (found === undefined) throw new KernelError(ENOENT);
  return [message(found, m, NEW, 0)];
}

function remove(ct: Conntrack, attrs: Attrs): Message[] {
  const attr = attrs.get(NAME);
  if (attr === undefined) {
    for (const p of [...ct.timeoutPolicies.values()]) if (p.use === 0) ct.timeoutPolicies.delete(p.name);
    return [];
  }
  const found = ct.timeoutPolicies.get(getString(attr.payload));
  if (found === undefined) throw new KernelError(ENOENT);
  if (found.use > 0) throw new KernelError(EBUSY);
  ct.timeoutPolicies.delete(found.name);
  return [];
}

/** The protocol of a request about defaults; those without timeouts of their own are refused. */
function protocolOf(attrs: Attrs): number {
  need(attrs, L3PROTO, 2);
  const l4 = getU8(need(attrs, L4PROTO, 1));
  if (timeoutSlots(l4) === timeoutSlots(0) && l4 !== 255) throw new KernelError(EOPNOTSUPP);
  return l4;
}

function setDefault(ct: Conntrack, attrs: Attrs): Message[] {
  const l4 = protocolOf(attrs);
  const data = attrMap(need(attrs, DATA));
  for (const [attr, , sysctl] of timeoutSlots(l4)) {
    const given = data.get(attr);
    if (given !== undefined) ct.sysctls[sysctl] = getBeU32(given.payload);
  }
  return [];
}

function getDefault(ct: Conntrack, m: Message, attrs: Attrs): Message {
  const l4 = protocolOf(attrs);
  const l3 = getBeU16(need(attrs, L3PROTO, 2));
  const values = readTimeouts(new Map(), l4, ct.sysctls);
  return message({ name: '', l3, l4, values, use: 0 }, m, DEFAULT_SET, 0);
}
