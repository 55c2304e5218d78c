/** The structure of xt match `realm` revision 0 (linux/netfilter: xt_realm.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type Realm = {
  id: number;
  mask: number;
  invert: number;
};

export const realm: Codec<Realm> = struct<Realm>({
  id: u32,
  mask: u32,
  invert: u8,
});
