/** The structure of xt match `connlabel` revision 0 (linux/netfilter: xt_connlabel.h). */
import { type Codec, struct, u16 } from './struct.ts';

export type Connlabel = {
  bit: number;
  options: number;
};

export const connlabel: Codec<Connlabel> = struct<Connlabel>({
  bit: u16,
  options: u16,
});
