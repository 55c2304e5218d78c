/** `struct sk_reuseport_md`, the context of programs that choose a socket of a SO_REUSEPORT group (linux/bpf.h). */
import { BPF_PROG_TYPE_SK_REUSEPORT } from '../../wire/uapi/bpf.ts';
import {
  PTR_MAYBE_NULL,
  PTR_TO_PACKET,
  PTR_TO_PACKET_END,
  PTR_TO_SOCK_COMMON,
  PTR_TO_SOCKET,
} from '../verifier/reg.ts';
import { pointer, type Struct, word } from './layout.ts';
import { type ContextRules, readOnly } from './rules.ts';

export const REUSEPORT_DATA = 0;
export const REUSEPORT_DATA_END = 8;
export const REUSEPORT_LEN = 16;
export const REUSEPORT_ETH_PROTOCOL = 20;
export const REUSEPORT_IP_PROTOCOL = 24;
export const REUSEPORT_BIND_INANY = 28;
export const REUSEPORT_HASH = 32;
export const REUSEPORT_SK = 40;
export const REUSEPORT_MIGRATING_SK = 48;
export const REUSEPORT_SIZE = 56;

export const SK_REUSEPORT_MD: Struct = {
  name: 'sk_reuseport_md',
  size: REUSEPORT_SIZE,
  fields: [
    pointer('data', REUSEPORT_DATA, 8, PTR_TO_PACKET),
    pointer('data_end', REUSEPORT_DATA_END, 8, PTR_TO_PACKET_END),
    word('len', REUSEPORT_LEN),
    word('eth_protocol', REUSEPORT_ETH_PROTOCOL, 'half'),
    word('ip_protocol', REUSEPORT_IP_PROTOCOL),
    word('bind_inany', REUSEPORT_BIND_INANY),
    word('hash', REUSEPORT_HASH, 'whole'),
    pointer('sk', REUSEPORT_SK, 8, PTR_TO_SOCKET),
    pointer('migrating_sk', REUSEPORT_MIGRATING_SK, 8, PTR_TO_SOCK_COMMON | PTR_MAYBE_NULL),
  ],
};

export const SK_REUSEPORT_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [BPF_PROG_TYPE_SK_REUSEPORT, readOnly(SK_REUSEPORT_MD)],
]);
