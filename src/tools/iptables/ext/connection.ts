/** Matches `connlimit`, `connbytes`, `connlabel` and `helper`: more about the packet's connection. */
import { maskLength } from '../../../wire/address.ts';
import { type Connbytes, connbytes as connbytesCodec } from '../../../wire/xt/connbytes.ts';
import { type Connlabel, connlabel as connlabelCodec } from '../../../wire/xt/connlabel.ts';
import { type Connlimit, connlimit as connlimitCodec } from '../../../wire/xt/connlimit.ts';
import { type Helper, helper as helperCodec } from '../../../wire/xt/helper.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, quoted } from '../extension.ts';
import { inet, parseMask, range64, uint, union } from '../values.ts';

const INVERT = 1;
const DADDR = 2;

export const connlimit: Extension<Connlimit> = {
  kind: 'match',
  name: 'connlimit',
  revision: 1,
  codec: connlimitCodec,
  init(s) {
    s.mask = new Uint8Array(16).fill(0xff);
  },
  options: [
    {
      name: 'connlimit-upto',
      invert: true,
      excl: ['connlimit-above'],
      parse(s, value, invert, ctx) {
        s.limit = uint(ctx, value);
        if (!invert) s.flags |= INVERT;
      },
    },
    {
      name: 'connlimit-above',
      invert: true,
      excl: ['connlimit-upto'],
      parse(s, value, invert, ctx) {
        s.limit = uint(ctx, value);
        if (invert) s.flags |= INVERT;
      },
    },
    {
      name: 'connlimit-mask',
      parse(s, value, _invert, ctx) {
        s.mask = union(parseMask(value, ctx.family));
      },
    },
    {
      name: 'connlimit-saddr',
      arg: 'none',
      excl: ['connlimit-daddr'],
      parse(s) {
        s.flags &= ~DADDR;
      },
    },
    {
      name: 'connlimit-daddr',
      arg: 'none',
      excl: ['connlimit-saddr'],
      parse(s) {
        s.flags |= DADDR;
      },
    },
  ],
  check(_s, ctx) {
    if (!ctx.seen.has('connlimit-upto') && !ctx.seen.has('connlimit-above'))
      throw problem('You must specify "--connlimit-above" or "--connlimit-upto".');
  },
  save(s, ctx) {
    const bits = maskLength(inet(s.mask, ctx.family));
    return ` --connlimit-${s.flags & INVERT ? 'upto' : 'above'} ${s.limit} --connlimit-mask ${bits} --connlimit-${s.flags & DADDR ? 'daddr' : 'saddr'}`;
  },
  print(s, ctx) {
    const bits = maskLength(inet(s.mask, ctx.family));
    return ` #conn ${s.flags & DADDR ? 'dst' : 'src'}/${bits} ${s.flags & INVERT ? '<=' : '>'} ${s.limit}`;
  },
};

const MODES: readonly string[] = ['packets', 'bytes', 'avgpkt'];
const DIRECTIONS: readonly string[] = ['original', 'reply', 'both'];

function counts(s: Connbytes): { text: string; invert: boolean } {
  // A negated range is sent with its ends exchanged.
  const invert = s.to < s.from;
  const from = invert ? s.to : s.from;
  const to = invert ? s.from : s.to;
  return { invert, text: to === 0xffffffffffffffffn ? `${from}` : `${from}:${to}` };
}

export const connbytes: Extension<Connbytes> = {
  kind: 'match',
  name: 'connbytes',
  revision: 0,
  codec: connbytesCodec,
  options: [
    {
      name: 'connbytes',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        const [from, to] = range64(ctx, value.includes(':') ? value : `${value}:`);
        if (to < from) throw problem(`${from} should be less than ${to}`);
        s.from = invert ? to : from;
        s.to = invert ? from : to;
      },
    },
    {
      name: 'connbytes-dir',
      mandatory: true,
      parse(s, value) {
        s.direction = DIRECTIONS.indexOf(value);
        if (s.direction < 0) throw problem(`Unknown --connbytes-dir \`${value}'`);
      },
    },
    {
      name: 'connbytes-mode',
      mandatory: true,
      parse(s, value) {
        s.what = MODES.indexOf(value);
        if (s.what < 0) throw problem(`Unknown --connbytes-mode \`${value}'`);
      },
    },
  ],
  save(s) {
    const { text, invert } = counts(s);
    return `${bang(invert)} --connbytes ${text} --connbytes-mode ${MODES[s.what]} --connbytes-dir ${DIRECTIONS[s.direction]}`;
  },
  print(s) {
    const { text, invert } = counts(s);
    return `${bang(invert)} connbytes ${text} connbytes mode ${MODES[s.what]} connbytes direction ${DIRECTIONS[s.direction]}`;
  },
};

export const connlabel: Extension<Connlabel> = {
  kind: 'match',
  name: 'connlabel',
  revision: 0,
  codec: connlabelCodec,
  options: [
    {
      name: 'label',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        // Names would come from connlabel.conf.
        if (!/^\d{1,5}$/.test(value) || Number(value) > 65535) throw problem(`label '${value}' not found`);
        s.bit = Number(value);
        if (invert) s.options |= 1;
      },
    },
    {
      name: 'set',
      arg: 'none',
      parse(s) {
        s.options |= 2;
      },
    },
  ],
  save: (s) => `${bang(s.options & 1)} --label "${s.bit}"${s.options & 2 ? ' --set' : ''}`,
  print: (s) => `${bang(s.options & 1)} connlabel '${s.bit}'${s.options & 2 ? ' set' : ''}`,
};

export const helper: Extension<Helper> = {
  kind: 'match',
  name: 'helper',
  revision: 0,
  codec: helperCodec,
  options: [
    {
      name: 'helper',
      invert: true,
      mandatory: true,
      parse(s, value, invert) {
        s.name = value.slice(0, 29);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --helper ${quoted(s.name)}`,
  print: (s) => ` helper match ${s.invert ? '!' : ''}"${s.name}"`,
};
