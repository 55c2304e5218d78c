/** Translations of the matches on connections. */
import { formatAddress, maskLength } from '../../../wire/address.ts';
import type { Connbytes } from '../../../wire/xt/connbytes.ts';
import type { Connlabel } from '../../../wire/xt/connlabel.ts';
import type { Connlimit } from '../../../wire/xt/connlimit.ts';
import type { Connmark } from '../../../wire/xt/connmark.ts';
import type { Conntrack } from '../../../wire/xt/conntrack.ts';
import type { Helper } from '../../../wire/xt/helper.ts';
import { inet } from '../values.ts';
import { masked, not, quote, span, type Translate, type TranslateTable, words } from './types.ts';

const STATES: readonly (readonly [number, string])[] = [
  [1, 'invalid'],
  [8, 'new'],
  [4, 'related'],
  [2, 'established'],
  [256, 'untracked'],
];
const STATUSES: readonly (readonly [number, string])[] = [
  [1, 'expected'],
  [2, 'seen-reply'],
  [4, 'assured'],
  [8, 'confirmed'],
];

const list = (bits: number, table: readonly (readonly [number, string])[]): string =>
  table
    .filter(([bit]) => bits & bit)
    .map(([, name]) => name)
    .join(',');

type Side = 'origSrc' | 'origDst' | 'replSrc' | 'replDst';
const SIDES: readonly (readonly [Side, string, number, number])[] = [
  ['origSrc', 'ct original saddr', 4, 256],
  ['origDst', 'ct original daddr', 8, 512],
  ['replSrc', 'ct reply saddr', 16, 1024],
  ['replDst', 'ct reply daddr', 32, 2048],
];

/** Both the state and the status words of a set are told by "!" before them when negated. */
const flags = (key: string, invert: boolean, text: string): string => `${key} ${invert ? '! ' : ''}${text}`;

const conntrack: Translate<Conntrack> = (s, { rule: { family } }) => {
  const has = (flag: number): boolean => (s.matchFlags & flag) !== 0;
  const no = (flag: number): boolean => (s.invertFlags & flag) !== 0;
  const out: string[] = [];
  if (has(4096)) out.push(`ct direction ${no(4096) ? 'reply' : 'original'}`);
  if (has(2)) out.push(`ct original protocol ${not(no(2))}${s.l4proto}`);
  if (has(1)) {
    const nat = words(s.stateMask & 64 ? 'snat' : '', s.stateMask & 128 ? 'dnat' : '').replace(' ', ',');
    const states = list(s.stateMask, STATES);
    // A state or a translation: nft would need two rules.
    if (nat !== '' && states !== '') return undefined;
    out.push(nat === '' ? flags('ct state', no(1), states) : flags('ct status', no(1), nat));
  }
  if (has(64)) {
    const names = list(
      s.statusMask,
      [...STATUSES].sort(([a], [b]) => STATUS_ORDER.indexOf(a) - STATUS_ORDER.indexOf(b)),
    );
    out.push(s.statusMask === 0 ? `ct status ${no(64) ? '' : '== '}0` : flags('ct status', no(64), names));
  }
  if (has(128)) out.push(`ct expiration ${not(no(128))}${span([s.expiresMin, s.expiresMax])}`);
  for (const [key, words, flag] of SIDES) {
    if (!has(flag)) continue;
    const mask = inet(s[`${key}Mask`], family);
    const length = maskLength(mask);
    const address = formatAddress(inet(s[key], family));
    if (length < 0) out.push(`${words} & ${formatAddress(mask)} ${no(flag) ? '!=' : '=='} ${address}`);
    else if (length > 0 || no(flag))
      out.push(`${words} ${not(no(flag))}${address}${length === mask.length * 8 ? '' : `/${length}`}`);
  }
  for (const [key, words, , flag] of SIDES)
    if (has(flag)) {
      const name = words.replace('saddr', 'proto-src').replace('daddr', 'proto-dst');
      out.push(`${name} ${not(no(flag))}${span([s[`${key}Port`], s[`${key}PortHigh`]])}`);
    }
  return out.join(' ');
};

/** The order in which the real tool names status bits. */
const STATUS_ORDER: readonly number[] = [1, 2, 4, 8];

const connmark: Translate<Connmark> = (s) => masked('ct mark', s.mark, s.mask, s.invert !== 0);

const DIRECTIONS = ['ct original', 'ct reply', 'ct'];
const COUNTS = ['packets', 'bytes', 'avgpkt'];

const connbytes: Translate<Connbytes> = (s) => {
  // A negated range is kept with its ends exchanged.
  const invert = s.to < s.from;
  const [from, to] = invert ? [s.to, s.from] : [s.from, s.to];
  const key = `${DIRECTIONS[s.direction]} ${COUNTS[s.what]}`;
  if (to === 0xffffffffffffffffn) return `${key} ${invert ? 'lt' : 'ge'} ${from}`;
  return `${key} ${not(invert)}${span([from, to])}`;
};

const connlabel: Translate<Connlabel> = (s) => {
  const set = s.options & 2 ? `ct label set ${s.bit}` : '';
  return words(set, s.options & 1 ? `ct label and ${s.bit} != ${s.bit}` : `ct label ${s.bit}`);
};

const CONNLIMIT_UPTO = 1;
const CONNLIMIT_DADDR = 2;

const connlimit: Translate<Connlimit> = (s, { rule: { family }, declare }) => {
  const mask = inet(s.mask, family);
  const six = family === 6;
  const name = declare('connlimit', `{ type ${six ? 'ipv6_addr' : 'ipv4_addr'}; flags dynamic; }`);
  const address = `${six ? 'ip6' : 'ip'} ${s.flags & CONNLIMIT_DADDR ? 'daddr' : 'saddr'}`;
  const under = maskLength(mask) === mask.length * 8 ? '' : ` and ${formatAddress(mask)}`;
  return `add @${name} { ${address}${under} ct count ${s.flags & CONNLIMIT_UPTO ? '' : 'over '}${s.limit} }`;
};

const helper: Translate<Helper> = (s) => `ct helper ${not(s.invert)}${quote(s.name)}`;

export const CONNECTION: TranslateTable = {
  conntrack,
  state: conntrack,
  connmark,
  connbytes,
  connlabel,
  connlimit,
  helper,
};
