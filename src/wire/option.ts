/**
 * Lists of options, in their three encodings, and of SCTP chunks:
 * IPv4 and TCP (RFC 791 3.1, RFC 9293 3.1: kinds 0 and 1 are single bytes, the length counts the whole option),
 * IPv6 options headers (RFC 8200 4.2: kind 0 is a single byte, the length counts the data),
 * Neighbour Discovery (RFC 4861 4.6: the length counts units of eight bytes). Reading never fails: what is no
 * well-formed option becomes one of kind -1, so that writing gives the same bytes back.
 */
import type { Chunk, Option } from './layer.ts';

export type OptionCoding = 'ip' | 'ip6' | 'nd';

/** Reads the options in `[at, end)`. */
export function parseOptions(u8: Uint8Array, at: number, end: number, coding: OptionCoding): Option[] {
  const out: Option[] = [];
  while (at < end) {
    const kind = u8[at];
    if (coding === 'ip' && kind === 0) {
      out.push({ kind, data: u8.slice(at + 1, end) });
      break;
    }
    if ((coding === 'ip' && kind === 1) || (coding === 'ip6' && kind === 0)) {
      out.push({ kind, data: new Uint8Array(0) });
      at++;
      continue;
    }
    const unit = at + 1 < end ? u8[at + 1] : -1;
    const whole = coding === 'ip' ? unit : coding === 'ip6' ? unit + 2 : unit * 8;
    if (unit < 0 || whole < 2 || at + whole > end) {
      out.push({ kind: -1, data: u8.slice(at, end) });
      break;
    }
    out.push({ kind, data: u8.slice(at + 2, at + whole) });
    at += whole;
  }
  return out;
}

function emitOption({ kind, data }: Option, coding: OptionCoding): number[] {
  if (kind === -1) return [...data];
  if (coding === 'ip' && kind === 0) return [0, ...data];
  if ((coding === 'ip' && kind === 1) || (coding === 'ip6' && kind === 0)) return [kind];
  if (coding === 'ip') return [kind, data.length + 2, ...data];
  if (coding === 'ip6') return [kind, data.length, ...data];
  const units = (data.length + 2 + 7) >> 3;
  return [kind, units, ...data, ...new Array<number>(units * 8 - data.length - 2).fill(0)];
}

/** Writes options one after another; IPv4 and TCP lists are filled up to whole words with end-of-list bytes. */
export function emitOptions(options: readonly Option[], coding: OptionCoding): Uint8Array {
  const bytes = options.flatMap((option) => emitOption(option, coding));
  if (coding === 'ip') while (bytes.length % 4 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}

/** Reads SCTP chunks (RFC 9260, 3.2) in `[at, end)`. */
export function parseChunks(u8: Uint8Array, at: number, end: number): Chunk[] {
  const out: Chunk[] = [];
  while (at < end) {
    const length = at + 4 <= end ? (u8[at + 2] << 8) | u8[at + 3] : 0;
    const next = at + ((length + 3) & ~3);
    const padded = length >= 4 && next <= end && u8.subarray(at + length, next).every((byte) => byte === 0);
    if (!padded) {
      out.push({ type: -1, flags: 0, value: u8.slice(at, end) });
      break;
    }
    out.push({ type: u8[at], flags: u8[at + 1], value: u8.slice(at + 4, at + length) });
    at = next;
  }
  return out;
}

/** Writes SCTP chunks, each padded to four bytes. */
export function emitChunks(chunks: readonly Chunk[]): Uint8Array {
  const bytes: number[] = [];
  for (const { type, flags, value } of chunks) {
    if (type !== -1) bytes.push(type, flags, (value.length + 4) >> 8, (value.length + 4) & 0xff);
    bytes.push(...value);
    if (type !== -1) while (bytes.length % 4 !== 0) bytes.push(0);
  }
  return Uint8Array.from(bytes);
}
