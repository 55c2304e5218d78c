/** `struct bpf_sk_lookup`, the context of programs that choose the listening socket (linux/bpf.h). */
import { BPF_PROG_TYPE_SK_LOOKUP } from '../../wire/uapi/bpf.ts';
import { PTR_MAYBE_NULL, PTR_TO_SOCKET } from '../verifier/reg.ts';
import { pointer, type Struct, word, words } from './layout.ts';
import { type ContextRules, readOnly } from './rules.ts';

export const SK_LOOKUP_SK = 0;
export const SK_LOOKUP_FAMILY = 8;
export const SK_LOOKUP_PROTOCOL = 12;
export const SK_LOOKUP_REMOTE_IP4 = 16;
export const SK_LOOKUP_REMOTE_IP6 = 20;
export const SK_LOOKUP_REMOTE_PORT = 36;
export const SK_LOOKUP_LOCAL_IP4 = 40;
export const SK_LOOKUP_LOCAL_IP6 = 44;
export const SK_LOOKUP_LOCAL_PORT = 60;
export const SK_LOOKUP_INGRESS_IFINDEX = 64;
export const SK_LOOKUP_SIZE = 72;

export const BPF_SK_LOOKUP_CONTEXT: Struct = {
  name: 'bpf_sk_lookup',
  size: SK_LOOKUP_SIZE,
  fields: [
    pointer('sk', SK_LOOKUP_SK, 8, PTR_TO_SOCKET | PTR_MAYBE_NULL),
    word('family', SK_LOOKUP_FAMILY),
    word('protocol', SK_LOOKUP_PROTOCOL),
    word('remote_ip4', SK_LOOKUP_REMOTE_IP4),
    words('remote_ip6', SK_LOOKUP_REMOTE_IP6, 4),
    // Two bytes in network order, then two zero bytes.
    word('remote_port', SK_LOOKUP_REMOTE_PORT),
    word('local_ip4', SK_LOOKUP_LOCAL_IP4),
    words('local_ip6', SK_LOOKUP_LOCAL_IP6, 4),
    word('local_port', SK_LOOKUP_LOCAL_PORT),
    word('ingress_ifindex', SK_LOOKUP_INGRESS_IFINDEX),
  ],
};

export const SK_LOOKUP_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [BPF_PROG_TYPE_SK_LOOKUP, readOnly(BPF_SK_LOOKUP_CONTEXT)],
]);
