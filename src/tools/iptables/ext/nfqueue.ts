/** Target `NFQUEUE`: packets to a program. */
import { nfqueueTarget as codec, type NfqueueTarget } from '../../../wire/xt/nfqueue-target.ts';
import { problem } from '../errors.ts';
import type { Extension } from '../extension.ts';
import { range, uint } from '../values.ts';

const BYPASS = 1;
const CPU_FANOUT = 2;

export const NFQUEUE: Extension<NfqueueTarget> = {
  kind: 'target',
  name: 'NFQUEUE',
  revision: 3,
  codec,
  init(s) {
    s.total = 1;
  },
  options: [
    {
      name: 'queue-num',
      excl: ['queue-balance'],
      parse(s, value, _invert, ctx) {
        s.queue = uint(ctx, value, 65535);
      },
    },
    {
      name: 'queue-balance',
      excl: ['queue-num'],
      parse(s, value, _invert, ctx) {
        const [from, to] = range(ctx, value, 65535);
        if (from >= to) throw problem(`NFQUEUE: Bad range ${from}-${to}`);
        s.queue = from;
        s.total = (to - from + 1) & 0xffff;
      },
    },
    {
      name: 'queue-bypass',
      arg: 'none',
      parse(s) {
        s.flags |= BYPASS;
      },
    },
    {
      name: 'queue-cpu-fanout',
      arg: 'none',
      also: ['queue-balance'],
      parse(s) {
        s.flags |= CPU_FANOUT;
      },
    },
  ],
  save(s) {
    let out = s.total > 1 ? ` --queue-balance ${s.queue}:${s.queue + s.total - 1}` : ` --queue-num ${s.queue}`;
    if (s.flags & BYPASS) out += ' --queue-bypass';
    if (s.flags & CPU_FANOUT) out += ' --queue-cpu-fanout';
    return out;
  },
  print(s) {
    let out = s.total > 1 ? ` NFQUEUE balance ${s.queue}:${s.queue + s.total - 1}` : ` NFQUEUE num ${s.queue}`;
    if (s.flags & BYPASS) out += ' bypass';
    if (s.flags & CPU_FANOUT) out += ' cpu-fanout';
    return out;
  },
};
