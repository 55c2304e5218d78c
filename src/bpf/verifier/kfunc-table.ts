/**
 * Kernel functions that programs may call by name (Documentation/bpf/kfuncs.rst): the ones of networking programs, with
 * the program types they are registered for, their arguments and their flags.
 */
import {
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_NETFILTER,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_SOCK_OPS,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_TRACING,
  BPF_PROG_TYPE_XDP,
} from '../../wire/uapi/bpf.ts';
import { BPF_PROG_TYPE_NFT_CHAIN } from '../progtype/nft-chain.ts';
import type { DynptrKind } from './dynptr.ts';

/** One parameter. */
export type KfuncArg =
  | { readonly kind: 'scalar' | 'ignored' | 'iter' }
  /** The program's context; `struct`: what it must be, when the function is registered for several program types. */
  | { readonly kind: 'ctx'; readonly struct?: '__sk_buff' | 'xdp_md' }
  /** A scalar that must be a constant. */
  | { readonly kind: 'const' }
  | { readonly kind: 'dynptr'; readonly uninit?: boolean; readonly made?: DynptrKind | 'same' }
  /** Memory of `size` bytes, or with a size parameter behind it; scalars inside are read and written. */
  | { readonly kind: 'mem'; readonly size?: number; readonly optional?: boolean }
  /** Bytes of the memory before; `constant`: also what the returned pointer may access. */
  | { readonly kind: 'size'; readonly constant?: boolean }
  | { readonly kind: 'struct'; readonly struct: string };

export type KfuncRet =
  | { readonly kind: 'scalar' | 'void' | 'slice' | 'slice_rdwr' | 'kern_ctx' | 'rdonly_cast' }
  | { readonly kind: 'mem'; readonly size: number }
  | { readonly kind: 'struct'; readonly struct: string };

export type Kfunc = {
  readonly name: string;
  readonly args: readonly KfuncArg[];
  readonly ret: KfuncRet;
  /** KF_ACQUIRE: the result must be given back; KF_RELEASE: an argument is given back; KF_RET_NULL. */
  readonly acquire: boolean;
  readonly release: boolean;
  readonly retNull: boolean;
  /** KF_ITER_NEW and its kin. */
  readonly iter: '' | 'new' | 'next' | 'destroy';
  /** Packet pointers are invalid afterwards. */
  readonly changesData: boolean;
  /** Program types; undefined: all. */
  readonly types: readonly number[] | undefined;
  /** Only for programs bound to a device (BPF_F_XDP_DEV_BOUND_ONLY). */
  readonly devBound: boolean;
};

const SKB_TYPES = [
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_SOCKET_FILTER,
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_NETFILTER,
] as const;
const TC = [BPF_PROG_TYPE_SCHED_CLS, BPF_PROG_TYPE_SCHED_ACT] as const;
const XDP = [BPF_PROG_TYPE_XDP] as const;
const NFT = [BPF_PROG_TYPE_NFT_CHAIN] as const;
/** One set for both kinds of packet; each function looks at its context type. */
const CT_TYPES = [BPF_PROG_TYPE_XDP, BPF_PROG_TYPE_SCHED_CLS] as const;

const SCALAR: KfuncArg = { kind: 'scalar' };
const CONST: KfuncArg = { kind: 'const' };
const CTX: KfuncArg = { kind: 'ctx' };
const ITER: KfuncArg = { kind: 'iter' };
const IGNORED: KfuncArg = { kind: 'ignored' };
const DYNPTR: KfuncArg = { kind: 'dynptr' };
const MEM: KfuncArg = { kind: 'mem' };
const OPT_MEM: KfuncArg = { kind: 'mem', optional: true };
const SIZE: KfuncArg = { kind: 'size' };
const SIZE_K: KfuncArg = { kind: 'size', constant: true };
const mem = (size: number): KfuncArg => ({ kind: 'mem', size });
const struct = (name: string): KfuncArg => ({ kind: 'struct', struct: name });
const makes = (made: DynptrKind | 'same'): KfuncArg => ({ kind: 'dynptr', uninit: true, made });

const INT: KfuncRet = { kind: 'scalar' };
const VOID: KfuncRet = { kind: 'void' };
const retStruct = (name: string): KfuncRet => ({ kind: 'struct', struct: name });

type Flags = 'acquire' | 'release' | 'null' | 'new' | 'next' | 'destroy' | 'data' | 'bound';
type Row = readonly [name: string, ret: KfuncRet, args: readonly KfuncArg[], flags?: string, types?: readonly number[]];

const CT_XDP: readonly KfuncArg[] = [{ kind: 'ctx', struct: 'xdp_md' }, MEM, SIZE, MEM, SIZE];
const CT_SKB: readonly KfuncArg[] = [{ kind: 'ctx', struct: '__sk_buff' }, MEM, SIZE, MEM, SIZE];

const ROWS: readonly Row[] = [
  // Dynptrs.
  ['bpf_dynptr_from_skb', INT, [CTX, SCALAR, makes('skb')], '', SKB_TYPES],
  ['bpf_dynptr_from_skb_meta', INT, [CTX, SCALAR, makes('skb_meta')], '', TC],
  ['bpf_dynptr_from_xdp', INT, [CTX, SCALAR, makes('xdp')], '', XDP],
  ['bpf_dynptr_slice', { kind: 'slice' }, [DYNPTR, SCALAR, OPT_MEM, SIZE_K], 'null'],
  ['bpf_dynptr_slice_rdwr', { kind: 'slice_rdwr' }, [DYNPTR, SCALAR, OPT_MEM, SIZE_K], 'null'],
  ['bpf_dynptr_adjust', INT, [DYNPTR, SCALAR, SCALAR]],
  ['bpf_dynptr_is_null', INT, [DYNPTR]],
  ['bpf_dynptr_is_rdonly', INT, [DYNPTR]],
  ['bpf_dynptr_size', INT, [DYNPTR]],
  ['bpf_dynptr_clone', INT, [DYNPTR, makes('same')]],
  ['bpf_dynptr_copy', INT, [DYNPTR, SCALAR, DYNPTR, SCALAR, SCALAR]],
  ['bpf_dynptr_memset', INT, [DYNPTR, SCALAR, SCALAR, SCALAR]],
  // Iterators and sections.
  ['bpf_iter_num_new', INT, [ITER, SCALAR, SCALAR], 'new'],
  ['bpf_iter_num_next', { kind: 'mem', size: 4 }, [ITER], 'next null'],
  ['bpf_iter_num_destroy', VOID, [ITER], 'destroy'],
  ['bpf_rcu_read_lock', VOID, []],
  ['bpf_rcu_read_unlock', VOID, []],
  ['bpf_preempt_disable', VOID, []],
  ['bpf_preempt_enable', VOID, []],
  // Casts.
  ['bpf_cast_to_kern_ctx', { kind: 'kern_ctx' }, [CTX]],
  ['bpf_rdonly_cast', { kind: 'rdonly_cast' }, [IGNORED, CONST]],
  // XDP.
  ['bpf_xdp_pull_data', INT, [CTX, SCALAR], 'data', XDP],
  ['bpf_xdp_metadata_rx_timestamp', INT, [CTX, mem(8)], 'bound', XDP],
  ['bpf_xdp_metadata_rx_hash', INT, [CTX, mem(4), mem(4)], 'bound', XDP],
  ['bpf_xdp_metadata_rx_vlan_tag', INT, [CTX, mem(2), mem(2)], 'bound', XDP],
  // Connection tracking.
  ['bpf_xdp_ct_alloc', retStruct('nf_conn___init'), CT_XDP, 'acquire null', CT_TYPES],
  ['bpf_xdp_ct_lookup', retStruct('nf_conn'), CT_XDP, 'acquire null', CT_TYPES],
  ['bpf_skb_ct_alloc', retStruct('nf_conn___init'), CT_SKB, 'acquire null', CT_TYPES],
  ['bpf_skb_ct_lookup', retStruct('nf_conn'), CT_SKB, 'acquire null', CT_TYPES],
  ['bpf_ct_insert_entry', retStruct('nf_conn'), [struct('nf_conn___init')], 'acquire null release', CT_TYPES],
  ['bpf_ct_release', VOID, [struct('nf_conn')], 'release', CT_TYPES],
  ['bpf_ct_set_timeout', VOID, [struct('nf_conn___init'), SCALAR], '', CT_TYPES],
  ['bpf_ct_change_timeout', INT, [struct('nf_conn'), SCALAR], '', CT_TYPES],
  ['bpf_ct_set_status', INT, [struct('nf_conn___init'), SCALAR], '', CT_TYPES],
  ['bpf_ct_change_status', INT, [struct('nf_conn'), SCALAR], '', CT_TYPES],
  ['bpf_ct_set_nat_info', INT, [struct('nf_conn___init'), mem(16), SCALAR, SCALAR], '', CT_TYPES],
  // Chains of nftables (netloom's own).
  ['nft_eval', INT, [CTX, CONST], '', NFT],
  ['nft_eval_write', INT, [CTX, CONST], 'data', NFT],
  ['nft_jump', INT, [CTX, SCALAR], 'data', NFT],
  ['nft_goto', INT, [CTX, SCALAR], 'data', NFT],
  // Sockets.
  ['bpf_sock_destroy', INT, [struct('sock_common')], '', [BPF_PROG_TYPE_TRACING]],
  ['bpf_sk_assign_tcp_reqsk', INT, [CTX, struct('sock'), MEM, SIZE], '', TC.slice(0, 1)],
  ['bpf_sock_addr_set_sun_path', INT, [CTX, MEM, SIZE], '', [BPF_PROG_TYPE_CGROUP_SOCK_ADDR]],
  ['bpf_sock_ops_enable_tx_tstamp', INT, [CTX, SCALAR], '', [BPF_PROG_TYPE_SOCK_OPS]],
  ['bpf_xdp_get_xfrm_state', retStruct('xfrm_state'), [CTX, MEM, SIZE], 'acquire null', XDP],
  ['bpf_xdp_xfrm_state_release', VOID, [struct('xfrm_state')], 'release', XDP],
];

function kfunc([name, ret, args, flags = '', types]: Row): Kfunc {
  const has = (flag: Flags): boolean => flags.split(' ').includes(flag);
  return Object.freeze({
    name,
    args,
    ret,
    acquire: has('acquire'),
    release: has('release'),
    retNull: has('null'),
    iter: has('new') ? 'new' : has('next') ? 'next' : has('destroy') ? 'destroy' : '',
    changesData: has('data'),
    types,
    devBound: has('bound'),
  });
}

/** By name. */
export const KFUNCS: ReadonlyMap<string, Kfunc> = new Map(ROWS.map((row) => [row[0], kfunc(row)]));

/** Number of arguments; undefined for a function that netloom does not know. */
export function kfuncArguments(name: string): number | undefined {
  return KFUNCS.get(name)?.args.length;
}
