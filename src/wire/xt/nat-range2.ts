/** The structure of xt target `DNAT` revision 2 (struct nf_nat_range2) (linux/netfilter: nf_nat.h). */
import { address, be16, type Codec, struct, u32 } from './struct.ts';

export type NatRange2 = {
  flags: number;
  minAddr: Uint8Array;
  maxAddr: Uint8Array;
  minPort: number;
  maxPort: number;
  basePort: number;
};

export const natRange2: Codec<NatRange2> = struct<NatRange2>({
  flags: u32,
  minAddr: address,
  maxAddr: address,
  minPort: be16,
  maxPort: be16,
  basePort: be16,
});
