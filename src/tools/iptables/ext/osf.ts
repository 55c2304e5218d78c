/** Match `osf`: passive fingerprints of the system that sent a SYN. */
import * as O from '../../../wire/xt/osf.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { uint } from '../values.ts';

export const osf: Extension<O.Osf> = {
  kind: 'match',
  name: 'osf',
  revision: 0,
  family: 4,
  codec: O.osf,
  options: [
    {
      name: 'genre',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        if (value.length > 31) throw problem(`Genre length ${value.length} is too long`);
        s.genre = value;
        s.length = value.length;
        if (invert) s.flags |= O.OSF_INVERT;
      },
    },
    {
      name: 'ttl',
      parse(s, value, _invert, ctx) {
        s.ttl = uint(ctx, value, 2);
        s.flags |= O.OSF_TTL;
      },
    },
    {
      name: 'log',
      parse(s, value, _invert, ctx) {
        s.logLevel = uint(ctx, value, 2);
        s.flags |= O.OSF_LOG;
      },
    },
  ],
  save(s) {
    let out = `${bang(s.flags & O.OSF_INVERT)} --genre ${s.genre}`;
    if (s.flags & O.OSF_TTL) out += ` --ttl ${s.ttl}`;
    if (s.flags & O.OSF_LOG) out += ` --log ${s.logLevel}`;
    return out;
  },
  print: (s) => ` OS fingerprint match ${s.flags & O.OSF_INVERT ? '! ' : ''}${s.genre}`,
};
