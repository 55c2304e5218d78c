/** Match `srh`: the IPv6 segment routing header (RFC 8754). */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import * as S from '../../../wire/xt/srh.ts';
import { bang, type Extension, type Option } from '../extension.ts';
import { masked, maskText, uint } from '../values.ts';

type Number8 = 'nextHeader' | 'headerLength' | 'segmentsLeft' | 'lastEntry' | 'tag';

/** Option, bit, field and largest value, in the order of listings. */
const NUMBERS: readonly (readonly [string, number, Number8, number])[] = [
  ['next-hdr', S.SRH_NEXTHDR, 'nextHeader', 255],
  ['hdr-len-eq', S.SRH_LEN_EQ, 'headerLength', 255],
  ['hdr-len-gt', S.SRH_LEN_GT, 'headerLength', 255],
  ['hdr-len-lt', S.SRH_LEN_LT, 'headerLength', 255],
  ['segs-left-eq', S.SRH_SEGS_EQ, 'segmentsLeft', 255],
  ['segs-left-gt', S.SRH_SEGS_GT, 'segmentsLeft', 255],
  ['segs-left-lt', S.SRH_SEGS_LT, 'segmentsLeft', 255],
  ['last-entry-eq', S.SRH_LAST_EQ, 'lastEntry', 255],
  ['last-entry-gt', S.SRH_LAST_GT, 'lastEntry', 255],
  ['last-entry-lt', S.SRH_LAST_LT, 'lastEntry', 255],
  ['tag', S.SRH_TAG, 'tag', 65535],
];
const SEGMENTS: readonly (readonly ['psid' | 'nsid' | 'lsid', number])[] = [
  ['psid', S.SRH_PSID],
  ['nsid', S.SRH_NSID],
  ['lsid', S.SRH_LSID],
];

function segmentText(s: S.Srh, name: 'psid' | 'nsid' | 'lsid'): string {
  const mask = s[`${name}Mask`];
  return `${formatAddress(s[name])}${maskLength(mask) === 128 ? '/128' : maskText(mask)}`;
}

export const srh: Extension<S.Srh> = {
  kind: 'match',
  name: 'srh',
  revision: 1,
  family: 6,
  codec: S.srh,
  options: [
    ...NUMBERS.map(
      ([name, bit, field, max]): Option<S.Srh> => ({
        name: `srh-${name}`,
        invert: true,
        parse(s, value, invert, ctx) {
          s[field] = uint(ctx, value, max);
          s.flags |= bit;
          if (invert) s.invert |= bit;
        },
      }),
    ),
    ...SEGMENTS.map(
      ([name, bit]): Option<S.Srh> => ({
        name: `srh-${name}`,
        invert: true,
        parse(s, value, invert) {
          const { mask } = masked(value, 6);
          s[name] = masked(value.replace(/\/.*/, ''), 6).address;
          s[`${name}Mask`] = mask;
          s.flags |= bit;
          if (invert) s.invert |= bit;
        },
      }),
    ),
  ],
  save(s) {
    let out = '';
    for (const [name, bit, field] of NUMBERS)
      if (s.flags & bit) out += `${bang(s.invert & bit)} --srh-${name} ${s[field]}`;
    for (const [name, bit] of SEGMENTS)
      if (s.flags & bit) out += `${bang(s.invert & bit)} --srh-${name} ${segmentText(s, name)}`;
    return out;
  },
  print(s) {
    let out = ' srh';
    for (const [name, bit, field] of NUMBERS)
      if (s.flags & bit) out += ` ${name}:${s.invert & bit ? '!' : ''}${s[field]}`;
    for (const [name, bit] of SEGMENTS)
      if (s.flags & bit) out += ` ${name}${bang(s.invert & bit)} ${segmentText(s, name)}`;
    return out;
  },
};
