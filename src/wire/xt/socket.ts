/** The structure of xt match `socket` revision 3 (linux/netfilter: xt_socket.h). */
import { type Codec, struct, u8 } from './struct.ts';

export type Socket = {
  flags: number;
};

export const socket: Codec<Socket> = struct<Socket>({
  flags: u8,
});
