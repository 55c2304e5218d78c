/** The structure of xt targets `SNAT`, `DNAT`, `MASQUERADE`, `REDIRECT`, `NETMAP` of IPv6 (struct nf_nat_range) (linux/netfilter: nf_nat.h). */
import { address, be16, type Codec, struct, u32 } from './struct.ts';

export type NatRange1 = {
  flags: number;
  minAddr: Uint8Array;
  maxAddr: Uint8Array;
  minPort: number;
  maxPort: number;
};

export const natRange1: Codec<NatRange1> = struct<NatRange1>({
  flags: u32,
  minAddr: address,
  maxAddr: address,
  minPort: be16,
  maxPort: be16,
});
