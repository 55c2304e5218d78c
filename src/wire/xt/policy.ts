/** The structure of xt match `policy` revision 0 (linux/netfilter: xt_policy.h). */
import { address, array, type Codec, nested, struct, u8, u16, u32 } from './struct.ts';

export type PolicyElement = {
  saddr: Uint8Array;
  smask: Uint8Array;
  daddr: Uint8Array;
  dmask: Uint8Array;
  spi: number;
  reqid: number;
  proto: number;
  mode: number;
  /** Bits: saddr 1, daddr 2, proto 4, mode 8, spi 16, reqid 32. */
  match: number;
  invert: number;
};
export type Policy = {
  pol: PolicyElement[];
  flags: number;
  len: number;
};

export const policy: Codec<Policy> = struct<Policy>({
  pol: array(
    nested<PolicyElement>({
      saddr: address,
      smask: address,
      daddr: address,
      dmask: address,
      spi: u32,
      reqid: u32,
      proto: u8,
      mode: u8,
      match: u8,
      invert: u8,
    }),
    4,
  ),
  flags: u16,
  len: u16,
});
