/** Match `iprange`: addresses from-to. */
import { formatAddress } from '../../../wire/address.ts';
import { iprange as codec, type Iprange } from '../../../wire/xt/iprange.ts';
import { problem } from '../errors.ts';
import { bang, type Context, type Extension } from '../extension.ts';
import { address, inet, union } from '../values.ts';

const SRC = 1;
const DST = 2;
const SRC_INV = 16;
const DST_INV = 32;

function parse(text: string, ctx: Context): [Uint8Array, Uint8Array] {
  const dash = text.indexOf('-');
  const part = (word: string): Uint8Array => {
    const found = address(word, ctx.family);
    if (found === undefined) throw problem(`iprange: Bad value for "--${ctx.opt}" option: "${word}"`);
    return found;
  };
  const from = part(dash < 0 ? text : text.slice(0, dash));
  const to = dash < 0 ? from : part(text.slice(dash + 1));
  return [union(from), union(to)];
}

function text(min: Uint8Array, max: Uint8Array, ctx: Context): string {
  return `${formatAddress(inet(min, ctx.family))}-${formatAddress(inet(max, ctx.family))}`;
}

export const iprange: Extension<Iprange> = {
  kind: 'match',
  name: 'iprange',
  revision: 1,
  codec,
  options: [
    {
      name: 'src-range',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.srcMin, s.srcMax] = parse(value, ctx);
        s.flags |= SRC | (invert ? SRC_INV : 0);
      },
    },
    {
      name: 'dst-range',
      invert: true,
      parse(s, value, invert, ctx) {
        [s.dstMin, s.dstMax] = parse(value, ctx);
        s.flags |= DST | (invert ? DST_INV : 0);
      },
    },
  ],
  check(_s, ctx) {
    if (ctx.seen.size === 0) throw problem("iprange match: You must specify `--src-range' or `--dst-range'");
  },
  save(s, ctx) {
    let out = '';
    if (s.flags & SRC) out += `${bang(s.flags & SRC_INV)} --src-range ${text(s.srcMin, s.srcMax, ctx)}`;
    if (s.flags & DST) out += `${bang(s.flags & DST_INV)} --dst-range ${text(s.dstMin, s.dstMax, ctx)}`;
    return out;
  },
  print(s, ctx) {
    let out = '';
    if (s.flags & SRC) out += ` source IP range${bang(s.flags & SRC_INV)} ${text(s.srcMin, s.srcMax, ctx)}`;
    if (s.flags & DST) out += ` destination IP range${bang(s.flags & DST_INV)} ${text(s.dstMin, s.dstMax, ctx)}`;
    return out;
  },
};
