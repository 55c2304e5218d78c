/** Match `length`: bytes of the packet at layer 3. */
import { length as codec, type Length } from '../../../wire/xt/length.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';
import { ports, range } from '../values.ts';

export const length: Extension<Length> = {
  kind: 'match',
  name: 'length',
  revision: 0,
  codec,
  options: [
    {
      name: 'length',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        [s.min, s.max] = range(ctx, value, 65535);
        if (s.min > s.max) throw problem(`length: bad value for option "--length", or out of range (0-65535).`);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --length ${ports(s.min, s.max)}`,
  print: (s) => ` length ${s.invert ? '!' : ''}${ports(s.min, s.max)}`,
};
