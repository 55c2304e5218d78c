/** The structure of xt target `TCPOPTSTRIP` revision 0 (linux/netfilter: xt_TCPOPTSTRIP.h). */
import { array, type Codec, struct, u32 } from './struct.ts';

export type TcpoptstripTarget = {
  bitmap: number[];
};

export const tcpoptstripTarget: Codec<TcpoptstripTarget> = struct<TcpoptstripTarget>({
  bitmap: array(u32, 8),
});
