/** Match `udp`: ports. */
import { udp as codec, type Udp } from '../../../wire/xt/udp.ts';
import type { Extension } from '../extension.ts';
import { portRange } from '../values.ts';
import { listPorts, savePorts } from './tcp.ts';

export const udp: Extension<Udp> = {
  kind: 'match',
  name: 'udp',
  revision: 0,
  codec,
  init(s) {
    s.spts = [0, 65535];
    s.dpts = [0, 65535];
  },
  options: [
    ...['source-port', 'sport'].map((name) => ({
      name,
      invert: true,
      parse(s: Udp, value: string, invert: boolean, ctx: Parameters<typeof portRange>[0]): void {
        s.spts = portRange(ctx, value);
        if (invert) s.invert |= 1;
      },
    })),
    ...['destination-port', 'dport'].map((name) => ({
      name,
      invert: true,
      parse(s: Udp, value: string, invert: boolean, ctx: Parameters<typeof portRange>[0]): void {
        s.dpts = portRange(ctx, value);
        if (invert) s.invert |= 2;
      },
    })),
  ],
  save(s) {
    return savePorts('sport', s.spts, (s.invert & 1) !== 0) + savePorts('dport', s.dpts, (s.invert & 2) !== 0);
  },
  print(s, _ctx, numeric) {
    return ` udp${listPorts('spt', s.spts, (s.invert & 1) !== 0, 17, numeric)}${listPorts('dpt', s.dpts, (s.invert & 2) !== 0, 17, numeric)}`;
  },
};
