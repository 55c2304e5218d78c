/** The structure of xt target `LED` revision 0 (linux/netfilter: xt_LED.h). */
import { type Codec, pointer, struct, text, u8, u32 } from './struct.ts';

export type LedTarget = {
  id: string;
  alwaysBlink: number;
  /** Milliseconds; 0xffffffff for ever. */
  delay: number;
  data: bigint;
};

export const ledTarget: Codec<LedTarget> = struct<LedTarget>({
  id: text(27),
  alwaysBlink: u8,
  delay: u32,
  data: pointer,
});
