/** The structure of xt match `owner` revision 1 (linux/netfilter: xt_owner.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type Owner = {
  uidMin: number;
  uidMax: number;
  gidMin: number;
  gidMax: number;
  match: number;
  invert: number;
};

export const owner: Codec<Owner> = struct<Owner>({
  uidMin: u32,
  uidMax: u32,
  gidMin: u32,
  gidMax: u32,
  match: u8,
  invert: u8,
});
