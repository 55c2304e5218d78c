/**
 * What a NAT rule asks for (`struct nf_nat_range2`): addresses and ports to choose from, and how.
 */
import {
  NF_NAT_RANGE_MAP_IPS,
  NF_NAT_RANGE_PROTO_OFFSET,
  NF_NAT_RANGE_PROTO_SPECIFIED,
} from '../../wire/uapi/ctnetlink.ts';
import type { Words } from '../conntrack/tuple.ts';

/** Which half of a tuple is rewritten. */
export const MANIP_SRC = 0;
export const MANIP_DST = 1;

export type NatRange = {
  /** NF_NAT_RANGE_* */
  flags: number;
  /** First and last address, four words each (IPv4 in the first). */
  readonly minAddress: Words;
  readonly maxAddress: Words;
  /** First and last port (ICMP: id), host order. */
  minPort: number;
  maxPort: number;
  /** Port that the first one stands for (shifted port ranges). */
  basePort: number;
};

/** An empty range; expressions keep one each and overwrite it per packet. */
export function newRange(): NatRange {
  return {
    flags: 0,
    minAddress: new Uint32Array(4),
    maxAddress: new Uint32Array(4),
    minPort: 0,
    maxPort: 0,
    basePort: 0,
  };
}

/** Sets one address as the whole range. */
export function setSingleAddress(range: NatRange, words: Words, at: number): void {
  for (let k = 0; k < 4; k++) range.minAddress[k] = range.maxAddress[k] = words[at + k];
  range.flags |= NF_NAT_RANGE_MAP_IPS;
}

/** True when the address at `t[at]` lies between the range's. */
export function addressInRange(range: NatRange, t: Words, at: number): boolean {
  return compare(t, at, range.minAddress) >= 0 && compare(t, at, range.maxAddress) <= 0;
}

function compare(a: Words, at: number, b: Words): number {
  for (let k = 0; k < 4; k++) if (a[at + k] !== b[k]) return a[at + k] < b[k] ? -1 : 1;
  return 0;
}

export function hasPorts(range: NatRange): boolean {
  return (range.flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0;
}

export function hasOffset(range: NatRange): boolean {
  return (range.flags & NF_NAT_RANGE_PROTO_OFFSET) !== 0;
}
