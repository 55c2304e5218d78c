/** Match and target `dscp`/`DSCP`: the six DSCP bits (RFC 2474). */
import { dscp as codec, type Dscp } from '../../../wire/xt/dscp.ts';
import { type DscpTarget, dscpTarget as targetCodec } from '../../../wire/xt/dscp-target.ts';
import { problem } from '../errors.ts';
import { bang, type Extension, hex } from '../extension.ts';
import { uint } from '../values.ts';

const CLASSES: ReadonlyMap<string, number> = new Map([
  ...Array.from({ length: 8 }, (_, i): [string, number] => [`CS${i}`, i * 8]),
  ...[1, 2, 3, 4].flatMap((c) => [1, 2, 3].map((d): [string, number] => [`AF${c}${d}`, c * 8 + d * 2])),
  ['EF', 0x2e],
  ['BE', 0],
]);

function classOf(name: string): number {
  const value = CLASSES.get(name.toUpperCase());
  if (value === undefined) throw problem(`Invalid DSCP value \`${name}'`);
  return value;
}

export const dscp: Extension<Dscp> = {
  kind: 'match',
  name: 'dscp',
  revision: 0,
  codec,
  options: [
    {
      name: 'dscp',
      invert: true,
      excl: ['dscp-class'],
      parse(s, value, invert, ctx) {
        s.dscp = uint(ctx, value, 63);
        s.invert = invert ? 1 : 0;
      },
    },
    {
      name: 'dscp-class',
      invert: true,
      excl: ['dscp'],
      parse(s, value, invert) {
        s.dscp = classOf(value);
        s.invert = invert ? 1 : 0;
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('DSCP match: Parameter --dscp is required');
  },
  save: (s) => `${bang(s.invert)} --dscp ${hex(s.dscp, 2)}`,
  print: (s) => ` DSCP match ${s.invert ? '!' : ''}${hex(s.dscp, 2)}`,
};

export const DSCP: Extension<DscpTarget> = {
  kind: 'target',
  name: 'DSCP',
  revision: 0,
  codec: targetCodec,
  options: [
    {
      name: 'set-dscp',
      excl: ['set-dscp-class'],
      parse(s, value, _invert, ctx) {
        s.dscp = uint(ctx, value, 63);
      },
    },
    {
      name: 'set-dscp-class',
      excl: ['set-dscp'],
      parse(s, value) {
        s.dscp = classOf(value);
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem('DSCP target: Parameter --set-dscp is required');
  },
  save: (s) => ` --set-dscp ${hex(s.dscp, 2)}`,
  print: (s) => ` DSCP set ${hex(s.dscp, 2)}`,
};
