/** The structure of xt match `ipvs` revision 0 (linux/netfilter: xt_ipvs.h). */
import { address, be16, type Codec, struct, u8 } from './struct.ts';

export type Ipvs = {
  address: Uint8Array;
  mask: Uint8Array;
  port: number;
  proto: number;
  /** IP_VS_CONN_F_*. */
  method: number;
  controlPort: number;
  invert: number;
  bitmask: number;
};

export const ipvs: Codec<Ipvs> = struct<Ipvs>({
  address,
  mask: address,
  port: be16,
  proto: u8,
  method: u8,
  controlPort: be16,
  invert: u8,
  bitmask: u8,
});

export const IPVS_PROPERTY = 1;
export const IPVS_PROTO = 2;
export const IPVS_ADDRESS = 4;
export const IPVS_PORT = 8;
export const IPVS_DIR = 16;
export const IPVS_METHOD = 32;
export const IPVS_CONTROL_PORT = 64;
