/** What helpers ask of the network around a program (bpf/runtime/net.ts), answered by a host. */
import { NO_NET, type NetHooks } from '../bpf/runtime/net.ts';
import type { Run } from '../bpf/runtime/run.ts';
import { EAFNOSUPPORT, EINVAL, ENODEV } from '../core/errno.ts';
import { ARPHRD_ETHER, ARPHRD_LOOPBACK } from '../device/device.ts';
import { AF_INET, AF_INET6 } from '../wire/address.ts';
import { RTN_BLACKHOLE, RTN_PROHIBIT, RTN_UNICAST, RTN_UNREACHABLE } from '../wire/uapi/rtnetlink.ts';
import type { Host } from './host.ts';

const BPF_F_INGRESS = 1;

// Results of bpf_fib_lookup.
const FIB_LKUP_SUCCESS = 0;
const FIB_LKUP_BLACKHOLE = 1;
const FIB_LKUP_UNREACHABLE = 2;
const FIB_LKUP_PROHIBIT = 3;
const FIB_LKUP_NOT_FWDED = 4;
const FIB_LKUP_FWD_DISABLED = 5;
const FIB_LKUP_NO_NEIGH = 7;
const FIB_LKUP_FRAG_NEEDED = 8;

// Offsets in struct bpf_fib_lookup.
const FAMILY = 0;
const TOT_LEN = 6;
const IFINDEX = 8;
const MTU_RESULT = 6;
const TOS = 12;
const METRIC = 12;
const SRC = 16;
const DST = 32;
const SMAC = 50;
const DMAC = 56;
const VLAN = 48;

const SKIP_NEIGH = 4;
const OUTPUT = 2;
