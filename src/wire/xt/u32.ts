/** The structure of xt match `u32` revision 0 (linux/netfilter: xt_u32.h). */
import { array, type Codec, nested, struct, u8, u32 } from './struct.ts';

export type U32Location = { number: number; nextop: number };
export type U32Value = { min: number; max: number };
export type U32Test = { location: U32Location[]; value: U32Value[]; nnums: number; nvalues: number };
export type U32Match = {
  tests: U32Test[];
  ntests: number;
  invert: number;
};

export const u32Match: Codec<U32Match> = struct<U32Match>({
  tests: array(
    nested<U32Test>({
      location: array(nested<U32Location>({ number: u32, nextop: u8 }), 11),
      value: array(nested<U32Value>({ min: u32, max: u32 }), 11),
      nnums: u8,
      nvalues: u8,
    }),
    11,
  ),
  ntests: u8,
  invert: u8,
});
