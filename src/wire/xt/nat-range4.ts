/** The structure of xt targets `SNAT`, `DNAT`, `MASQUERADE`, `REDIRECT`, `NETMAP` revision 0 of IPv4 (linux/netfilter: nf_nat.h). */
import { be16, bytes, type Codec, struct, u32 } from './struct.ts';

export type NatRange4 = {
  count: number;
  flags: number;
  minIp: Uint8Array;
  maxIp: Uint8Array;
  minPort: number;
  maxPort: number;
};

export const natRange4: Codec<NatRange4> = struct<NatRange4>({
  count: u32,
  flags: u32,
  minIp: bytes(4, 4),
  maxIp: bytes(4, 4),
  minPort: be16,
  maxPort: be16,
});
