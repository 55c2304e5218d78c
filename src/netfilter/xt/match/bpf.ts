/** Match `bpf`: a classic BPF program over the packet from its network header on, or a pinned eBPF program. */
import { checkClassic, runClassic } from '../../../bpf/cbpf/index.ts';
import { EINVAL, KernelError } from '../../../core/errno.ts';
import * as B from '../../../wire/xt/bpf.ts';
import { XT_NO, XT_YES, type XtMatch } from '../extension.ts';

export const bpf: XtMatch<B.Bpf> = {
  name: 'bpf',
  revision: 1,
  codec: B.bpf,
  make(info, ctx) {
    if (info.mode === B.BPF_MODE_FD_PINNED || info.mode === B.BPF_MODE_FD_ELF) {
      const program = ctx.state.pinnedFilter?.(info.fd);
      if (program === undefined) throw new KernelError(EINVAL);
      return (pkt) => (program(pkt.p) !== 0 ? XT_YES : XT_NO);
    }
    if (info.mode !== B.BPF_MODE_BYTECODE || info.length > B.BPF_MAX_INSTRUCTIONS) throw new KernelError(EINVAL);
    const program = B.readProgram(info.program, info.length);
    if (checkClassic(program) !== 0) throw new KernelError(EINVAL);
    const { host } = ctx.init;
    const { random } = host.world;
    // One description for all packets.
    const packet = {
      bytes: host.world.slab.u8.subarray(0, 0),
      protocol: 0,
      packetType: 0,
      mark: 0,
      cpu: 0,
      payloadOffset: 0,
      networkOffset: 0,
      device: { ifindex: 0, type: 0 },
      random: () => random.u32(),
    };
    return (pkt) => {
      const { slab, p } = pkt;
      packet.bytes = slab.u8.subarray(pkt.nhoff, slab.end(p));
      packet.protocol = slab.protocol(p);
      packet.packetType = slab.pktType(p);
      packet.mark = slab.mark(p);
      packet.cpu = host.cpu ?? 0;
      packet.payloadOffset = pkt.thoff - pkt.nhoff;
      packet.device.ifindex = pkt.iif || pkt.oif;
      packet.device.type = host.deviceType(packet.device.ifindex);
      return runClassic(program, packet) !== 0 ? XT_YES : XT_NO;
    };
  },
};
