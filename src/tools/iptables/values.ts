/** Values of options: numbers, ranges, marks, ports, addresses; with the error texts of iptables 1.8.9. */
import { formatAddress, maskLength, netmask, parseIpv4, parseIpv6 } from '../../wire/address.ts';
import { problem } from './errors.ts';
import type { Context } from './extension.ts';
import { serviceName, servicePort } from './names.ts';

export const U32_MAX = 0xffffffff;

/** strtoull with base 0 over the whole text: decimal, 0x…, 0…; undefined when it is no number. */
export function strtou(text: string): bigint | undefined {
  if (/^0[xX][0-9a-fA-F]+$/.test(text) || /^(0|[1-9]\d*)$/.test(text)) return BigInt(text);
  if (/^0[0-7]+$/.test(text)) return BigInt(`0o${text.slice(1)}`);
  return undefined;
}

/** A number within bounds, or undefined. */
export function number(text: string, max: number = U32_MAX, min = 0): number | undefined {
  const value = strtou(text);
  return value === undefined || value < BigInt(min) || value > BigInt(max) ? undefined : Number(value);
}

/** The number an option takes. */
export function uint(ctx: Context, text: string, max: number = U32_MAX, min = 0): number {
  const value = number(text, max, min);
  if (value === undefined)
    throw problem(`${ctx.ext}: bad value for option "--${ctx.opt}", or out of range (${min}-${max}).`);
  return value;
}

/** A 64-bit number. */
export function uint64(ctx: Context, text: string): bigint {
  const value = strtou(text);
  if (value === undefined || value > 0xffffffffffffffffn)
    throw problem(`${ctx.ext}: bad value for option "--${ctx.opt}", or out of range (0-18446744073709551615).`);
  return value;
}

function near(ctx: Context, text: string, max: bigint): Error {
  return problem(`${ctx.ext}: bad value for option "--${ctx.opt}" near "${text}", or out of range (0-${max}).`);
}

/** "a:b", "a:", ":b" or "a" (which is a:a). */
export function range64(ctx: Context, text: string, max = 0xffffffffffffffffn): [bigint, bigint] {
  const colon = text.indexOf(':');
  const read = (part: string, from: string, fallback: bigint): bigint => {
    if (part === '') return fallback;
    const value = strtou(part);
    if (value === undefined || value > max) throw near(ctx, from, max);
    return value;
  };
  if (colon < 0) {
    if (text === '') throw near(ctx, text, max);
    const value = read(text, text, 0n);
    return [value, value];
  }
  const second = text.slice(colon + 1);
  return [read(text.slice(0, colon), text, 0n), read(second, second, max)];
}

export function range(ctx: Context, text: string, max: number = U32_MAX): [number, number] {
  const [from, to] = range64(ctx, text, BigInt(max));
  return [Number(from), Number(to)];
}

/** "value" or "value/mask". */
export function markMask(ctx: Context, text: string): [number, number] {
  const slash = text.indexOf('/');
  const value = number(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? U32_MAX : number(text.slice(slash + 1));
  if (value === undefined || mask === undefined)
    throw problem(`${ctx.ext}: bad integer value for option "--${ctx.opt}", or out of range.`);
  return [value, mask];
}

/** A port number or service name. */
export function port(text: string, proto: number): number | undefined {
  return number(text, 65535) ?? servicePort(text, proto);
}

/** A port of the tcp, sctp and multiport matches. */
export function strictPort(text: string, proto: number): number {
  const value = port(text, proto);
  if (value === undefined) throw problem(`invalid port/service \`${text}' specified`);
  return value;
}

/** A port range of the udp and dccp matches. */
export function portRange(ctx: Context, text: string): [number, number] {
  const one = (part: string, fallback: number): number => {
    if (part === '') return fallback;
    const value = port(part, ctx.proto);
    if (value === undefined) throw problem(`Port "${part}" does not resolve to anything.`);
    return value;
  };
  const colon = text.indexOf(':');
  if (colon < 0) {
    const value = one(text, 0);
    return [value, value];
  }
  const from = one(text.slice(0, colon), 0);
  const to = one(text.slice(colon + 1), 65535);
  if (from > to) throw problem(`Port range ${from}-${to} is invalid.`);
  return [from, to];
}

/** "a" or "a:b" of a port range in listings. */
export function ports(from: number, to: number): string {
  return from === to ? `${from}` : `${from}:${to}`;
}

/** Port or service name, as -L prints it. */
export function portWord(value: number, proto: number, numeric: boolean): string {
  return numeric ? `${value}` : (serviceName(value, proto) ?? `${value}`);
}

/** An address of the family. */
export function address(text: string, family: 4 | 6): Uint8Array | undefined {
  return family === 4 ? parseIpv4(text) : parseIpv6(text);
}

/** The first 4 or all 16 bytes of a `union nf_inet_addr`. */
export function inet(bytes: Uint8Array, family: 4 | 6): Uint8Array {
  return family === 4 ? bytes.subarray(0, 4) : bytes;
}

/** A `union nf_inet_addr` of an address. */
export function union(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(16);
  out.set(bytes);
  return out;
}

/** An IPv4 address with fewer than four parts: the rest is zero ("10.1" is 10.1.0.0), as iptables reads networks. */
function shortIpv4(text: string): Uint8Array | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){0,3}$/.test(text)) return undefined;
  const parts = text.split('.').map(Number);
  if (parts.some((part) => part > 255)) return undefined;
  return Uint8Array.from([...parts, 0, 0, 0, 0].slice(0, 4));
}

export type Masked = { readonly address: Uint8Array; readonly mask: Uint8Array };

/** "address", "address/length", "address/mask"; the host bits go. */
export function masked(text: string, family: 4 | 6): Masked {
  const slash = text.indexOf('/');
  const size = family === 4 ? 4 : 16;
  const mask = slash < 0 ? netmask(size * 8, size) : parseMask(text.slice(slash + 1), family);
  const name = slash < 0 ? text : text.slice(0, slash);
  const found = family === 4 ? (parseIpv4(name) ?? (slash < 0 ? undefined : shortIpv4(name))) : parseIpv6(name);
  const bytes = found ?? (name === 'localhost' ? loopback(family) : undefined);
  if (bytes === undefined) throw problem(`host/network \`${name}' not found`);
  return { address: bytes.map((byte, i) => byte & mask[i]), mask };
}

function loopback(family: 4 | 6): Uint8Array {
  return family === 4 ? Uint8Array.from([127, 0, 0, 1]) : Uint8Array.from({ length: 16 }, (_, i) => (i === 15 ? 1 : 0));
}

/** A prefix length or a mask in address form. */
export function parseMask(text: string, family: 4 | 6): Uint8Array {
  const size = family === 4 ? 4 : 16;
  const direct = address(text, family);
  if (direct !== undefined) return direct;
  const length = number(text, size * 8);
  if (length === undefined) throw problem(`invalid mask \`${text}' specified`);
  return netmask(length, size);
}

/** "/24", "/255.0.255.0", or '' for a full mask of which nothing need be said. */
export function maskText(mask: Uint8Array): string {
  const length = maskLength(mask);
  return length >= 0 ? `/${length}` : `/${formatAddress(mask)}`;
}

/** Bytes of a MAC address. */
export function mac(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{1,2}(:[0-9a-fA-F]{1,2}){5}$/.test(text)) throw problem('Invalid MAC address specified.');
  return Uint8Array.from(text.split(':'), (part) => Number.parseInt(part, 16));
}
