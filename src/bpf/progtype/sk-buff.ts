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
import { SKB, SKB_SIZE } from '../../wire/uapi/bpf-context.ts';
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

export const SK_BUFF: Struct = {
  name: '__sk_buff',
  size: SKB_SIZE,
  fields: [
    word('len', SKB.len),
    word('pkt_type', SKB.pktType),
    word('mark', SKB.mark),
    word('queue_mapping', SKB.queueMapping),
    word('protocol', SKB.protocol),
    word('vlan_present', SKB.vlanPresent),
    word('vlan_tci', SKB.vlanTci),
    word('vlan_proto', SKB.vlanProto),
    word('priority', SKB.priority),
    word('ingress_ifindex', SKB.ingressIfindex),
    word('ifindex', SKB.ifindex),
    word('tc_index', SKB.tcIndex),
    words('cb', SKB.cb, 5, 'span', 'span'),
    word('hash', SKB.hash),
    word('tc_classid', SKB.tcClassid),
    pointer('data', SKB.data, 4, PTR_TO_PACKET),
    pointer('data_end', SKB.dataEnd, 4, PTR_TO_PACKET_END),
    word('napi_id', SKB.napiId),
    word('family', SKB.family),
    word('remote_ip4', SKB.remoteIp4, 'whole'),
    word('local_ip4', SKB.localIp4, 'whole'),
    words('remote_ip6', SKB.remoteIp6, 4, 'whole'),
    words('local_ip6', SKB.localIp6, 4, 'whole'),
    word('remote_port', SKB.remotePort),
    word('local_port', SKB.localPort),
    pointer('data_meta', SKB.dataMeta, 4, PTR_TO_PACKET_META),
    pointer('flow_keys', SKB.flowKeys, 8, PTR_TO_FLOW_KEYS),
    integer('tstamp', SKB.tstamp, 8),
    word('wire_len', SKB.wireLen),
    word('gso_segs', SKB.gsoSegs),
    pointer('sk', SKB.sk, 8, PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL),
    word('gso_size', SKB.gsoSize),
    integer('tstamp_type', SKB.tstampType, 1),
    integer('hwtstamp', SKB.hwtstamp, 8),
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
