/** The structure of xt match `length` revision 0 (linux/netfilter: xt_length.h). */
import { type Codec, struct, u8, u16 } from './struct.ts';

export type Length = {
  min: number;
  max: number;
  invert: number;
};

export const length: Codec<Length> = struct<Length>({
  min: u16,
  max: u16,
  invert: u8,
});
