/**
 * Connection tracking for programs: bpf_skb_ct_lookup, bpf_xdp_ct_lookup and their family (net/netfilter/nf_conntrack_bpf.c
 * documents them). A `struct nf_conn *` is the address of a small block that stands for an entry of the host's table.
 */
import { EAFNOSUPPORT, EINVAL, ENOENT, ENOMEM, ENONET, EPROTO } from '../../core/errno.ts';
import type { HelperImpl } from './helper.ts';
import type { Conntrack, CtQuery } from './net.ts';
import type { Run } from './run.ts';

// struct bpf_ct_opts.
const NETNS_ID = 0;
const ERROR = 4;
const L4PROTO = 8;
const DIR = 9;
const ZONE_ID = 10;
const RESERVED = 13;
/** Its size before and since it has a zone. */
const OLD_OPTS = 12;
const NEW_OPTS = 16;
const BPF_F_CURRENT_NETNS = -1;
const TUPLE4 = 12;
const TUPLE6 = 36;
const TCP = 6;
const UDP = 17;

/** What the tuple and the options ask for, or -errno. */
function queryOf(run: Run, tuple: number, tupleSize: number, opts: number, optsSize: number): CtQuery | number {
  const { dv } = run;
  if (optsSize !== OLD_OPTS && optsSize !== NEW_OPTS) return -EINVAL;
  if (optsSize === OLD_OPTS && dv.getUint16(opts + ZONE_ID, true) !== 0) return -EINVAL;
  if (optsSize === NEW_OPTS && [0, 1, 2].some((i) => dv.getUint8(opts + RESERVED + i) !== 0)) return -EINVAL;
  const netns = dv.getInt32(opts + NETNS_ID, true);
  if (netns < BPF_F_CURRENT_NETNS) return -EINVAL;
  const l4proto = dv.getUint8(opts + L4PROTO);
  if (l4proto !== TCP && l4proto !== UDP) return -EPROTO;
  if (tupleSize !== TUPLE4 && tupleSize !== TUPLE6) return -EAFNOSUPPORT;
  if (netns >= 0) return -ENONET;
  const zone = optsSize === NEW_OPTS ? dv.getUint16(opts + ZONE_ID, true) : 0;
  return { family: tupleSize === TUPLE4 ? 2 : 10, tuple, l4proto, zone };
}

/** A block that stands for `entry`; 0 when there is no memory. */
function handleFor(run: Run, entry: unknown): number {
  const at = run.machine.heap.alloc(16);
  if (at !== 0) run.machine.objects.set(at, entry);
  return at;
}

function forget(run: Run, at: number): void {
  run.machine.objects.delete(at);
  run.machine.grace.free(at);
}

type Find = (
  run: Run,
  conntrack: Conntrack,
  query: CtQuery,
) => { readonly entry: unknown; readonly dir: number } | number;

/** Lookup and alloc differ in how they come by the entry. */
function entryBy(find: Find): HelperImpl['call'] {
  return (run, _ctx, tuple, tupleSize, opts, optsSize) => {
    const at = opts >>> 0;
    const { conntrack } = run.machine.net;
    const query = queryOf(run, tuple >>> 0, tupleSize, at, optsSize);
    const found = typeof query === 'number' ? query : conntrack === undefined ? -ENOENT : find(run, conntrack, query);
    if (typeof found === 'number') {
      if (optsSize >= ERROR + 4) run.dv.setInt32(at + ERROR, found, true);
      return 0;
    }
    run.dv.setUint8(at + DIR, found.dir);
    const handle = handleFor(run, found.entry);
    if (handle === 0) run.dv.setInt32(at + ERROR, -ENOMEM, true);
    return handle;
  };
}

const lookup = entryBy((_run, conntrack, query) => conntrack.lookup(query));
const alloc = entryBy((_run, conntrack, query) => {
  const entry = conntrack.create(query);
  return entry === undefined ? -ENOMEM : { entry, dir: 0 };
});

/** Calls `f` for the entry behind a handle. */
function withEntry(f: (conntrack: Conntrack, entry: unknown, value: number) => number): HelperImpl['call'] {
  return (run, ct, value) => {
    const { conntrack } = run.machine.net;
    const entry = run.machine.objects.get(ct >>> 0);
    return conntrack === undefined || entry === undefined ? -EINVAL : f(conntrack, entry, value);
  };
}

const setTimeout = withEntry((conntrack, entry, ms) => conntrack.setTimeout(entry, ms >>> 0));
const setStatus = withEntry((conntrack, entry, status) => conntrack.setStatus(entry, status >>> 0));

function setNat(run: Run, ct: number, address: number, port: number, manip: number): number {
  const { conntrack } = run.machine.net;
  const entry = run.machine.objects.get(ct >>> 0);
  if (conntrack === undefined || entry === undefined || (manip !== 0 && manip !== 1)) return -EINVAL;
  return conntrack.setNat(entry, address >>> 0, port, manip);
}

function insert(run: Run, ct: number): number {
  const at = ct >>> 0;
  const failed = withEntry((conntrack, entry) => conntrack.insert(entry))(run, ct, 0, 0, 0, 0) !== 0;
  if (!failed) return at;
  forget(run, at);
  return 0;
}

const pointer = (call: HelperImpl['call']): HelperImpl => ({ call, ret: 'u32' });
const int = (call: HelperImpl['call']): HelperImpl => ({ call, ret: 'int' });

export const conntrackKfuncs: readonly (readonly [string, HelperImpl])[] = [
  ['bpf_skb_ct_lookup', pointer(lookup)],
  ['bpf_xdp_ct_lookup', pointer(lookup)],
  ['bpf_skb_ct_alloc', pointer(alloc)],
  ['bpf_xdp_ct_alloc', pointer(alloc)],
  ['bpf_ct_insert_entry', pointer(insert)],
  ['bpf_ct_set_nat_info', int(setNat)],
  ['bpf_ct_set_timeout', int(setTimeout)],
  ['bpf_ct_change_timeout', int(setTimeout)],
  ['bpf_ct_set_status', int(setStatus)],
  ['bpf_ct_change_status', int(setStatus)],
  [
    'bpf_ct_release',
    int((run, ct) => {
      forget(run, ct >>> 0);
      return 0;
    }),
  ],
];
