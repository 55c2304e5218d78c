/** The nfnetlink subsystem ipset: one handler per command (linux/netfilter/ipset/ip_set.h). */
import { EEXIST, ENOENT, EOPNOTSUPP, KernelError } from '../../core/errno.ts';
import type { World } from '../../core/world.ts';
import type { Ipset } from '../../netfilter/ipset/ipset.ts';
import { ListSet, noReference, type Place } from '../../netfilter/ipset/list.ts';
import { type AnySet, IpSet, type SetOptions } from '../../netfilter/ipset/set.ts';
import { AttrWriter, attrMap, getString, readAttrs } from '../../wire/netlink/attr.ts';
import type { Message } from '../../wire/netlink/message.ts';
import * as U from '../../wire/uapi/ipset.ts';
import { setType } from '../../wire/uapi/ipset-types.ts';
import { NLM_F_EXCL, NLM_F_MULTI } from '../../wire/uapi/netlink.ts';
import { extensions, keys } from './adt.ts';
import { type Attrs, setOptions, u8, u32 } from './create.ts';
import { entryWriters, writeHeader } from './dump.ts';

const NFGENMSG_LENGTH = 4;
/** A message of a dump ends when it is about this long. */
const MESSAGE_SIZE = 4096;
/** Most elements that one deletion goes through: with -exist nothing else would end it. */
const MAX_DELETED = 1 << 24;

type Handler = (ipset: Ipset, world: World, m: Message, attrs: Attrs) => Message[];

function text(attrs: Attrs, type: number): string {
  const attr = attrs.get(type);
  if (attr === undefined) throw new KernelError(U.IPSET_ERR_PROTOCOL);
  const name = getString(attr.payload);
  if (name.length >= U.IPSET_MAXNAMELEN) throw new KernelError(U.IPSET_ERR_PROTOCOL, undefined, attr.offset);
  return name;
}

/** The beginning of an answer. */
function begin(m: Message): AttrWriter {
  return new AttrWriter().raw(m.payload.subarray(0, NFGENMSG_LENGTH)).u8(U.IPSET_ATTR_PROTOCOL, U.IPSET_PROTOCOL);
}

function reply(m: Message, w: AttrWriter, command: number = m.type & 255, flags = 0): Message {
  return { type: (m.type & ~255) | command, flags, seq: m.seq, port: m.port, payload: w.finish() };
}

const protocol: Handler = (_ipset, _world, m) => [
  reply(m, begin(m).u8(U.IPSET_ATTR_REVISION_MIN, U.IPSET_PROTOCOL_MIN)),
];

const create: Handler = (ipset, _world, m, attrs) => {
  const name = text(attrs, U.IPSET_ATTR_SETNAME);
  const type = setType(text(attrs, U.IPSET_ATTR_TYPENAME));
  const family = u8(attrs, U.IPSET_ATTR_FAMILY) ?? 0;
  const revision = u8(attrs, U.IPSET_ATTR_REVISION) ?? 0;
  if (type === undefined || revision > type.revision) throw new KernelError(U.IPSET_ERR_FIND_TYPE);
  const own = type.families[0] === 0 ? 0 : family;
  if (!type.families.includes(own)) throw new KernelError(U.IPSET_ERR_INVALID_FAMILY);
  const data = attrs.get(U.IPSET_ATTR_DATA);
  const options = setOptions(type, own, revision, data === undefined ? new Map() : attrMap(data.payload), ipset.seed());
  const old = ipset.byName(name);
  // "create -exist" takes a set of the same type as it is.
  if (old !== undefined && !(m.flags & NLM_F_EXCL)) {
    if (old.type === type && sameOptions(old.options, options)) return [];
    throw new KernelError(EEXIST);
  }
  ipset.create(name, type, options);
  return [];
};

/** What two sets must agree in so that one may stand for the other. */
function sameOptions(a: SetOptions, b: SetOptions): boolean {
  const told = ({ hashsize: _h, bucketsize: _b, initval: _i, revision: _r, ...rest }: SetOptions): string =>
    JSON.stringify(rest, (_key, value: unknown) => (value instanceof Uint8Array ? [...value] : value));
  return told(a) === told(b);
}

const destroy: Handler = (ipset, _world, _m, attrs) => {
  if (attrs.has(U.IPSET_ATTR_SETNAME)) ipset.destroy(text(attrs, U.IPSET_ATTR_SETNAME));
  else ipset.destroyAll();
  return [];
};

const flush: Handler = (ipset, _world, _m, attrs) => {
  if (attrs.has(U.IPSET_ATTR_SETNAME)) ipset.need(text(attrs, U.IPSET_ATTR_SETNAME)).flush();
  else for (const set of ipset) set.flush();
  return [];
};

const rename: Handler = (ipset, _world, _m, attrs) => {
  ipset.rename(text(attrs, U.IPSET_ATTR_SETNAME), text(attrs, U.IPSET_ATTR_SETNAME2));
  return [];
};

const swap: Handler = (ipset, _world, _m, attrs) => {
  ipset.swap(text(attrs, U.IPSET_ATTR_SETNAME), text(attrs, U.IPSET_ATTR_SETNAME2));
  return [];
};

function setHead(w: AttrWriter, set: AnySet): AttrWriter {
  return w
    .string(U.IPSET_ATTR_SETNAME, set.name)
    .string(U.IPSET_ATTR_TYPENAME, set.type.name)
    .u8(U.IPSET_ATTR_FAMILY, set.options.family)
    .u8(U.IPSET_ATTR_REVISION, set.options.revision);
}

const list: Handler = (ipset, world, m, attrs) => {
  const flags = u32(attrs, U.IPSET_ATTR_FLAGS) ?? 0;
  let sets: AnySet[];
  if (attrs.has(U.IPSET_ATTR_SETNAME)) sets = [ipset.need(text(attrs, U.IPSET_ATTR_SETNAME))];
  else {
    // Lists come last, so that their members exist when a saved file is restored.
    const all = [...ipset];
    sets = [...all.filter((s) => s.type.method !== 'list'), ...all.filter((s) => s.type.method === 'list')];
  }
  return sets.flatMap((set) => listSet(m, set, flags, world.now));
};

function listSet(m: Message, set: AnySet, flags: number, now: number): Message[] {
  const out: Message[] = [];
  const put = (w: AttrWriter): void => {
    out.push(reply(m, w, U.IPSET_CMD_LIST, NLM_F_MULTI));
  };
  const first = begin(m);
  if (flags & U.IPSET_FLAG_LIST_SETNAME) {
    put(first.string(U.IPSET_ATTR_SETNAME, set.name));
    return out;
  }
  setHead(first, set);
  first.beU16(U.IPSET_ATTR_INDEX, set.index);
  writeHeader(first, set);
  if (flags & U.IPSET_FLAG_LIST_HEADER) {
    put(first);
    return out;
  }
  let w = first;
  const writers = entryWriters(set, now);
  for (let i = 0; i < writers.length || w === first; ) {
    w.nest(U.IPSET_ATTR_ADT, (adt) => {
      while (i < writers.length && adt.length < MESSAGE_SIZE) writers[i++](adt);
    });
    put(w);
    w = begin(m).string(U.IPSET_ATTR_SETNAME, set.name);
  }
  return out;
}

/** Does something with each entry of a message: one in IPSET_ATTR_DATA, or several in IPSET_ATTR_ADT. */
function eachEntry(attrs: Attrs, work: (entry: Attrs) => void): void {
  const data = attrs.get(U.IPSET_ATTR_DATA);
  if (data !== undefined) {
    work(attrMap(data.payload));
    return;
  }
  const adt = attrs.get(U.IPSET_ATTR_ADT);
  if (adt === undefined) throw new KernelError(U.IPSET_ERR_PROTOCOL);
  for (const attr of readAttrs(adt.payload)) work(attrMap(attr.payload));
}

/** The members that an entry of a list names. */
function member(ipset: Ipset, entry: Attrs): { set: AnySet; place: Place | undefined } {
  const set = ipset.byName(text(entry, U.CADT_NAME));
  if (set === undefined) throw new KernelError(U.IPSET_ERR_NAME);
  const flags = u32(entry, U.CADT_FLAGS) ?? 0;
  if (!entry.has(U.CADT_NAMEREF)) {
    if (flags & U.IPSET_FLAG_BEFORE) throw new KernelError(U.IPSET_ERR_BEFORE);
    return { set, place: undefined };
  }
  const ref = ipset.byName(text(entry, U.CADT_NAMEREF));
  if (ref === undefined) throw noReference();
  return { set, place: { ref, before: (flags & U.IPSET_FLAG_BEFORE) !== 0 } };
}

const add: Handler = (ipset, _world, m, attrs) => {
  const set = ipset.need(text(attrs, U.IPSET_ATTR_SETNAME));
  const exist = !(m.flags & NLM_F_EXCL);
  eachEntry(attrs, (entry) => {
    const x = extensions(entry, set.options);
    if (set instanceof ListSet) {
      const found = member(ipset, entry);
      set.put(found.set, found.place, x, exist);
    } else if (set instanceof IpSet) for (const key of keys(set, entry, false)) set.put(key, x, exist);
  });
  return [];
};

const del: Handler = (ipset, _world, m, attrs) => {
  const set = ipset.need(text(attrs, U.IPSET_ATTR_SETNAME));
  const exist = !(m.flags & NLM_F_EXCL);
  const done = (found: boolean): void => {
    if (!found && !exist) throw new KernelError(U.IPSET_ERR_EXIST);
  };
  eachEntry(attrs, (entry) => {
    if (set instanceof ListSet) {
      const found = member(ipset, entry);
      done(set.take(found.set, found.place));
    } else if (set instanceof IpSet) for (const key of keys(set, entry, false, MAX_DELETED)) done(set.take(key));
  });
  return [];
};

const test: Handler = (ipset, _world, _m, attrs) => {
  const set = ipset.need(text(attrs, U.IPSET_ATTR_SETNAME));
  let hit = false;
  eachEntry(attrs, (entry) => {
    if (set instanceof ListSet) {
      const found = member(ipset, entry);
      hit = set.has(found.set, found.place);
    } else if (set instanceof IpSet) {
      const [key] = [...keys(set, entry, true)];
      const wanted = ((u32(entry, U.CADT_FLAGS) ?? 0) & U.IPSET_FLAG_NOMATCH) !== 0;
      // A whole address is looked up as a packet's is; a network is asked for as it is.
      const found = set.has(key, entry.has(U.CADT_CIDR) || entry.has(U.CADT_CIDR2));
      hit = found !== undefined && found.nomatch === wanted;
    }
  });
  if (!hit) throw new KernelError(U.IPSET_ERR_EXIST);
  return [];
};

const header: Handler = (ipset, _world, m, attrs) => [
  reply(m, setHead(begin(m), ipset.need(text(attrs, U.IPSET_ATTR_SETNAME)))),
];

const typeInfo: Handler = (_ipset, _world, m, attrs) => {
  const type = setType(text(attrs, U.IPSET_ATTR_TYPENAME));
  const family = u8(attrs, U.IPSET_ATTR_FAMILY) ?? 0;
  if (type === undefined || !(type.families[0] === 0 || type.families.includes(family)))
    throw new KernelError(U.IPSET_ERR_FIND_TYPE);
  const w = begin(m)
    .string(U.IPSET_ATTR_TYPENAME, type.name)
    .u8(U.IPSET_ATTR_FAMILY, family)
    .u8(U.IPSET_ATTR_REVISION, type.revision)
    .u8(U.IPSET_ATTR_REVISION_MIN, 0);
  return [reply(m, w)];
};

const getByName: Handler = (ipset, _world, m, attrs) => {
  const set = ipset.need(text(attrs, U.IPSET_ATTR_SETNAME));
  return [reply(m, begin(m).u8(U.IPSET_ATTR_FAMILY, set.options.family).beU16(U.IPSET_ATTR_INDEX, set.index))];
};

const getByIndex: Handler = (ipset, _world, m, attrs) => {
  const index = attrs.get(U.IPSET_ATTR_INDEX)?.payload;
  const set = index?.length === 2 ? ipset.byIndex((index[0] << 8) | index[1]) : undefined;
  if (set === undefined) throw new KernelError(ENOENT);
  return [reply(m, begin(m).string(U.IPSET_ATTR_SETNAME, set.name).beU16(U.IPSET_ATTR_INDEX, set.index))];
};

const HANDLERS: ReadonlyMap<number, Handler> = new Map([
  [U.IPSET_CMD_PROTOCOL, protocol],
  [U.IPSET_CMD_CREATE, create],
  [U.IPSET_CMD_DESTROY, destroy],
  [U.IPSET_CMD_FLUSH, flush],
  [U.IPSET_CMD_RENAME, rename],
  [U.IPSET_CMD_SWAP, swap],
  [U.IPSET_CMD_LIST, list],
  [U.IPSET_CMD_SAVE, list],
  [U.IPSET_CMD_ADD, add],
  [U.IPSET_CMD_DEL, del],
  [U.IPSET_CMD_TEST, test],
  [U.IPSET_CMD_HEADER, header],
  [U.IPSET_CMD_TYPE, typeInfo],
  [U.IPSET_CMD_GET_BYNAME, getByName],
  [U.IPSET_CMD_GET_BYINDEX, getByIndex],
]);

/** The subsystem of a host's sets, for `Nfnetlink`. */
export function ipsetSubsystem(ipset: Ipset, world: World): (m: Message) => Iterable<Message> {
  return (m) => {
    const handler = HANDLERS.get(m.type & 255);
    if (handler === undefined || m.payload.length < NFGENMSG_LENGTH) throw new KernelError(EOPNOTSUPP);
    const attrs = attrMap(m.payload, NFGENMSG_LENGTH);
    const version = u8(attrs, U.IPSET_ATTR_PROTOCOL);
    if (version === undefined || version < U.IPSET_PROTOCOL_MIN || version > U.IPSET_PROTOCOL)
      throw new KernelError(U.IPSET_ERR_PROTOCOL);
    return handler(ipset, world, m, attrs);
  };
}
