/** `struct bpf_sock_addr`, the context of programs at bind, connect, sendmsg, recvmsg, getpeername... (linux/bpf.h). */
import {
  BPF_CGROUP_INET4_BIND,
  BPF_CGROUP_INET4_CONNECT,
  BPF_CGROUP_INET4_GETPEERNAME,
  BPF_CGROUP_INET4_GETSOCKNAME,
  BPF_CGROUP_INET6_BIND,
  BPF_CGROUP_INET6_CONNECT,
  BPF_CGROUP_INET6_GETPEERNAME,
  BPF_CGROUP_INET6_GETSOCKNAME,
  BPF_CGROUP_UDP4_RECVMSG,
  BPF_CGROUP_UDP4_SENDMSG,
  BPF_CGROUP_UDP6_RECVMSG,
  BPF_CGROUP_UDP6_SENDMSG,
  BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
} from '../../wire/uapi/bpf.ts';
import { PTR_TO_SOCKET } from '../verifier/reg.ts';
import { pointer, type Struct, word, words } from './layout.ts';
import { type ContextRules, type Fields, vary } from './rules.ts';

export const SOCK_ADDR_USER_FAMILY = 0;
export const SOCK_ADDR_USER_IP4 = 4;
export const SOCK_ADDR_USER_IP6 = 8;
export const SOCK_ADDR_USER_PORT = 24;
export const SOCK_ADDR_FAMILY = 28;
export const SOCK_ADDR_TYPE = 32;
export const SOCK_ADDR_PROTOCOL = 36;
export const SOCK_ADDR_MSG_SRC_IP4 = 40;
export const SOCK_ADDR_MSG_SRC_IP6 = 44;
export const SOCK_ADDR_SK = 64;
export const SOCK_ADDR_SIZE = 72;

export const BPF_SOCK_ADDR: Struct = {
  name: 'bpf_sock_addr',
  size: SOCK_ADDR_SIZE,
  fields: [
    word('user_family', SOCK_ADDR_USER_FAMILY, 'whole'),
    word('user_ip4', SOCK_ADDR_USER_IP4),
    words('user_ip6', SOCK_ADDR_USER_IP6, 4, 'wide', 'wide'),
    word('user_port', SOCK_ADDR_USER_PORT),
    word('family', SOCK_ADDR_FAMILY, 'whole'),
    word('type', SOCK_ADDR_TYPE, 'whole'),
    word('protocol', SOCK_ADDR_PROTOCOL, 'whole'),
    word('msg_src_ip4', SOCK_ADDR_MSG_SRC_IP4),
    words('msg_src_ip6', SOCK_ADDR_MSG_SRC_IP6, 4, 'wide', 'wide'),
    pointer('sk', SOCK_ADDR_SK, 8, PTR_TO_SOCKET),
  ],
};

const UNIX_READ: Fields = new Set(['user_family', 'user_port', 'family', 'type', 'protocol', 'sk']);
const UNIX_WRITE: Fields = new Set(['user_port']);

/** The address fields of a family; what is sent by UDP has a source address besides. */
const ADDRESSES: ReadonlyMap<number, readonly string[]> = new Map<number, readonly string[]>([
  ...[
    BPF_CGROUP_INET4_BIND,
    BPF_CGROUP_INET4_CONNECT,
    BPF_CGROUP_UDP4_RECVMSG,
    BPF_CGROUP_INET4_GETPEERNAME,
    BPF_CGROUP_INET4_GETSOCKNAME,
  ].map((attach) => [attach, ['user_ip4']] as const),
  ...[
    BPF_CGROUP_INET6_BIND,
    BPF_CGROUP_INET6_CONNECT,
    BPF_CGROUP_UDP6_RECVMSG,
    BPF_CGROUP_INET6_GETPEERNAME,
    BPF_CGROUP_INET6_GETSOCKNAME,
  ].map((attach) => [attach, ['user_ip6']] as const),
  [BPF_CGROUP_UDP4_SENDMSG, ['user_ip4', 'msg_src_ip4']],
  [BPF_CGROUP_UDP6_SENDMSG, ['user_ip6', 'msg_src_ip6']],
]);

/** `common` with each attach type's address fields. */
const withAddresses = (common: Fields): ReadonlyMap<number, Fields> =>
  new Map([...ADDRESSES].map(([attach, fields]) => [attach, vary(common, [], fields)]));

const READ = withAddresses(UNIX_READ);
const WRITE = withAddresses(UNIX_WRITE);

export const SOCK_ADDR_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [
    BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
    {
      struct: BPF_SOCK_ADDR,
      read: (env) => READ.get(env.attach) ?? UNIX_READ,
      write: (env) => WRITE.get(env.attach) ?? UNIX_WRITE,
    },
  ],
]);
