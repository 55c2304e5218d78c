/** The structures of xt match `set` revision 4 and target `SET` revision 3 (linux/netfilter: xt_set.h). */
import { type Codec, type Field, nested, struct, u8, u16, u32, u64 } from './struct.ts';

/** `struct xt_set_info`: a set by index, and which address or port of the packet is which dimension of its elements. */
export type SetInfo = { index: number; dim: number; flags: number };
/** `struct ip_set_counter_match`. */
export type CounterMatch = { value: bigint; op: number };

export type SetMatch = { set: SetInfo; packets: CounterMatch; bytes: CounterMatch; flags: number };
export type SetTarget = { add: SetInfo; del: SetInfo; map: SetInfo; flags: number; timeout: number };

const info: Field<SetInfo> = nested<SetInfo>({ index: u16, dim: u8, flags: u8 });
const counter: Field<CounterMatch> = nested<CounterMatch>({ value: u64, op: u8 });

export const setMatch: Codec<SetMatch> = struct<SetMatch>({ set: info, packets: counter, bytes: counter, flags: u32 });
export const setTarget: Codec<SetTarget> = struct<SetTarget>({
  add: info,
  del: info,
  map: info,
  flags: u32,
  timeout: u32,
});

/** Index that stands for no set. */
export const IPSET_INVALID_ID: number = 0xffff;
/** Bit of `SetInfo.flags`: the answer is turned round. */
export const IPSET_INV_MATCH: number = 1;
/** Flags of the match and the target. */
export const IPSET_FLAG_EXIST: number = 1 << 0;
export const IPSET_FLAG_SKIP_COUNTER_UPDATE: number = 1 << 3;
export const IPSET_FLAG_SKIP_SUBCOUNTER_UPDATE: number = 1 << 4;
export const IPSET_FLAG_RETURN_NOMATCH: number = 1 << 7;
export const IPSET_FLAG_MAP_SKBMARK: number = 1 << 8;
export const IPSET_FLAG_MAP_SKBPRIO: number = 1 << 9;
export const IPSET_FLAG_MAP_SKBQUEUE: number = 1 << 10;
/** How `CounterMatch` compares. */
export const IPSET_COUNTER_NONE: number = 0;
export const IPSET_COUNTER_EQ: number = 1;
export const IPSET_COUNTER_NE: number = 2;
export const IPSET_COUNTER_LT: number = 3;
export const IPSET_COUNTER_GT: number = 4;
