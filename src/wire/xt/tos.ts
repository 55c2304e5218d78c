/** The structure of xt match `tos` revision 1 (linux/netfilter: xt_dscp.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Tos = {
  mask: number;
  value: number;
  invert: number;
};

export const tos: Codec<Tos> = struct<Tos>({
  mask: u8,
  value: u8,
  invert: u8,
});
