/** Match `tcpmss` and target `TCPMSS`: the maximum segment size of a SYN. */
import { tcpmss as codec, type Tcpmss } from '../../../wire/xt/tcpmss.ts';
import { type TcpmssTarget, tcpmssTarget as targetCodec } from '../../../wire/xt/tcpmss-target.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { ports, range, uint } from '../values.ts';

const CLAMP = 0xffff;

export const tcpmss: Extension<Tcpmss> = {
  kind: 'match',
  name: 'tcpmss',
  revision: 0,
  codec,
  options: [
    {
      name: 'mss',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        [s.min, s.max] = range(ctx, value, 65535);
        if (s.max < s.min) throw problem('tcpmss: invalid range given');
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --mss ${ports(s.min, s.max)}`,
  print: (s) => ` tcpmss match ${s.invert ? '!' : ''}${ports(s.min, s.max)}`,
};

export const TCPMSS: Extension<TcpmssTarget> = {
  kind: 'target',
  name: 'TCPMSS',
  revision: 0,
  codec: targetCodec,
  options: [
    {
      name: 'set-mss',
      excl: ['clamp-mss-to-pmtu'],
      parse(s, value, _invert, ctx) {
        s.mss = uint(ctx, value, ctx.family === 4 ? 65495 : 65475);
      },
    },
    {
      name: 'clamp-mss-to-pmtu',
      arg: 'none',
      excl: ['set-mss'],
      parse(s) {
        s.mss = CLAMP;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('TCPMSS target: At least one parameter is required');
  },
  save: (s) => (s.mss === CLAMP ? ' --clamp-mss-to-pmtu' : ` --set-mss ${s.mss}`),
  print: (s) => (s.mss === CLAMP ? ' TCPMSS clamp to PMTU' : ` TCPMSS set ${s.mss}`),
};
