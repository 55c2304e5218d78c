/** Match `addrtype`: the route type of an address (rtnetlink's RTN_*). */
import { type Addrtype, addrtype as codec } from '../../../wire/xt/addrtype.ts';
import { problem } from '../errors.ts';
import { bang, type Extension } from '../extension.ts';

const TYPES: readonly string[] = [
  'UNSPEC',
  'UNICAST',
  'LOCAL',
  'BROADCAST',
  'ANYCAST',
  'MULTICAST',
  'BLACKHOLE',
  'UNREACHABLE',
  'PROHIBIT',
  'THROW',
  'NAT',
  'XRESOLVE',
];
const INVERT_SOURCE = 1;
const INVERT_DEST = 2;
const LIMIT_IN = 4;
const LIMIT_OUT = 8;

function parse(text: string): number {
  let out = 0;
  for (const word of text.split(',')) {
    const bit = TYPES.indexOf(word.toUpperCase());
    if (bit < 0) throw problem(`addrtype: bad type "${word}"`);
    out |= 1 << bit;
  }
  return out;
}
const names = (bits: number): string => TYPES.filter((_, i) => bits & (1 << i)).join(',');

export const addrtype: Extension<Addrtype> = {
  kind: 'match',
  name: 'addrtype',
  revision: 1,
  codec,
  options: [
    {
      name: 'src-type',
      invert: true,
      parse(s, value, invert) {
        s.source |= parse(value);
        if (invert) s.flags |= INVERT_SOURCE;
      },
    },
    {
      name: 'dst-type',
      invert: true,
      parse(s, value, invert) {
        s.dest |= parse(value);
        if (invert) s.flags |= INVERT_DEST;
      },
    },
    {
      name: 'limit-iface-in',
      arg: 'none',
      excl: ['limit-iface-out'],
      parse(s) {
        s.flags |= LIMIT_IN;
      },
    },
    {
      name: 'limit-iface-out',
      arg: 'none',
      excl: ['limit-iface-in'],
      parse(s) {
        s.flags |= LIMIT_OUT;
      },
    },
  ],
  check(_s, ctx) {
    if (!ctx.seen.has('src-type') && !ctx.seen.has('dst-type'))
      throw problem('addrtype: you must specify --src-type or --dst-type');
  },
  save(s) {
    let out = '';
    if (s.source) out += `${bang(s.flags & INVERT_SOURCE)} --src-type ${names(s.source)}`;
    if (s.dest) out += `${bang(s.flags & INVERT_DEST)} --dst-type ${names(s.dest)}`;
    if (s.flags & LIMIT_IN) out += ' --limit-iface-in';
    if (s.flags & LIMIT_OUT) out += ' --limit-iface-out';
    return out;
  },
  print(s) {
    let out = ' ADDRTYPE match';
    if (s.source) out += ` src-type ${s.flags & INVERT_SOURCE ? '!' : ''}${names(s.source)}`;
    if (s.dest) out += ` dst-type ${s.flags & INVERT_DEST ? '!' : ''}${names(s.dest)}`;
    if (s.flags & LIMIT_IN) out += ' limit-in';
    if (s.flags & LIMIT_OUT) out += ' limit-out';
    return out;
  },
};
