/** `struct bpf_sock_ops`, the context of programs called at events of a TCP connection (linux/bpf.h). */
import { BPF_PROG_TYPE_SOCK_OPS } from '../../wire/uapi/bpf.ts';
import { PTR_MAYBE_NULL, PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_SOCKET } from '../verifier/reg.ts';
import { type Field, integer, pointer, type Struct, word, words } from './layout.ts';
import { type ContextRules, type Fields, names } from './rules.ts';

const w = (name: string, offset: number): Field => word(name, offset, 'whole');

export const SOCK_OPS_OP = 0;
export const SOCK_OPS_ARGS = 4;
export const SOCK_OPS_REPLY = 4;
export const SOCK_OPS_SK = 184;
export const SOCK_OPS_SKB_DATA = 192;
export const SOCK_OPS_SKB_DATA_END = 200;
export const SOCK_OPS_SIZE = 224;

export const BPF_SOCK_OPS: Struct = {
  name: 'bpf_sock_ops',
  size: SOCK_OPS_SIZE,
  fields: [
    w('op', SOCK_OPS_OP),
    // A union of the arguments of the call and its reply.
    w('reply', SOCK_OPS_REPLY),
    words('args', SOCK_OPS_ARGS + 4, 3, 'whole'),
    w('family', 20),
    w('remote_ip4', 24),
    w('local_ip4', 28),
    words('remote_ip6', 32, 4, 'whole'),
    words('local_ip6', 48, 4, 'whole'),
    w('remote_port', 64),
    w('local_port', 68),
    w('is_fullsock', 72),
    w('snd_cwnd', 76),
    w('srtt_us', 80),
    w('bpf_sock_ops_cb_flags', 84),
    w('state', 88),
    w('rtt_min', 92),
    w('snd_ssthresh', 96),
    w('rcv_nxt', 100),
    w('snd_nxt', 104),
    w('snd_una', 108),
    w('mss_cache', 112),
    w('ecn_flags', 116),
    w('rate_delivered', 120),
    w('rate_interval_us', 124),
    w('packets_out', 128),
    w('retrans_out', 132),
    w('total_retrans', 136),
    w('segs_in', 140),
    w('data_segs_in', 144),
    w('segs_out', 148),
    w('data_segs_out', 152),
    w('lost_out', 156),
    w('sacked_out', 160),
    w('sk_txhash', 164),
    integer('bytes_received', 168, 8),
    integer('bytes_acked', 176, 8),
    pointer('sk', SOCK_OPS_SK, 8, PTR_TO_SOCKET | PTR_MAYBE_NULL),
    pointer('skb_data', SOCK_OPS_SKB_DATA, 8, PTR_TO_PACKET),
    pointer('skb_data_end', SOCK_OPS_SKB_DATA_END, 8, PTR_TO_PACKET_END),
    w('skb_len', 208),
    word('skb_tcp_flags', 212, 'head'),
    integer('skb_hwtstamp', 216, 8),
  ],
};

const READ = names(BPF_SOCK_OPS);
const WRITE: Fields = new Set(['reply', 'sk_txhash']);

export const SOCK_OPS_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [BPF_PROG_TYPE_SOCK_OPS, { struct: BPF_SOCK_OPS, read: () => READ, write: () => WRITE }],
]);
