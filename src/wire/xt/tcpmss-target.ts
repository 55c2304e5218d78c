/** The structure of xt target `TCPMSS` revision 0 (linux/netfilter: xt_TCPMSS.h). */
import { type Codec, struct, u16 } from './struct.ts';

export type TcpmssTarget = {
  mss: number;
};

export const tcpmssTarget: Codec<TcpmssTarget> = struct<TcpmssTarget>({
  mss: u16,
});
