/** The structure of xt match `esp` revision 0 (linux/netfilter: xt_esp.h). */
import { array, type Codec, struct, u8, u32 } from './struct.ts';

export type Esp = {
  spis: number[];
  invert: number;
};

export const esp: Codec<Esp> = struct<Esp>({
  spis: array(u32, 2),
  invert: u8,
});
