/**
 * Tunnel metadata: skb_get_tunnel_key, skb_set_tunnel_key, skb_get_tunnel_opt, skb_set_tunnel_opt
 * (`struct bpf_tunnel_key`, linux/bpf.h).
 */
import { EINVAL, ENOENT, ENOMEM, EPROTO } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Run } from '../run.ts';

const KEY_SIZE = 44;
/** Sizes of older versions of the struct that are still taken. */
const OLD_SIZES: readonly number[] = [8, 22, 24, 28];
const TUNINFO_IPV6 = 1;
const TUNINFO_FLAGS = 16;
const SET_KNOWN = 0x1 | 0x2 | 0x4 | 0x8 | 0x10;
const MAX_OPTIONS = 255;

function getKey(run: Run, _skb: number, to: number, size: number, flags: number): number {
  const at = to >>> 0;
  const fail = (errno: number): number => {
    run.u8.fill(0, at, at + size);
    return -errno;
  };
  const { tunnel } = run;
  if (tunnel === undefined || tunnel.tx || run.hi(4) !== 0 || (flags & ~(TUNINFO_IPV6 | TUNINFO_FLAGS)) !== 0)
    return fail(EINVAL);
  if (((flags & TUNINFO_IPV6) !== 0) !== tunnel.ipv6) return fail(EPROTO);
  if (size !== KEY_SIZE && !OLD_SIZES.includes(size)) return fail(EINVAL);
  run.u8.set(tunnel.key.subarray(0, size), at);
  return 0;
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
