/** `struct xdp_md`, the context of XDP programs (linux/bpf.h). */
import { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP } from '../../wire/uapi/bpf.ts';
import { PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META } from '../verifier/reg.ts';
import { pointer, type Struct, word } from './layout.ts';
import { type ContextRules, NONE, names, vary } from './rules.ts';

export const XDP_DATA = 0;
export const XDP_DATA_END = 4;
export const XDP_DATA_META = 8;
export const XDP_INGRESS_IFINDEX = 12;
export const XDP_RX_QUEUE_INDEX = 16;
export const XDP_EGRESS_IFINDEX = 20;
export const XDP_SIZE = 24;

export const XDP_MD: Struct = {
  name: 'xdp_md',
  size: XDP_SIZE,
  fields: [
    pointer('data', XDP_DATA, 4, PTR_TO_PACKET),
    pointer('data_end', XDP_DATA_END, 4, PTR_TO_PACKET_END),
    pointer('data_meta', XDP_DATA_META, 4, PTR_TO_PACKET_META),
    word('ingress_ifindex', XDP_INGRESS_IFINDEX, 'whole'),
    word('rx_queue_index', XDP_RX_QUEUE_INDEX, 'whole'),
    word('egress_ifindex', XDP_EGRESS_IFINDEX, 'whole'),
  ],
};

const LEAVING = names(XDP_MD);
/** Only a program in a device map knows where the packet will go. */
const ARRIVING = vary(LEAVING, ['egress_ifindex']);

export const XDP_TYPES: ReadonlyMap<number, ContextRules> = new Map([
  [
    BPF_PROG_TYPE_XDP,
    { struct: XDP_MD, read: (env) => (env.attach === BPF_XDP_DEVMAP ? LEAVING : ARRIVING), write: () => NONE },
  ],
]);
