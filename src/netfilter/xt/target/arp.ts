/** Target `mangle` of arptables: writes addresses into ARP packets. */
import { EINVAL, KernelError } from '../../../core/errno.ts';
import { NF_DROP, NFPROTO_ARP } from '../../../wire/uapi/netfilter.ts';
import { type ArpMangle, arpMangle } from '../../../wire/xt/arp-mangle-target.ts';
import { XT_CONTINUE, type XtTarget } from '../extension.ts';

const ACCEPT = 1;
const CONTINUE = 0xffffffff;
/** flag, offset in the packet, bytes. */
const PARTS: readonly (readonly [number, number, 'srcMac' | 'srcIp' | 'dstMac' | 'dstIp', number])[] = [
  [1, 8, 'srcMac', 6],
  [4, 14, 'srcIp', 4],
  [2, 18, 'dstMac', 6],
  [8, 24, 'dstIp', 4],
];

export const ARP_MANGLE: XtTarget<ArpMangle> = {
  name: 'mangle',
  revision: 0,
  family: NFPROTO_ARP,
  codec: arpMangle,
  make(info) {
    if (info.flags === 0 || info.flags & ~15) throw new KernelError(EINVAL);
    if (info.target !== 0 && info.target !== ACCEPT && info.target !== CONTINUE) throw new KernelError(EINVAL);
    const verdict = info.target === CONTINUE ? XT_CONTINUE : info.target === 0 ? NF_DROP : ACCEPT;
    return (pkt) => {
      const { u8 } = pkt.slab;
      const at = pkt.nhoff;
      // Only Ethernet and IPv4 addresses lie where they are written.
      if (at + 28 > pkt.end || u8[at + 4] !== 6 || u8[at + 5] !== 4) return NF_DROP;
      for (const [flag, offset, key, length] of PARTS)
        if (info.flags & flag) u8.set(info[key].subarray(0, length), at + offset);
      return verdict;
    };
  },
};
