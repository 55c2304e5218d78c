/** Target `MARK`: sets the packet's mark. */
import { markTarget as codec, type MarkTarget } from '../../../wire/xt/mark-target.ts';
import { problem } from '../errors.ts';
import { type Extension, hex, type Option } from '../extension.ts';
import { markMask, U32_MAX, uint } from '../values.ts';

const NAMES: readonly string[] = ['set-xmark', 'set-mark', 'and-mark', 'or-mark', 'xor-mark'];

function option(name: string, parse: Option<MarkTarget>['parse']): Option<MarkTarget> {
  return { name, excl: NAMES.filter((other) => other !== name), parse };
}

export const MARK: Extension<MarkTarget> = {
  kind: 'target',
  name: 'MARK',
  revision: 2,
  codec,
  options: [
    option('set-xmark', (s, value, _invert, ctx) => {
      [s.mark, s.mask] = markMask(ctx, value);
    }),
    option('set-mark', (s, value, _invert, ctx) => {
      [s.mark, s.mask] = markMask(ctx, value);
      s.mask = (s.mask | s.mark) >>> 0;
    }),
    option('and-mark', (s, value, _invert, ctx) => {
      s.mark = 0;
      s.mask = ~uint(ctx, value) >>> 0;
    }),
    option('or-mark', (s, value, _invert, ctx) => {
      s.mark = uint(ctx, value);
      s.mask = s.mark;
    }),
    option('xor-mark', (s, value, _invert, ctx) => {
      s.mark = uint(ctx, value);
      s.mask = 0;
    }),
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('MARK: One of the --set-xmark, --{and,or,xor,set}-mark options is required');
  },
  save: (s) => ` --set-xmark ${hex(s.mark)}/${hex(s.mask)}`,
  print(s) {
    if (s.mark === 0) return ` MARK and ${hex(~s.mask)}`;
    if (s.mark === s.mask) return ` MARK or ${hex(s.mark)}`;
    if (s.mask === 0) return ` MARK xor ${hex(s.mark)}`;
    return s.mask === U32_MAX ? ` MARK set ${hex(s.mark)}` : ` MARK xset ${hex(s.mark)}/${hex(s.mask)}`;
  },
};
