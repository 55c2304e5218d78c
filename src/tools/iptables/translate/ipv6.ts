/** Translations of the matches on IPv6 extension headers. */
import type { Ah6 } from '../../../wire/xt/ah6.ts';
import type { Frag } from '../../../wire/xt/frag.ts';
import type { Mh } from '../../../wire/xt/mh.ts';
import type { Opts } from '../../../wire/xt/opts.ts';
import type { Rt } from '../../../wire/xt/rt.ts';
import { not, span, type Translate, type TranslateTable } from './types.ts';

const MAX = 0xffffffff;
const whole = (range: readonly number[], max: number = MAX): boolean => range[0] === 0 && range[1] === max;

const frag: Translate<Frag> = (s) => {
  const out: string[] = [];
  if (!whole(s.ids) || s.invert & 1) out.push(`frag id ${not(s.invert & 1)}${span(s.ids)}`);
  if (s.flags & 4) out.push('frag reserved 1');
  if (s.flags & 8) out.push('frag frag-off 0');
  if (s.flags & 16) out.push('frag more-fragments 1');
  if (s.flags & 32) out.push('frag more-fragments 0');
  return out.join(' ') || 'exthdr frag exists';
};

/** Options inside a header have no words. */
const hbh: Translate<Opts> = (s) =>
  s.flags & 1 && s.count === 0 ? `hbh hdrlength ${not(s.invert & 1)}${s.headerLength}` : undefined;

const rt: Translate<Rt> = (s) => {
  if (s.count > 0 || s.flags & RT_ADDRESSES) return undefined;
  const out: string[] = [];
  if (s.flags & 1) out.push(`rt type ${not(s.invert & 1)}${s.type}`);
  if (s.flags & 2 && (!whole(s.segsLeft) || s.invert & 2))
    out.push(`rt seg-left ${not(s.invert & 2)}${span(s.segsLeft)}`);
  if (s.flags & 4) out.push(`rt hdrlength ${not(s.invert & 4)}${s.headerLength}`);
  return out.join(' ') || 'exthdr rt exists';
};
/** --rt-0-res, --rt-0-addrs, --rt-0-not-strict. */
const RT_ADDRESSES = 8 | 16 | 32;

const mh: Translate<Mh> = (s) =>
  whole(s.types, 255) && !(s.invert & 1) ? 'exthdr mh exists' : `mh type ${not(s.invert & 1)}${span(s.types)}`;

const ah: Translate<Ah6> = (s) => {
  const out: string[] = [];
  if (!whole(s.spis) || s.invert & 1) out.push(`ah spi ${not(s.invert & 1)}${span(s.spis)}`);
  if (s.headerLength !== 0 || s.invert & 2) out.push(`ah hdrlength ${not(s.invert & 2)}${s.headerLength}`);
  if (s.reserved !== 0) out.push(`ah reserved ${s.reserved}`);
  return out.join(' ') || 'meta l4proto ah';
};

export const IPV6: TranslateTable = { frag, hbh, rt, mh, ah };
