/**
 * What the `set` match and the `SET` target need of ipset: sets by index, tested and changed by a packet. The set types
 * implement it; while there are none, every rule that names a set is refused.
 */
import type { PktInfo } from '../nft/pkt.ts';

/** Which part of the packet is which dimension of an element (`struct ip_set_adt_opt`). */
export type IpsetOptions = {
  /** Number of dimensions. */
  readonly dim: number;
  /** Bit `n`: dimension `n` (from 1) is the source; bit 0: the answer is turned round (not for the set to do). */
  readonly flags: number;
  /** IPSET_FLAG_* of the rule: exist, return-nomatch, skip counter update... */
  readonly command: number;
  /** Seconds that an added element lives; undefined for the set's own default. */
  readonly timeout: number | undefined;
};

/** What a set says of an element that was found. */
export type IpsetElement = {
  readonly packets: bigint;
  readonly bytes: bigint;
  /** skbinfo extension. */
  readonly mark: number;
  readonly markMask: number;
  readonly priority: number;
  readonly queue: number;
};

/** One set. Its methods work on the packet path: they do not throw. */
export type IpsetSet = {
  /** Rules and lists that use the set; it cannot be destroyed before this is 0. */
  references: number;
  /** The element that the packet falls into, its counters already updated; undefined when there is none. */
  test(pkt: PktInfo, options: IpsetOptions): IpsetElement | undefined;
  add(pkt: PktInfo, options: IpsetOptions): boolean;
  del(pkt: PktInfo, options: IpsetOptions): boolean;
};

/** All sets of a host. A swap changes what an index stands for, so rules ask again for every packet. */
export type IpsetRegistry = {
  byIndex(index: number): IpsetSet | undefined;
};
