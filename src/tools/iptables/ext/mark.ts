/** Matches `mark` and `connmark`: a mark under a mask. */
import { type Connmark, connmark as connmarkCodec } from '../../../wire/xt/connmark.ts';
import { type Mark, mark as markCodec } from '../../../wire/xt/mark.ts';
import { bang, type Extension, hex } from '../extension.ts';
import { markMask, U32_MAX } from '../values.ts';

function text(s: Mark): string {
  return s.mask === U32_MAX ? hex(s.mark) : `${hex(s.mark)}/${hex(s.mask)}`;
}

function build(name: string, codec: typeof markCodec, label: string): Extension<Mark> {
  return {
    kind: 'match',
    name,
    revision: 1,
    codec,
    options: [
      {
        name: 'mark',
        invert: true,
        mandatory: true,
        parse(s, value, invert, ctx) {
          [s.mark, s.mask] = markMask(ctx, value);
          s.invert = invert ? 1 : 0;
        },
      },
    ],
    save: (s) => `${bang(s.invert)} --mark ${text(s)}`,
    print: (s) => ` ${label} match ${s.invert ? '!' : ''}${text(s)}`.replace('match !', 'match ! '),
  };
}

export const mark: Extension<Mark> = build('mark', markCodec, 'mark');
export const connmark: Extension<Connmark> = build('connmark', connmarkCodec, 'CONNMARK');
