/** The structure of xt match `osf` revision 0 (linux/netfilter: xt_osf.h). */
import { type Codec, struct, text, u32 } from './struct.ts';

export type Osf = {
  genre: string;
  length: number;
  flags: number;
  logLevel: number;
  ttl: number;
};

export const osf: Codec<Osf> = struct<Osf>({
  genre: text(32),
  length: u32,
  flags: u32,
  logLevel: u32,
  ttl: u32,
});

export const OSF_GENRE = 1;
export const OSF_TTL = 2;
export const OSF_LOG = 4;
export const OSF_INVERT = 8;
