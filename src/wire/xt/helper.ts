/** The structure of xt match `helper` revision 0 (linux/netfilter: xt_helper.h). */
import { type Codec, struct, text, u32 } from './struct.ts';

export type Helper = {
  invert: number;
  name: string;
};

export const helper: Codec<Helper> = struct<Helper>({
  invert: u32,
  name: text(30),
});
