/**
 * Tunnel metadata: skb_get_tunnel_key, skb_set_tunnel_key, skb_get_tunnel_opt, skb_set_tunnel_opt
 * (`struct bpf_tunnel_key`, linux/bpf.h).
 */
import { EINVAL, ENOENT, ENOMEM, EPROTO } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run, Tunnel } from '../run.ts';

const KEY_SIZE = 44;
/** Sizes of older versions of the struct that are still taken. */
const OLD_SIZES: readonly number[] = [8, 22, 24, 28];
const TUNINFO_IPV6 = 1;
const TUNINFO_FLAGS = 16;
const SET_KNOWN = 0x1 | 0x2 | 0x4 | 0x8 | 0x10;
const MAX_OPTIONS = 255;
const TUNNEL_CSUM = 0x1;
const TUNNEL_KEY = 0x4;
const TUNNEL_SEQ = 0x8;
const TUNNEL_DONT_FRAGMENT = 0x100;
const TUNNEL_NOCACHE = 0x2000;

function getKey(run: Run, _skb: number, to: number, size: number, flags: number): number {
  const at = to >>> 0;
  const fail = (errno: number): number => {
    run.u8.fill(0, at, at + size);
    return -errno;
  };
  const { tunnel } = run;
  if (tunnel === undefined || run.hi(4) !== 0 || (flags & ~(TUNINFO_IPV6 | TUNINFO_FLAGS)) !== 0) return fail(EINVAL);
  if (((flags & TUNINFO_IPV6) !== 0) !== tunnel.ipv6) return fail(EPROTO);
  if (size !== KEY_SIZE && !OLD_SIZES.includes(size)) return fail(EINVAL);
  run.u8.set(asReceived(tunnel, (flags & TUNINFO_FLAGS) !== 0).subarray(0, size), at);
  return 0;
}

/** What was set for sending reads with the ends exchanged, as the other side would see it. */
function asReceived(tunnel: Tunnel, withFlags: boolean): Uint8Array {
  if (!tunnel.tx) return tunnel.key;
  const key = tunnel.key.slice();
  key.set(tunnel.key.subarray(28, 44), 4);
  key.set(tunnel.key.subarray(4, 20), 28);
  new DataView(key.buffer).setUint16(22, withFlags ? tunnelFlags(tunnel.flags) : 0);
  return key;
}

/** TUNNEL_* of the flags of skb_set_tunnel_key. */
function tunnelFlags(flags: number): number {
  let bits = TUNNEL_CSUM | TUNNEL_KEY | TUNNEL_NOCACHE;
  if ((flags & 2) !== 0) bits &= ~TUNNEL_CSUM;
  if ((flags & 4) !== 0) bits |= TUNNEL_DONT_FRAGMENT;
  if ((flags & 8) !== 0) bits |= TUNNEL_SEQ;
  if ((flags & 16) !== 0) bits &= ~TUNNEL_KEY;
  return bits;
}

function setKey(run: Run, _skb: number, from: number, size: number, flags: number): number {
  if (run.hi(4) !== 0 || (flags & ~SET_KNOWN) !== 0) return -EINVAL;
  if (size !== KEY_SIZE && !OLD_SIZES.includes(size)) return -EINVAL;
  const key = new Uint8Array(KEY_SIZE);
  key.set(run.u8.subarray(from >>> 0, (from >>> 0) + size));
  const dv = new DataView(key.buffer);
  const ipv6 = (flags & TUNINFO_IPV6) !== 0;
  // tunnel_ext is reserved; a flow label makes sense with IPv6 only.
  if ((!ipv6 && dv.getUint32(24, true) !== 0) || dv.getUint16(22, true) !== 0) return -EINVAL;
  run.tunnel = { key, options: new Uint8Array(0), tx: true, ipv6, flags };
  return 0;
}

function getOpt(run: Run, _skb: number, to: number, size: number): number {
  const at = to >>> 0;
  const options = run.tunnel?.options;
  let error = 0;
  if (options === undefined || options.length === 0) error = -ENOENT;
  else if (size < options.length) error = -ENOMEM;
  run.u8.fill(0, at, at + size);
  if (error !== 0 || options === undefined) return error;
  run.u8.set(options, at);
  return options.length;
}

function setOpt(run: Run, _skb: number, from: number, size: number): number {
  const { tunnel } = run;
  if (tunnel === undefined || !tunnel.tx || (size & 3) !== 0) return -EINVAL;
  if (size > MAX_OPTIONS) return -ENOMEM;
  tunnel.options = run.u8.slice(from >>> 0, (from >>> 0) + size);
  return 0;
}

export const tunnelHelpers: HelperTable = new Map<number, HelperImpl>([
  [20, { call: getKey, ret: 'int', wide: wide(4) }],
  [21, { call: setKey, ret: 'int', wide: wide(4) }],
  [29, { call: getOpt, ret: 'int' }],
  [30, { call: setOpt, ret: 'int' }],
]);
