/** Contexts of cgroup programs that see no packet: device access, sysctl, socket options (linux/bpf.h). */
import {
  BPF_CGROUP_GETSOCKOPT,
  BPF_CGROUP_SETSOCKOPT,
  BPF_PROG_TYPE_CGROUP_DEVICE,
  BPF_PROG_TYPE_CGROUP_SOCKOPT,
  BPF_PROG_TYPE_CGROUP_SYSCTL,
} from '../../wire/uapi/bpf.ts';
import { PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_SOCKET } from '../verifier/reg.ts';
import { pointer, type Struct, word } from './layout.ts';
import { type ContextRules, type Fields, NONE, names, readOnly, vary } from './rules.ts';

export const BPF_CGROUP_DEV_CTX: Struct = {
  name: 'bpf_cgroup_dev_ctx',
  size: 12,
  fields: [word('access_type', 0), word('major', 4, 'whole'), word('minor', 8, 'whole')],
};

export const BPF_SYSCTL: Struct = { name: 'bpf_sysctl', size: 8, fields: [word('write', 0), word('file_pos', 4)] };

export const SOCKOPT_SK = 0;
export const SOCKOPT_OPTVAL = 8;
export const SOCKOPT_OPTVAL_END = 16;
export const SOCKOPT_LEVEL = 24;
export const SOCKOPT_OPTNAME = 28;
export const SOCKOPT_OPTLEN = 32;
export const SOCKOPT_RETVAL = 36;

export const BPF_SOCKOPT: Struct = {
  name: 'bpf_sockopt',
  size: 40,
  fields: [
    pointer('sk', SOCKOPT_SK, 8, PTR_TO_SOCKET),
    pointer('optval', SOCKOPT_OPTVAL, 8, PTR_TO_PACKET),
    pointer('optval_end', SOCKOPT_OPTVAL_END, 8, PTR_TO_PACKET_END),
    word('level', SOCKOPT_LEVEL, 'whole'),
    word('optname', SOCKOPT_OPTNAME, 'whole'),
    word('optlen', SOCKOPT_OPTLEN, 'whole'),
    word('retval', SOCKOPT_RETVAL, 'whole'),
  ],
};

const SYSCTL_READ = names(BPF_SYSCTL);
const SYSCTL_WRITE: Fields = new Set(['file_pos']);
const GET_READ = names(BPF_SOCKOPT);
const GET_WRITE: Fields = new Set(['optlen', 'retval']);
/** A call that has not happened yet has no result, but another option can be put in its place. */
const SET_READ = vary(GET_READ, ['retval']);
const SET_WRITE: Fields = new Set(['level', 'optname', 'optlen']);

export const CGROUP_TYPES: ReadonlyMap<number, ContextRules> = new Map<number, ContextRules>([
  [BPF_PROG_TYPE_CGROUP_DEVICE, readOnly(BPF_CGROUP_DEV_CTX)],
  [BPF_PROG_TYPE_CGROUP_SYSCTL, { struct: BPF_SYSCTL, read: () => SYSCTL_READ, write: () => SYSCTL_WRITE }],
  [
    BPF_PROG_TYPE_CGROUP_SOCKOPT,
    {
      struct: BPF_SOCKOPT,
      read: (env) => (env.attach === BPF_CGROUP_SETSOCKOPT ? SET_READ : GET_READ),
      write: (env) => {
        if (env.attach === BPF_CGROUP_SETSOCKOPT) return SET_WRITE;
        return env.attach === BPF_CGROUP_GETSOCKOPT ? GET_WRITE : NONE;
      },
    },
  ],
]);
