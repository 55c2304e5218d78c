/** The structures of xt targets `SECMARK` revision 1 and `CONNSECMARK` revision 0 (linux/netfilter: xt_SECMARK.h, xt_CONNSECMARK.h). */
import { type Codec, struct, text, u8, u32 } from './struct.ts';

export type SecmarkTarget = { mode: number; context: string; id: number };

export const secmarkTarget: Codec<SecmarkTarget> = struct<SecmarkTarget>({ mode: u8, context: text(256), id: u32 });

/** `mode` 1 saves the packet's mark in the connection, 2 restores it. */
export type ConnsecmarkTarget = { mode: number };

export const connsecmarkTarget: Codec<ConnsecmarkTarget> = struct<ConnsecmarkTarget>({ mode: u8 });
