/** Elements in messages: the attributes of one entry as the keys it stands for (ranges and networks are many). */
import { ERANGE, KernelError } from '../../core/errno.ts';
import { maskBits } from '../../netfilter/ipset/elements.ts';
import type { Extensions } from '../../netfilter/ipset/entry.ts';
import type { IpSet, SetOptions } from '../../netfilter/ipset/set.ts';
import { getBeU16, getBeU32, getBeU64, getString } from '../../wire/netlink/attr.ts';
import * as U from '../../wire/uapi/ipset.ts';
import { type Dimension, dimensionLength, IFACE_LENGTH, keyLength } from '../../wire/uapi/ipset-types.ts';
import { type Attrs, address, toBytes, u8, u16, u32 } from './create.ts';

/** Every IPv4 address with every port: a set is full before that. */
const MAX_RANGE = 2 ** 48;

/** Protocols whose ports can be a range. */
const RANGE_PROTOCOLS: readonly number[] = [6, 17, 132, 136];
const ICMP = 1;
const ICMPV6 = 58;

/** What a user says of an element beside its key. Throws when the set was made without it. */
export function extensions(attrs: Attrs, o: SetOptions): Extensions {
  const timeout = u32(attrs, U.CADT_TIMEOUT);
  if (timeout !== undefined && o.timeout === undefined) throw new KernelError(U.IPSET_ERR_TIMEOUT);
  const packets = attrs.get(U.CADT_PACKETS);
  const bytes = attrs.get(U.CADT_BYTES);
  if ((packets ?? bytes) !== undefined && !o.counters) throw new KernelError(U.IPSET_ERR_COUNTER);
  const comment = attrs.get(U.CADT_COMMENT);
  if (comment !== undefined && !o.comment) throw new KernelError(U.IPSET_ERR_COMMENT);
  const mark = attrs.get(U.CADT_SKBMARK);
  const priority = attrs.get(U.CADT_SKBPRIO);
  const queue = attrs.get(U.CADT_SKBQUEUE);
  if ((mark ?? priority ?? queue) !== undefined && !o.skbinfo) throw new KernelError(U.IPSET_ERR_SKBINFO);
  const flags = u32(attrs, U.CADT_FLAGS) ?? 0;
  return {
    ...(timeout !== undefined && { timeout }),
    ...(packets && { packets: getBeU64(packets.payload) }),
    ...(bytes && { bytes: getBeU64(bytes.payload) }),
    ...(comment && { comment: getString(comment.payload) }),
    ...(mark && { mark: getBeU32(mark.payload), markMask: getBeU32(mark.payload.subarray(4)) }),
    ...(priority && { priority: getBeU32(priority.payload) }),
    ...(queue && { queue: getBeU16(queue.payload) }),
    nomatch: (flags & U.IPSET_FLAG_NOMATCH) !== 0,
    wildcard: (flags & U.IPSET_FLAG_IFACE_WILDCARD) !== 0,
  };
}

/**
 * The keys that an entry stands for, one after another; `single` only the first (a test). A range may stand for more than
 * a set can hold, so nothing is made before it is asked for.
 */
export function* keys(set: IpSet, attrs: Attrs, single: boolean, most: number = MAX_RANGE): Generator<Uint8Array> {
  const { type, options } = set;
  let addresses = 0;
  const parts = type.dimensions.map((dimension) => {
    const second = (dimension === 'ip' || dimension === 'net') && addresses++ > 0;
    return values(dimension, second, options.family, attrs, single, type.method === 'bitmap');
  });
  if (parts.reduce((product, { count }) => product * count, 1) > most)
    throw new KernelError(ERANGE, `netloom takes at most ${most} elements at once`);
  const key = new Uint8Array(keyLength(type, options.family));
  yield* combined(type.dimensions, parts, options.family, key, 0, 0);
}

function* combined(
  dimensions: readonly Dimension[],
  parts: readonly Values[],
  family: number,
  key: Uint8Array,
  n: number,
  at: number,
): Generator<Uint8Array> {
  if (n === dimensions.length) {
    if (dimensions.length === 1 && dimensions[0] === 'ip' && key.every((byte) => byte === 0))
      throw new KernelError(U.IPSET_ERR_HASH_ELEM);
    yield key;
    return;
  }
  for (let i = 0; i < parts[n].count; i++) {
    key.set(parts[n].get(i), at);
    yield* combined(dimensions, parts, family, key, n + 1, at + dimensionLength(dimensions[n], family));
  }
}

/** The values of one dimension, made as they are asked for. */
type Values = { readonly count: number; get(i: number): Uint8Array };

const one = (value: Uint8Array): Values => ({ count: 1, get: () => value });

function missing(): KernelError {
  return new KernelError(U.IPSET_ERR_PROTOCOL);
}

function values(
  dimension: Dimension,
  second: boolean,
  family: number,
  attrs: Attrs,
  single: boolean,
  bitmap: boolean,
): Values {
  switch (dimension) {
    case 'ip':
      return addresses(second, family, attrs, single);
    case 'net':
      return networks(second, family, attrs, single);
    case 'port':
      return ports(attrs, single, true);
    case 'bare-port':
      return ports(attrs, single, false);
    case 'mac': {
      const mac = attrs.get(U.CADT_ETHER)?.payload;
      if (mac === undefined && bitmap) return one(new Uint8Array(6));
      if (mac?.length !== 6) throw missing();
      if (mac.every((byte) => byte === 0) && !bitmap) throw new KernelError(U.IPSET_ERR_HASH_ELEM);
      return one(mac);
    }
    case 'mark': {
      const mark = u32(attrs, U.CADT_MARK);
      if (mark === undefined) throw missing();
      return one(toBytes(mark, 4));
    }
    default: {
      const name = attrs.get(U.CADT_IFACE);
      if (name === undefined) throw missing();
      const out = new Uint8Array(IFACE_LENGTH + 1);
      const text = getString(name.payload);
      for (let i = 0; i < text.length && i < IFACE_LENGTH; i++) out[i] = text.charCodeAt(i);
      out[IFACE_LENGTH] = (u32(attrs, U.CADT_FLAGS) ?? 0) & U.IPSET_FLAG_PHYSDEV ? 1 : 0;
      return one(out);
    }
  }
}

const toNumber = (bytes: Uint8Array): number => bytes.reduce((n, byte) => n * 256 + byte, 0);

/** First and last address of a range, IPv4. */
function bounds(second: boolean, attrs: Attrs, max: number): { from: number; to: number } | undefined {
  const start = address(attrs, second ? U.CADT_IP2 : U.CADT_IP, 2);
  if (start === undefined) throw missing();
  const end = address(attrs, second ? U.CADT_IP2_TO : U.CADT_IP_TO, 2);
  const cidr = u8(attrs, second ? U.CADT_CIDR2 : U.CADT_CIDR);
  const from = toNumber(start);
  if (end !== undefined) {
    const to = toNumber(end);
    return from <= to ? { from, to } : { from: to, to: from };
  }
  if (cidr === undefined) return undefined;
  if (cidr === 0 || cidr > max) throw new KernelError(U.IPSET_ERR_INVALID_CIDR);
  const size = 2 ** (32 - cidr);
  const base = Math.floor(from / size) * size;
  return { from: base, to: base + size - 1 };
}

function addresses(second: boolean, family: number, attrs: Attrs, single: boolean): Values {
  if (family === 10) {
    const found = address(attrs, second ? U.CADT_IP2 : U.CADT_IP, 10);
    if (found === undefined) throw missing();
    if (attrs.has(second ? U.CADT_IP2_TO : U.CADT_IP_TO)) throw new KernelError(U.IPSET_ERR_HASH_RANGE_UNSUPPORTED);
    const cidr = u8(attrs, second ? U.CADT_CIDR2 : U.CADT_CIDR);
    if (cidr !== undefined && cidr !== 128) throw new KernelError(U.IPSET_ERR_INVALID_CIDR);
    return one(found);
  }
  const range = bounds(second, attrs, 32);
  const first = address(attrs, second ? U.CADT_IP2 : U.CADT_IP, 2);
  if (range === undefined || single) return one(first ?? new Uint8Array(4));
  return { count: range.to - range.from + 1, get: (i) => toBytes(range.from + i, 4) };
}

function networks(second: boolean, family: number, attrs: Attrs, single: boolean): Values {
  const length = family === 10 ? 16 : 4;
  const base = address(attrs, second ? U.CADT_IP2 : U.CADT_IP, family);
  if (base === undefined) throw missing();
  const cidr = u8(attrs, second ? U.CADT_CIDR2 : U.CADT_CIDR) ?? length * 8;
  if (cidr === 0 || cidr > length * 8) throw new KernelError(U.IPSET_ERR_INVALID_CIDR);
  const net = (start: Uint8Array, bits: number): Uint8Array => {
    const out = new Uint8Array(length + 1);
    out.set(start);
    maskBits(out, 0, length, bits);
    out[length] = bits;
    return out;
  };
  const hasEnd = attrs.has(second ? U.CADT_IP2_TO : U.CADT_IP_TO);
  if (family === 10 || !hasEnd || single) {
    if (family === 10 && hasEnd) throw new KernelError(U.IPSET_ERR_HASH_RANGE_UNSUPPORTED);
    return one(net(base, cidr));
  }
  const range = bounds(second, attrs, 32);
  if (range === undefined || range.to - range.from === 2 ** 32 - 1) throw new KernelError(U.IPSET_ERR_HASH_RANGE);
  // The largest networks that fit, from the start on.
  const out: Uint8Array[] = [];
  for (let at = range.from; at <= range.to; ) {
    let size = 1;
    while (size < 2 ** 31 && at % (size * 2) === 0 && at + size * 2 - 1 <= range.to) size *= 2;
    out.push(net(toBytes(at, 4), 32 - Math.log2(size)));
    at += size;
  }
  return { count: out.length, get: (i) => out[i] };
}

function ports(attrs: Attrs, single: boolean, withProtocol: boolean): Values {
  const from = u16(attrs, U.CADT_PORT);
  if (from === undefined) throw missing();
  const end = u16(attrs, U.CADT_PORT_TO);
  const protocol = u8(attrs, U.CADT_PROTO);
  if (withProtocol && protocol === undefined) throw new KernelError(U.IPSET_ERR_MISSING_PROTO);
  if (withProtocol && protocol === 0) throw new KernelError(U.IPSET_ERR_INVALID_PROTO);
  const ranged = !withProtocol || RANGE_PROTOCOLS.includes(protocol ?? 0);
  // Other protocols than these and ICMP have no port.
  const first = ranged || protocol === ICMP || protocol === ICMPV6 ? from : 0;
  const to = single || !ranged || end === undefined ? first : end;
  const [low, high] = first <= to ? [first, to] : [to, first];
  return {
    count: high - low + 1,
    get: (i) => (withProtocol ? Uint8Array.of(protocol ?? 0, (low + i) >> 8, (low + i) & 255) : toBytes(low + i, 2)),
  };
}
