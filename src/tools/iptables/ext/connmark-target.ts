/** Target `CONNMARK`: sets, saves and restores the connection's mark. */
import { type ConnmarkTarget, connmarkTarget as codec } from '../../../wire/xt/connmark-target.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, hex, type Option } from '../extension.ts';
import { markMask, U32_MAX, uint } from '../values.ts';

const SET = 0;
const SAVE = 1;
const RESTORE = 2;
const COMMANDS: readonly string[] = [
  'set-xmark',
  'set-mark',
  'and-mark',
  'or-mark',
  'xor-mark',
  'save-mark',
  'restore-mark',
];

function option(name: string, parse: Option<ConnmarkTarget>['parse'], arg?: 'none'): Option<ConnmarkTarget> {
  return { name, parse, excl: COMMANDS.filter((other) => other !== name), ...(arg && { arg }) };
}

export const CONNMARK: Extension<ConnmarkTarget> = {
  kind: 'target',
  name: 'CONNMARK',
  revision: 2,
  codec,
  init(s) {
    s.ctmask = U32_MAX;
    s.nfmask = U32_MAX;
  },
  options: [
    option('set-xmark', (s, value, _invert, ctx) => {
      [s.ctmark, s.ctmask] = markMask(ctx, value);
    }),
    option('set-mark', (s, value, _invert, ctx) => {
      [s.ctmark, s.ctmask] = markMask(ctx, value);
      s.ctmask = (s.ctmask | s.ctmark) >>> 0;
    }),
    option('and-mark', (s, value, _invert, ctx) => {
      s.ctmark = 0;
      s.ctmask = ~uint(ctx, value) >>> 0;
    }),
    option('or-mark', (s, value, _invert, ctx) => {
      s.ctmark = uint(ctx, value);
      s.ctmask = s.ctmark;
    }),
    option('xor-mark', (s, value, _invert, ctx) => {
      s.ctmark = uint(ctx, value);
      s.ctmask = 0;
    }),
    option(
      'save-mark',
      (s) => {
        s.mode = SAVE;
      },
      'none',
    ),
    option(
      'restore-mark',
      (s) => {
        s.mode = RESTORE;
      },
      'none',
    ),
    {
      name: 'ctmask',
      parse(s, value, _invert, ctx) {
        s.ctmask = uint(ctx, value);
      },
    },
    {
      name: 'nfmask',
      parse(s, value, _invert, ctx) {
        s.nfmask = uint(ctx, value);
      },
    },
    {
      name: 'mask',
      parse(s, value, _invert, ctx) {
        s.ctmask = uint(ctx, value);
        s.nfmask = s.ctmask;
      },
    },
    {
      name: 'left-shift-mark',
      parse(s, value, _invert, ctx) {
        s.shiftDir = 0;
        s.shiftBits = uint(ctx, value, 32);
      },
    },
    {
      name: 'right-shift-mark',
      parse(s, value, _invert, ctx) {
        s.shiftDir = 1;
        s.shiftBits = uint(ctx, value, 32);
      },
    },
  ],
  check(_s, ctx) {
    if (!COMMANDS.some((name) => ctx.seen.has(name))) throw problem('CONNMARK target: No operation specified');
  },
  save(s) {
    const shift = s.shiftBits ? ` --${s.shiftDir ? 'right' : 'left'}-shift-mark ${s.shiftBits}` : '';
    if (s.mode === SET) return ` --set-xmark ${hex(s.ctmark)}/${hex(s.ctmask)}${shift}`;
    const name = s.mode === SAVE ? 'save' : 'restore';
    return ` --${name}-mark --nfmask ${hex(s.nfmask)} --ctmask ${hex(s.ctmask)}${shift}`;
  },
  print(s) {
    if (s.mode === SET) {
      if (s.ctmark === 0) return ` CONNMARK and ${hex(~s.ctmask)}`;
      if (s.ctmark === s.ctmask) return ` CONNMARK or ${hex(s.ctmark)}`;
      if (s.ctmask === 0) return ` CONNMARK xor ${hex(s.ctmark)}`;
      return s.ctmask === U32_MAX
        ? ` CONNMARK set ${hex(s.ctmark)}`
        : ` CONNMARK xset ${hex(s.ctmark)}/${hex(s.ctmask)}`;
    }
    const name = s.mode === SAVE ? 'save' : 'restore';
    if (s.nfmask === U32_MAX && s.ctmask === U32_MAX) return ` CONNMARK ${name}`;
    return s.nfmask === s.ctmask
      ? ` CONNMARK ${name} mask ${hex(s.ctmask)}`
      : ` CONNMARK ${name} nfmask ${hex(s.nfmask)} ctmask ~${hex(s.ctmask)}${bang(false)}`;
  },
};
