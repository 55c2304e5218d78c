/** The structure of xt match `connmark` revision 1 (linux/netfilter: xt_connmark.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type Connmark = {
  mark: number;
  mask: number;
  invert: number;
};

export const connmark: Codec<Connmark> = struct<Connmark>({
  mark: u32,
  mask: u32,
  invert: u8,
});
