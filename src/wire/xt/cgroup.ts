/** The structure of xt match `cgroup` revision 2 (linux/netfilter: xt_cgroup.h). */
import { bytes, type Codec, type Field, pointer, struct, u8 } from './struct.ts';

export type Cgroup = {
  hasPath: number;
  hasClassid: number;
  invertPath: number;
  invertClassid: number;
  /** A union: the path, or the class id in its first four bytes. */
  value: Uint8Array;
  priv: bigint;
};

/** Bytes of the path. */
export const CGROUP_PATH_LENGTH = 512;

const value: Field<Uint8Array> = bytes(CGROUP_PATH_LENGTH, 4);

export const cgroup: Codec<Cgroup> = struct<Cgroup>({
  hasPath: u8,
  hasClassid: u8,
  invertPath: u8,
  invertClassid: u8,
  value,
  priv: pointer,
});
