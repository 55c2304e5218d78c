/** Which register types an argument of each kind takes, in the order in which the kernel's message lists them. */
import { EACCES } from '../../../core/errno.ts';
import type { Verifier } from '../env.ts';
import type { Arg, ArgKind } from '../helper-table.ts';
import { typeName } from '../print.ts';
import {
  baseType,
  CONST_PTR_TO_DYNPTR,
  CONST_PTR_TO_MAP,
  MEM_ALLOC,
  MEM_PERCPU,
  MEM_RCU,
  MEM_RDONLY,
  MEM_RINGBUF,
  mayBeNull,
  PTR_MAYBE_NULL,
  PTR_TO_BTF_ID,
  PTR_TO_BUF,
  PTR_TO_CTX,
  PTR_TO_FUNC,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
  PTR_TO_STACK,
  PTR_TO_TCP_SOCK,
  PTR_TO_XDP_SOCK,
  PTR_TRUSTED,
  SCALAR_VALUE,
} from '../reg.ts';
import type { CallMeta } from './meta.ts';

const MEMORY: readonly number[] = [
  PTR_TO_STACK,
  PTR_TO_PACKET,
  PTR_TO_PACKET_META,
  PTR_TO_MAP_KEY,
  PTR_TO_MAP_VALUE,
  PTR_TO_MEM,
  PTR_TO_MEM | MEM_RINGBUF,
  PTR_TO_BUF,
  PTR_TO_BTF_ID | PTR_TRUSTED,
];
const SOCKS: readonly number[] = [PTR_TO_SOCK_COMMON, PTR_TO_SOCKET, PTR_TO_TCP_SOCK, PTR_TO_XDP_SOCK];

const TYPES: Readonly<Record<Exclude<ArgKind, 'any'>, readonly number[]>> = {
  map: [CONST_PTR_TO_MAP],
  key: MEMORY,
  value: MEMORY,
  mem: MEMORY,
  ctx: [PTR_TO_CTX],
  size: [SCALAR_VALUE],
  alloc_size: [SCALAR_VALUE],
  spin_lock: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
  timer: [PTR_TO_MAP_VALUE],
  socket: [PTR_TO_SOCKET],
  sock_common: SOCKS,
  btf_sock_common: [...SOCKS, PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED],
  btf: [PTR_TO_BTF_ID, PTR_TO_BTF_ID | PTR_TRUSTED, PTR_TO_BTF_ID | MEM_RCU],
  percpu_btf: [
    PTR_TO_BTF_ID | MEM_PERCPU,
    PTR_TO_BTF_ID | MEM_PERCPU | MEM_RCU,
    PTR_TO_BTF_ID | MEM_PERCPU | PTR_TRUSTED,
  ],
  ringbuf_mem: [PTR_TO_MEM | MEM_RINGBUF],
  func: [PTR_TO_FUNC],
  stack: [PTR_TO_STACK],
  const_str: [PTR_TO_MAP_VALUE],
  dynptr: [PTR_TO_STACK, CONST_PTR_TO_DYNPTR],
  kptr_dest: [PTR_TO_MAP_VALUE, PTR_TO_BTF_ID | MEM_ALLOC],
};

/** Kernel structs that begin with a `struct sock_common`. */
const SOCK_COMMON_STRUCTS: ReadonlySet<string> = new Set([
  'sock_common',
  'sock',
  'inet_sock',
  'inet_connection_sock',
  'tcp_sock',
  'tcp6_sock',
  'tcp_timewait_sock',
  'tcp_request_sock',
  'request_sock',
  'udp_sock',
  'udp6_sock',
  'unix_sock',
  'mptcp_sock',
]);

/** The register's type is one that this argument takes. */
export function checkArgType(v: Verifier, regno: number, arg: Arg, meta: CallMeta): void {
  if (arg.kind === 'any') return;
  const reg = v.regs[regno];
  const accepted = TYPES[arg.kind];
  let { type } = reg;
  if (arg.readOnly === true) type &= ~MEM_RDONLY;
  if (arg.nullable === true) type &= ~PTR_MAYBE_NULL;
  if (!accepted.includes(type))
    v.reject(EACCES, `R${regno} type=${typeName(reg.type)} expected=${accepted.map(typeName).join(', ')}`);
  if (baseType(reg.type) === PTR_TO_BTF_ID) checkStruct(v, regno, arg, meta, accepted === MEMORY);
}

function checkStruct(v: Verifier, regno: number, arg: Arg, meta: CallMeta, memory: boolean): void {
  const reg = v.regs[regno];
  if (memory) {
    if (arg.readOnly === true) return;
    const func = meta.name.split('#')[0];
    v.reject(EACCES, `${func}() may write into memory pointed by R${regno} type=${typeName(reg.type)}`);
  }
  if (mayBeNull(reg.type) && (arg.nullable !== true || arg.release === true))
    v.reject(EACCES, `Possibly NULL pointer passed to helper arg${regno}`);
  const fits =
    arg.kind === 'btf_sock_common' ? SOCK_COMMON_STRUCTS.has(reg.btfName) && reg.off === 0 : reg.btfName === arg.btf;
  if (fits) return;
  const wanted = arg.kind === 'btf_sock_common' ? 'sock_common' : (arg.btf ?? '');
  v.reject(EACCES, `R${regno} is of type ${reg.btfName} but ${wanted} is expected`);
}
