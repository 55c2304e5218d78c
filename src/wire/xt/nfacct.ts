/** The structure of xt match `nfacct` revision 0 (linux/netfilter: xt_nfacct.h). */
import { type Codec, pointer, struct, text } from './struct.ts';

export type Nfacct = {
  name: string;
  nfacct: bigint;
};

export const nfacct: Codec<Nfacct> = struct<Nfacct>({
  name: text(32),
  nfacct: pointer,
});
