/**
 * `struct __sk_buff`, the context of programs that see a packet after it got its metadata: socket filters, tc, cgroup_skb,
 * lightweight tunnels, sk_skb, the flow dissector (bpf-helpers(7), linux/bpf.h).
 */
import {
  BPF_PROG_TYPE_CGROUP_SKB,
  BPF_PROG_TYPE_FLOW_DISSECTOR,
  BPF_PROG_TYPE_LWT_IN,
  BPF_PROG_TYPE_LWT_OUT,
  BPF_PROG_TYPE_LWT_SEG6LOCAL,
  BPF_PROG_TYPE_LWT_XMIT,
  BPF_PROG_TYPE_SCHED_ACT,
  BPF_PROG_TYPE_SCHED_CLS,
  BPF_PROG_TYPE_SK_SKB,
  BPF_PROG_TYPE_SOCKET_FILTER,
} from '../../wire/uapi/bpf.ts';
import {
  PTR_MAYBE_NULL,
  PTR_TO_FLOW_KEYS,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_PACKET_META,
  PTR_TO_SOCK_COMMON,
} from '../verifier/reg.ts';
import { integer, pointer, type Struct, word, words } from './layout.ts';
import { type ContextRules, type Env, type Fields, NONE, vary } from './rules.ts';

export const SKB_LEN = 0;
export const SKB_PKT_TYPE = 4;
export const SKB_MARK = 8;
export const SKB_QUEUE_MAPPING = 12;
export const SKB_PROTOCOL = 16;
export const SKB_VLAN_PRESENT = 20;
export const SKB_VLAN_TCI = 24;
export const SKB_VLAN_PROTO = 28;
export const SKB_PRIORITY = 32;
export const SKB_INGRESS_IFINDEX = 36;
export const SKB_IFINDEX = 40;
export const SKB_TC_INDEX = 44;
export const SKB_CB = 48;
export const SKB_HASH = 68;
export const SKB_TC_CLASSID = 72;
export const SKB_DATA = 76;
export const SKB_DATA_END = 80;
export const SKB_NAPI_ID = 84;
export const SKB_FAMILY = 88;
export const SKB_REMOTE_IP4 = 92;
export const SKB_LOCAL_IP4 = 96;
export const SKB_REMOTE_IP6 = 100;
export const SKB_LOCAL_IP6 = 116;
export const SKB_REMOTE_PORT = 132;
export const SKB_LOCAL_PORT = 136;
export const SKB_DATA_META = 140;
export const SKB_FLOW_KEYS = 144;
export const SKB_TSTAMP = 152;
export const SKB_WIRE_LEN = 160;
export const SKB_GSO_SEGS = 164;
export const SKB_SK = 168;
export const SKB_GSO_SIZE = 176;
export const SKB_TSTAMP_TYPE = 180;
export const SKB_HWTSTAMP = 184;
export const SKB_SIZE = 192;

export const SK_BUFF: Struct = {
  name: '__sk_buff',
  size: SKB_SIZE,
  fields: [
    word('len', SKB_LEN),
    word('pkt_type', SKB_PKT_TYPE),
    word('mark', SKB_MARK),
    word('queue_mapping', SKB_QUEUE_MAPPING),
    word('protocol', SKB_PROTOCOL),
    word('vlan_present', SKB_VLAN_PRESENT),
    word('vlan_tci', SKB_VLAN_TCI),
    word('vlan_proto', SKB_VLAN_PROTO),
    word('priority', SKB_PRIORITY),
    word('ingress_ifindex', SKB_INGRESS_IFINDEX),
    word('ifindex', SKB_IFINDEX),
    word('tc_index', SKB_TC_INDEX),
    words('cb', SKB_CB, 5, 'span', 'span'),
    word('hash', SKB_HASH),
    word('tc_classid', SKB_TC_CLASSID),
    pointer('data', SKB_DATA, 4, PTR_TO_PACKET),
    pointer('data_end', SKB_DATA_END, 4, PTR_TO_PACKET_END),
    word('napi_id', SKB_NAPI_ID),
    word('family', SKB_FAMILY),
    word('remote_ip4', SKB_REMOTE_IP4, 'whole'),
    word('local_ip4', SKB_LOCAL_IP4, 'whole'),
    words('remote_ip6', SKB_REMOTE_IP6, 4, 'whole'),
    words('local_ip6', SKB_LOCAL_IP6, 4, 'whole'),
    word('remote_port', SKB_REMOTE_PORT),
    word('local_port', SKB_LOCAL_PORT),
    pointer('data_meta', SKB_DATA_META, 4, PTR_TO_PACKET_META),
    pointer('flow_keys', SKB_FLOW_KEYS, 8, PTR_TO_FLOW_KEYS),
    integer('tstamp', SKB_TSTAMP, 8),
    word('wire_len', SKB_WIRE_LEN),
    word('gso_segs', SKB_GSO_SEGS),
    pointer('sk', SKB_SK, 8, PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL),
    word('gso_size', SKB_GSO_SIZE),
    integer('tstamp_type', SKB_TSTAMP_TYPE, 1),
    integer('hwtstamp', SKB_HWTSTAMP, 8),
  ],
};

/** What even a socket filter may look at. */
const PLAIN: Fields = new Set([
  'len',
  'pkt_type',
  'mark',
  'queue_mapping',
  'protocol',
  'vlan_present',
  'vlan_tci',
  'vlan_proto',
  'priority',
  'ingress_ifindex',
  'ifindex',
  'tc_index',
  'cb',
  'hash',
  'napi_id',
  'gso_segs',
  'gso_size',
  'sk',
]);
const ADDRESSES = ['family', 'remote_ip4', 'local_ip4', 'remote_ip6', 'local_ip6', 'remote_port', 'local_port'];
const WITH_DATA: Fields = vary(PLAIN, [], ['data', 'data_end']);

/** The socket filter's context; what classic BPF is translated against. */
export const SOCKET_FILTER: ContextRules = {
  struct: SK_BUFF,
  read: () => PLAIN,
  write: () => CB,
};
const CB: Fields = new Set(['cb']);

const TC_READ = vary(WITH_DATA, [], ['tc_classid', 'data_meta', 'tstamp', 'tstamp_type', 'hwtstamp', 'wire_len']);
const TC_WRITE: Fields = new Set(['mark', 'queue_mapping', 'priority', 'tc_index', 'cb', 'tc_classid', 'tstamp']);

const SCHED: ContextRules = { struct: SK_BUFF, read: () => TC_READ, write: () => TC_WRITE };

const CGROUP_READ = vary(WITH_DATA, [], [...ADDRESSES, 'tstamp', 'hwtstamp']);
const CGROUP_READ_UNPRIV = vary(CGROUP_READ, ['data', 'data_end']);
const CGROUP_WRITE: Fields = new Set(['mark', 'priority', 'cb', 'tstamp']);
const CGROUP_WRITE_UNPRIV = vary(CGROUP_WRITE, ['tstamp']);

const CGROUP_SKB: ContextRules = {
  struct: SK_BUFF,
  read: (env: Env) => (env.mode === 'unpriv' ? CGROUP_READ_UNPRIV : CGROUP_READ),
  write: (env: Env) => (env.mode === 'unpriv' ? CGROUP_WRITE_UNPRIV : CGROUP_WRITE),
};

const LWT_WRITE: Fields = new Set(['mark', 'priority', 'cb']);
const LWT: ContextRules = { struct: SK_BUFF, read: () => WITH_DATA, write: () => LWT_WRITE };

const SK_SKB_READ = vary(WITH_DATA, ['mark'], ADDRESSES);
const SK_SKB_WRITE: Fields = new Set(['priority', 'tc_index']);
const SK_SKB: ContextRules = { struct: SK_BUFF, read: () => SK_SKB_READ, write: () => SK_SKB_WRITE };

const DISSECTOR_READ: Fields = new Set(['data', 'data_end', 'flow_keys']);
const DISSECTOR: ContextRules = { struct: SK_BUFF, read: () => DISSECTOR_READ, write: () => NONE };

/** Program types whose context is a `struct __sk_buff`. */
export const SKB_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [BPF_PROG_TYPE_SOCKET_FILTER, SOCKET_FILTER],
  [BPF_PROG_TYPE_SCHED_CLS, SCHED],
  [BPF_PROG_TYPE_SCHED_ACT, SCHED],
  [BPF_PROG_TYPE_CGROUP_SKB, CGROUP_SKB],
  [BPF_PROG_TYPE_LWT_IN, LWT],
  [BPF_PROG_TYPE_LWT_OUT, LWT],
  [BPF_PROG_TYPE_LWT_XMIT, LWT],
  [BPF_PROG_TYPE_LWT_SEG6LOCAL, LWT],
  [BPF_PROG_TYPE_SK_SKB, SK_SKB],
  [BPF_PROG_TYPE_FLOW_DISSECTOR, DISSECTOR],
]);
