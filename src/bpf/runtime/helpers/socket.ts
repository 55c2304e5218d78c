/**
 * Helpers of programs that sit at sockets: choosing one of a group, redirecting to one of a map, a cgroup's own storage,
 * the answer of the system call. What needs TCP (sk_msg, sock_ops) is not here.
 */
import { EINVAL, ENOENT } from '../../../core/errno.ts';
import { type HelperImpl, type HelperTable, wide } from '../helper.ts';
import type { Redirect, Run } from '../run.ts';

const BPF_F_INGRESS = 1;
const SK_DROP = 0;
const SK_PASS = 1;
const MAX_ERRNO = 4095;
/** A host is one cgroup, the root. */
export const ROOT_CGROUP = 1;

/** sk_select_reuseport: the group's member in slot or under key `key` of a map. */
function selectReuseport(run: Run, _ctx: number, mapAt: number, keyAt: number, flags: number): number {
  if (flags !== 0 || run.hi(4) !== 0) return -EINVAL;
  const map = run.machine.mapAt(mapAt >>> 0);
  const sk = map.lookup(keyAt >>> 0);
  if (sk === 0) return -ENOENT;
  return run.machine.net.selectReuseport(run, sk, map);
}

function redirect(keyed: boolean): HelperImpl['call'] {
  return (run, _skb, mapAt, key, flags) => {
    if ((flags & ~BPF_F_INGRESS) !== 0 || run.hi(4) !== 0) return SK_DROP;
    const map = run.machine.mapAt(mapAt >>> 0);
    let at = key >>> 0;
    if (!keyed) {
      at = run.scratch;
      run.dv.setUint32(at, key, true);
    }
    const sk = map.lookup(at);
    if (sk === 0) return SK_DROP;
    const to: Redirect = { kind: 'socket', ifindex: sk, flags, map: map.id, key, neighbour: new Uint8Array(0) };
    run.redirect = to;
    return SK_PASS;
  };
}

function localStorage(run: Run, mapAt: number, flags: number): number {
  const map = run.machine.mapAt(mapAt >>> 0);
  if (flags !== 0) return 0;
  const at = map.storage?.get(ROOT_CGROUP, true, 0) ?? 0;
  if (at !== 0) run.grant(at, map.valueSize);
  return at;
}

function setRetval(run: Run, value: number): number {
  if (value < -MAX_ERRNO || value > 0) return -EINVAL;
  run.retval = value;
  return 0;
}

export const socketHelpers: HelperTable = new Map<number, HelperImpl>([
  [82, { call: selectReuseport, ret: 'int', wide: wide(4) }],
  [52, { call: redirect(false), ret: 'int', wide: wide(4) }],
  [72, { call: redirect(true), ret: 'int', wide: wide(4) }],
  [81, { call: localStorage, ret: 'u32' }],
  [64, { call: (run, _ctx, at, size) => run.machine.net.bindSocket(run, at >>> 0, size), ret: 'int' }],
  [186, { call: (run) => run.retval, ret: 'int' }],
  [187, { call: setRetval, ret: 'int' }],
]);
