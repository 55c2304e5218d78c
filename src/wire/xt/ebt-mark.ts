/** The structure of ebtables match `mark_m` revision 0 (linux/netfilter_bridge: ebt_mark_m.h), on 64-bit machines. */
import { type Codec, struct, u8, u64 } from './struct.ts';

export type EbtMark = {
  mark: bigint;
  mask: bigint;
  invert: number;
  /** EBT_MARK_AND or EBT_MARK_OR. */
  bitmask: number;
};

/** Marks that are equal to `mark` under `mask`. */
export const EBT_MARK_AND = 1;
/** Marks that have any bit of `mask`. */
export const EBT_MARK_OR = 2;

export const ebtMark: Codec<EbtMark> = struct<EbtMark>({
  mark: u64,
  mask: u64,
  invert: u8,
  bitmask: u8,
});
