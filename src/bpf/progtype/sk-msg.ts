/** `struct sk_msg_md`, the context of programs on messages sent over a socket in a sockmap (linux/bpf.h). */
import { BPF_PROG_TYPE_SK_MSG } from '../../wire/uapi/bpf.ts';
import { PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_SOCKET } from '../verifier/reg.ts';
import { pointer, type Struct, word, words } from './layout.ts';
import { type ContextRules, readOnly } from './rules.ts';

export const SK_MSG_DATA = 0;
export const SK_MSG_DATA_END = 8;
export const SK_MSG_FAMILY = 16;
export const SK_MSG_REMOTE_IP4 = 20;
export const SK_MSG_LOCAL_IP4 = 24;
export const SK_MSG_REMOTE_IP6 = 28;
export const SK_MSG_LOCAL_IP6 = 44;
export const SK_MSG_REMOTE_PORT = 60;
export const SK_MSG_LOCAL_PORT = 64;
export const SK_MSG_LENGTH = 68;
export const SK_MSG_SK = 72;
export const SK_MSG_SIZE = 80;

export const SK_MSG_MD: Struct = {
  name: 'sk_msg_md',
  size: SK_MSG_SIZE,
  fields: [
    pointer('data', SK_MSG_DATA, 8, PTR_TO_PACKET),
    pointer('data_end', SK_MSG_DATA_END, 8, PTR_TO_PACKET_END),
    word('family', SK_MSG_FAMILY, 'whole'),
    word('remote_ip4', SK_MSG_REMOTE_IP4, 'whole'),
    word('local_ip4', SK_MSG_LOCAL_IP4, 'whole'),
    words('remote_ip6', SK_MSG_REMOTE_IP6, 4, 'whole'),
    words('local_ip6', SK_MSG_LOCAL_IP6, 4, 'whole'),
    word('remote_port', SK_MSG_REMOTE_PORT, 'whole'),
    word('local_port', SK_MSG_LOCAL_PORT, 'whole'),
    word('size', SK_MSG_LENGTH, 'whole'),
    pointer('sk', SK_MSG_SK, 8, PTR_TO_SOCKET),
  ],
};

export const SK_MSG_TYPES: ReadonlyMap<number, ContextRules> = new Map([[BPF_PROG_TYPE_SK_MSG, readOnly(SK_MSG_MD)]]);
