/** Target `NFLOG`: packets to a netlink group. Its kernel form is the native `log` expression. */
import { nflogTarget as codec, type NflogTarget } from '../../../wire/xt/nflog-target.ts';
import { problem } from '../errors.ts';
import { type Extension, quoted } from '../extension.ts';
import { uint } from '../values.ts';

const COPY_LEN = 1;

function text(s: NflogTarget, prefix: string): string {
  let out = '';
  if (s.prefix !== '') out += ` ${prefix}nflog-prefix ${quoted(s.prefix)}`;
  if (s.group) out += ` ${prefix}nflog-group ${s.group}`;
  if (s.len && s.flags & COPY_LEN) out += ` ${prefix}nflog-size ${s.len}`;
  if (s.threshold) out += ` ${prefix}nflog-threshold ${s.threshold}`;
  return out;
}

export const NFLOG: Extension<NflogTarget> = {
  kind: 'target',
  name: 'NFLOG',
  revision: 0,
  codec,
  options: [
    {
      name: 'nflog-group',
      parse(s, value, _invert, ctx) {
        s.group = uint(ctx, value, 65535);
      },
    },
    {
      name: 'nflog-prefix',
      parse(s, value) {
        if (value.includes('\n')) throw problem('Newlines not allowed in --log-prefix');
        s.prefix = value;
      },
    },
    {
      name: 'nflog-range',
      excl: ['nflog-size'],
      parse(s, value, _invert, ctx) {
        // The kernel never honoured this one; it is kept so that old rules load.
        s.len = uint(ctx, value);
      },
    },
    {
      name: 'nflog-size',
      excl: ['nflog-range'],
      parse(s, value, _invert, ctx) {
        s.len = uint(ctx, value);
        s.flags |= COPY_LEN;
      },
    },
    {
      name: 'nflog-threshold',
      parse(s, value, _invert, ctx) {
        s.threshold = uint(ctx, value, 65535);
      },
    },
  ],
  save: (s) => text(s, '--'),
  print: (s) => text(s, ''),
};
