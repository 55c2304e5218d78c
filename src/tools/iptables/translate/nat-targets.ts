/** Translations of the targets that translate addresses. */
import { formatAddress } from '../../../wire/address.ts';
import { inet } from '../values.ts';
import { type Translate, type TranslateTable, words } from './types.ts';

/** The range in the shape the extensions keep it, whatever the structure. */
type Range = {
  readonly flags: number;
  readonly minAddr: Uint8Array;
  readonly maxAddr: Uint8Array;
  readonly minPort: number;
  readonly maxPort: number;
};

const MAP_IPS = 1;
const PROTO = 2;
const OFFSET = 32;

const FLAGS: readonly (readonly [number, string])[] = [
  [4, 'random'],
  [16, 'fully-random'],
  [8, 'persistent'],
];

const flags = (bits: number): string =>
  FLAGS.filter(([bit]) => bits & bit)
    .map(([, name]) => name)
    .join(',');

function ports(s: Range): string {
  if (!(s.flags & PROTO)) return '';
  return s.minPort === s.maxPort ? `:${s.minPort}` : `:${s.minPort}-${s.maxPort}`;
}

function nat(word: 'snat' | 'dnat'): Translate<Range> {
  return (s, { rule: { family } }) => {
    // Ports that move with the original port have no words.
    if (s.flags & OFFSET) return undefined;
    let to = '';
    if (s.flags & MAP_IPS) {
      const [min, max] = [s.minAddr, s.maxAddr].map((bytes) => formatAddress(inet(bytes, family)));
      to = min === max ? min : `${min}-${max}`;
      if (family === 6 && s.flags & PROTO) to = `[${to}]`;
    }
    return words(word, `to ${to}${ports(s)}`, flags(s.flags));
  };
}

/** To the host's own address: only ports can be said. */
function own(word: 'masquerade' | 'redirect'): Translate<Range> {
  return (s) => words(word, s.flags & PROTO ? `to ${ports(s)}` : '', flags(s.flags));
}

export const NAT_TARGETS: TranslateTable = {
  SNAT: nat('snat'),
  DNAT: nat('dnat'),
  MASQUERADE: own('masquerade'),
  REDIRECT: own('redirect'),
};
