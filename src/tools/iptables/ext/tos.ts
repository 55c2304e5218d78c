/** Match and target `tos`/`TOS`: the type of service octet under a mask (RFC 1349 names). */
import { tos as codec, type Tos } from '../../../wire/xt/tos.ts';
import { type TosTarget, tosTarget as targetCodec } from '../../../wire/xt/tos-target.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension, hex, type Option } from '../extension.ts';
import { number, uint } from '../values.ts';

const NAMES: readonly (readonly [string, number])[] = [
  ['Minimize-Delay', 0x10],
  ['Maximize-Throughput', 0x08],
  ['Maximize-Reliability', 0x04],
  ['Minimize-Cost', 0x02],
  ['Normal-Service', 0x00],
];

function parse(text: string, ctx: Context, defaultMask: number): { value: number; mask: number } {
  const named = NAMES.find(([name]) => name.toLowerCase() === text.toLowerCase());
  if (named !== undefined) return { value: named[1], mask: 0x3f };
  const slash = text.indexOf('/');
  const value = number(slash < 0 ? text : text.slice(0, slash), 255);
  const mask = slash < 0 ? defaultMask : number(text.slice(slash + 1), 255);
  if (value === undefined || mask === undefined)
    throw problem(
      value === undefined && !/^\d/.test(text)
        ? `Symbolic name "${text}" is unknown`
        : `${ctx.ext}: Bad value for "--${ctx.opt}" option: "${text}"`,
    );
  return { value, mask };
}

const text = (value: number, mask: number): string => `${hex(value, 2)}/${hex(mask, 2)}`;

export const tos: Extension<Tos> = {
  kind: 'match',
  name: 'tos',
  revision: 1,
  codec,
  options: [
    {
      name: 'tos',
      invert: true,
      mandatory: true,
      parse(s, value, invert, ctx) {
        Object.assign(s, parse(value, ctx, 0xff));
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  save: (s) => `${bang(s.invert)} --tos ${text(s.value, s.mask)}`,
  print(s, _ctx, numeric) {
    const named = numeric || s.mask !== 0x3f ? undefined : NAMES.find(([, value]) => value === s.value);
    return ` tos match${s.invert ? '!' : ''} ${named?.[0] ?? text(s.value, s.mask)}`
      .replace('match!', 'match!')
      .replace('match ', 'match');
  },
};

const ACTIONS = ['set-tos', 'set-xtos', 'and-tos', 'or-tos', 'xor-tos'];

function bitOption(name: string, apply: (bits: number) => { value: number; mask: number }): Option<TosTarget> {
  return {
    name,
    excl: ACTIONS.filter((other) => other !== name),
    parse(s, value, _invert, ctx) {
      Object.assign(s, apply(uint(ctx, value, 255)));
    },
  };
}

export const TOS: Extension<TosTarget> = {
  kind: 'target',
  name: 'TOS',
  revision: 1,
  codec: targetCodec,
  options: [
    {
      name: 'set-tos',
      excl: ACTIONS.slice(1),
      parse(s, value, _invert, ctx) {
        const { value: bits, mask } = parse(value, ctx, 0xff);
        s.value = bits;
        s.mask = mask;
        if (value.includes('/')) s.mask |= bits;
      },
    },
    {
      name: 'set-xtos',
      excl: ACTIONS.filter((name) => name !== 'set-xtos'),
      parse(s, value, _invert, ctx) {
        const { value: bits, mask } = parse(value, ctx, 0xff);
        s.value = bits;
        s.mask = mask;
      },
    },
    bitOption('and-tos', (bits) => ({ value: 0, mask: ~bits & 0xff })),
    bitOption('or-tos', (bits) => ({ value: bits, mask: bits })),
    bitOption('xor-tos', (bits) => ({ value: bits, mask: 0 })),
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('TOS: An action is required');
  },
  save: (s) => ` --set-tos ${text(s.value, s.mask)}`,
  print(s) {
    if (s.mask === 0xff) return ` TOS set ${hex(s.value, 2)}`;
    if (s.value === 0) return ` TOS and ${hex(~s.mask & 0xff, 2)}`;
    if (s.value === s.mask) return ` TOS or ${hex(s.value, 2)}`;
    return s.mask === 0 ? ` TOS xor ${hex(s.value, 2)}` : ` TOS set ${text(s.value, s.mask)}`;
  },
};
