/**
 * Redirection: redirect, redirect_peer, redirect_neigh, redirect_map, clone_redirect. The helper notes where to; whoever
 * ran the program acts on it when it returns TC_ACT_REDIRECT or XDP_REDIRECT.
 */
import { EINVAL, ENOMEM } from '../../../core/errno.ts';
import * as uapi from '../../../wire/uapi/bpf.ts';
import { flushSkb } from '../ctx.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Redirect, Run } from '../run.ts';

const BPF_F_INGRESS = 1;
const BPF_F_BROADCAST = 8;
const BPF_F_EXCLUDE_INGRESS = 16;
const XDP_ABORTED = 0;
const XDP_REDIRECT = 4;
const TC_ACT_SHOT = 2;
const TC_ACT_REDIRECT = 7;
/** Low bits of redirect_map's flags: what to return when the key is not there. */
const ACTION_MASK = 3;
/** bpf_redirect_neigh takes no other size than that of struct bpf_redir_neigh. */
const REDIR_NEIGH = 20;

const target = (kind: Redirect['kind'], ifindex: number, flags: number): Redirect => ({
  kind,
  ifindex,
  flags,
  map: -1,
  key: 0,
  neighbour: new Uint8Array(0),
});

function redirect(run: Run, ifindex: number, flags: number): number {
  const xdp = run.progType === uapi.BPF_PROG_TYPE_XDP;
  if (run.hi(2) !== 0 || (flags & (xdp ? ~0 : ~BPF_F_INGRESS)) !== 0) return xdp ? XDP_ABORTED : TC_ACT_SHOT;
  run.redirect = target('device', ifindex, flags);
  return xdp ? XDP_REDIRECT : TC_ACT_REDIRECT;
}

function redirectPeer(run: Run, ifindex: number, flags: number): number {
  if (flags !== 0 || run.hi(2) !== 0) return TC_ACT_SHOT;
  run.redirect = target('peer', ifindex, 0);
  return TC_ACT_REDIRECT;
}

function redirectNeigh(run: Run, ifindex: number, params: number, length: number, flags: number): number {
  if ((length !== 0 && length < REDIR_NEIGH) || flags !== 0 || run.hi(4) !== 0) return TC_ACT_SHOT;
  run.redirect = target('neigh', ifindex, 0);
  run.redirect.neighbour = run.u8.slice(params >>> 0, (params >>> 0) + length);
  return TC_ACT_REDIRECT;
}

function redirectMap(run: Run, mapAt: number, key: number, flags: number): number {
  const map = run.machine.mapAt(mapAt >>> 0);
  const devices = map.type === uapi.BPF_MAP_TYPE_DEVMAP || map.type === uapi.BPF_MAP_TYPE_DEVMAP_HASH;
  const known = ACTION_MASK | (devices ? BPF_F_BROADCAST | BPF_F_EXCLUDE_INGRESS : 0);
  if (run.hi(3) !== 0 || (flags & ~known) !== 0) return run.ret64(XDP_ABORTED);
  const broadcast = (flags & BPF_F_BROADCAST) !== 0;
  const scratch = run.scratch;
  run.dv.setUint32(scratch, key, true);
  if (run.hi(2) !== 0 || (map.lookup(scratch) === 0 && !broadcast)) {
    if (!broadcast) {
      run.redirect = undefined;
      return run.ret64(flags & ACTION_MASK);
    }
  }
  run.redirect = target('map', 0, flags);
  run.redirect.map = map.id;
  run.redirect.key = key >>> 0;
  return run.ret64(XDP_REDIRECT);
}

function cloneRedirect(run: Run, _skb: number, ifindex: number, flags: number): number {
  const { machine, slab } = run;
  if (run.hi(3) !== 0 || (flags & ~BPF_F_INGRESS) !== 0) return -EINVAL;
  if (machine.net.device(ifindex) === undefined) return -EINVAL;
  flushSkb(run);
  const copy = slab.copy(run.packet);
  if (copy < 0) return -ENOMEM;
  return machine.net.clone(copy, ifindex, flags);
}

export const redirectHelpers: HelperTable = new Map<number, HelperImpl>([
  [23, { call: redirect, ret: 'int', wide: wide(2) }],
  [155, { call: redirectPeer, ret: 'int', wide: wide(2) }],
  [152, { call: redirectNeigh, ret: 'int', wide: wide(4) }],
  [51, { call: redirectMap, ret: 'u64', wide: wide(2, 3) }],
  [13, { call: cloneRedirect, ret: 'int', wide: wide(3), movesPacket: true }],
]);
