/** The structure of xt target `LOG` revision 0 (linux/netfilter: xt_LOG.h). */
import { type Codec, struct, text, u8 } from './struct.ts';

export type LogTarget = {
  level: number;
  flags: number;
  prefix: string;
};

export const logTarget: Codec<LogTarget> = struct<LogTarget>({
  level: u8,
  flags: u8,
  prefix: text(30),
});
