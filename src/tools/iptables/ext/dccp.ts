/** Match `dccp`: ports, packet types, option (RFC 4340). */
import { dccp as codec, type Dccp } from '../../../wire/xt/dccp.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension } from '../extension.ts';
import { portRange, ports, uint } from '../values.ts';
import { listPorts } from './tcp.ts';

const SRC = 1;
const DST = 2;
const TYPE = 4;
const OPTION = 8;
const TYPES: readonly string[] = [
  'REQUEST',
  'RESPONSE',
  'DATA',
  'ACK',
  'DATAACK',
  'CLOSEREQ',
  'CLOSE',
  'RESET',
  'SYNC',
  'SYNCACK',
  'INVALID',
];
const INVALID = 10;

const typeText = (mask: number): string => TYPES.filter((_, i) => mask & (1 << i)).join(',');

export const dccp: Extension<Dccp> = {
  kind: 'match',
  name: 'dccp',
  revision: 0,
  codec,
  options: [
    ...['source-port', 'sport'].map((name) => ({
      name,
      invert: true,
      parse(s: Dccp, value: string, invert: boolean, ctx: Context): void {
        s.spts = portRange(ctx, value);
        s.flags |= SRC;
        if (invert) s.invert |= SRC;
      },
    })),
    ...['destination-port', 'dport'].map((name) => ({
      name,
      invert: true,
      parse(s: Dccp, value: string, invert: boolean, ctx: Context): void {
        s.dpts = portRange(ctx, value);
        s.flags |= DST;
        if (invert) s.invert |= DST;
      },
    })),
    {
      name: 'dccp-types',
      invert: true,
      parse(s, value, invert) {
        for (const word of value.split(',')) {
          const type = TYPES.indexOf(word.toUpperCase());
          if (type < 0) throw problem(`Unknown DCCP type \`${word}'`);
          s.typeMask |= type === INVALID ? 0xffff & ~0x3ff : 1 << type;
        }
        s.flags |= TYPE;
        if (invert) s.invert |= TYPE;
      },
    },
    {
      name: 'dccp-option',
      invert: true,
      parse(s, value, invert, ctx) {
        s.option = uint(ctx, value, 255, 1);
        s.flags |= OPTION;
        if (invert) s.invert |= OPTION;
      },
    },
  ],
  save(s) {
    let out = '';
    if (s.flags & SRC) out += `${bang(s.invert & SRC)} --sport ${ports(s.spts[0], s.spts[1])}`;
    if (s.flags & DST) out += `${bang(s.invert & DST)} --dport ${ports(s.dpts[0], s.dpts[1])}`;
    if (s.flags & TYPE) out += `${bang(s.invert & TYPE)} --dccp-types ${typeText(s.typeMask)}`;
    if (s.flags & OPTION) out += `${bang(s.invert & OPTION)} --dccp-option ${s.option}`;
    return out;
  },
  print(s, _ctx, numeric) {
    let out = ' dccp';
    if (s.flags & SRC) out += listPorts('spt', s.spts, (s.invert & SRC) !== 0, 33, numeric);
    if (s.flags & DST) out += listPorts('dpt', s.dpts, (s.invert & DST) !== 0, 33, numeric);
    if (s.flags & TYPE) out += `${bang(s.invert & TYPE)} ${typeText(s.typeMask)}`;
    if (s.flags & OPTION) out += ` option=${s.invert & OPTION ? '!' : ''}${s.option}`;
    return out;
  },
};
