/** The structure of xt match `time` revision 0 (linux/netfilter: xt_time.h). */
import { type Codec, struct, u8, u32 } from './struct.ts';

export type Time = {
  dateStart: number;
  dateStop: number;
  daytimeStart: number;
  daytimeStop: number;
  monthdays: number;
  weekdays: number;
  flags: number;
};

export const time: Codec<Time> = struct<Time>({
  dateStart: u32,
  dateStop: u32,
  daytimeStart: u32,
  daytimeStop: u32,
  monthdays: u32,
  weekdays: u8,
  flags: u8,
});
