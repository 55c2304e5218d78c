/** `struct xdp_md`, the context of XDP programs (linux/bpf.h). */
import { BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP } from '../../wire/uapi/bpf.ts';
import { XDP, XDP_SIZE } from '../../wire/uapi/bpf-context.ts';
import { PTR_TO_PACKET, PTR_TO_PACKET_END, PTR_TO_PACKET_META } from '../verifier/reg.ts';
import { pointer, type Struct, word } from './layout.ts';
import { type ContextRules, NONE, names, vary } from './rules.ts';

export const XDP_MD: Struct = {
  name: 'xdp_md',
  size: XDP_SIZE,
  fields: [
    pointer('data', XDP.data, 4, PTR_TO_PACKET),
    pointer('data_end', XDP.dataEnd, 4, PTR_TO_PACKET_END),
    pointer('data_meta', XDP.dataMeta, 4, PTR_TO_PACKET_META),
    word('ingress_ifindex', XDP.ingressIfindex, 'whole'),
    word('rx_queue_index', XDP.rxQueueIndex, 'whole'),
    word('egress_ifindex', XDP.egressIfindex, 'whole'),
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
