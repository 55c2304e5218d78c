/** The structure of xt match `mark` revision 1 (linux/netfilter: xt_mark.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type Mark = {
  mark: number;
  mask: number;
  invert: number;
};

export const mark: Codec<Mark> = struct<Mark>({
  mark: u32,
  mask: u32,
  invert: u8,
});
